//! What holds whatever the clients and the browser do.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{BROWSER, ClientRole, ClosedMode, browser::Simulation, page};

#[derive(Debug, Clone)]
enum Step {
    Join(bool),
    Leave(usize),
    Call(usize, usize, usize),
    Event(usize),
    Browser,
    Close,
    Open,
    FinishOpening,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => any::<bool>().prop_map(Step::Join),
        1 => (0..8usize).prop_map(Step::Leave),
        10 => (0..8usize, 0..8usize, 0..6usize).prop_map(|(c, m, s)| Step::Call(c, m, s)),
        6 => (0..16usize).prop_map(Step::Event),
        12 => Just(Step::Browser),
        2 => Just(Step::Close),
        2 => Just(Step::Open),
        1 => Just(Step::FinishOpening),
    ]
}

const METHODS: [&str; 8] = [
    "Target.setAutoAttach",
    "Target.attachToTarget",
    "Page.enable",
    "Runtime.enable",
    "Runtime.evaluate",
    "Page.addScriptToEvaluateOnNewDocument",
    "Target.attachToBrowserTarget",
    "Page.captureScreenshot",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the browser says while the gate is closed, no agent hears of it; nobody hears of
    /// another's session; every command is answered at most once; and after the opening all go on.
    #[test]
    fn nothing_passes_a_closed_gate(
        steps in proptest::collection::vec(step(), 1..120),
        hold in any::<bool>(),
    ) {
        let mode = if hold { ClosedMode::Hold } else { ClosedMode::Reject };
        let mut sim = Simulation::new(mode, &["P", "Q"]);
        let host = sim.core.join(ClientRole { gated: false, page: None });
        let mut clients = Vec::new();
        let mut number = 0;
        for step in steps {
            match step {
                Step::Join(browser) => {
                    let role = if browser { BROWSER } else { page("P") };
                    clients.push(sim.core.join(role));
                }
                Step::Leave(at) => if let Some(client) = clients.get(at) {
                    sim.core.leave(*client);
                },
                Step::Call(at, method, session) => if let Some(client) = clients.get(at).copied() {
                    number += 1;
                    let session = sim.known_sessions(client).get(session).cloned();
                    let params = json!({ "autoAttach": true, "flatten": true, "targetId": "P" });
                    sim.call(client, number, session.as_deref(), METHODS[method], params);
                },
                Step::Event(at) => sim.emit(at),
                Step::Browser => sim.browser_step(),
                Step::Close => _ = sim.core.close("h"),
                Step::Open => sim.core.open(),
                Step::FinishOpening => sim.core.finish_opening(),
            }
            sim.drain();
        }
        let closed = sim.core.is_closed();
        sim.run();
        if closed {
            prop_assert_eq!(sim.sessions_of_agents(), 0);
        }
        sim.core.open();
        sim.run();
        sim.core.finish_opening();
        sim.run();

        for client in clients {
            let inbox = sim.inbox.get(&client).cloned().unwrap_or_default();
            let mut answered = std::collections::BTreeSet::new();
            for message in inbox {
                prop_assert!(!message.to_string().contains("CANARY"), "{}", message);
                if let Some(id) = message["id"].as_i64() {
                    prop_assert!(answered.insert(id), "{} is answered twice", id);
                }
                if message["method"] == "Test.event" {
                    prop_assert_eq!(&message["params"]["owner"], &json!(format!("{client:?}")));
                }
            }
        }
        sim.call(host, 1, None, "Browser.getVersion", Value::Null);
        sim.run();
        prop_assert_eq!(sim.answers(host, 1), 1);
    }
}
