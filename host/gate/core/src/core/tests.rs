//! The core against a browser of a few lines.

mod browser;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ClientId, Mode, Role};
use browser::Sim;

const BROWSER: Role = Role {
    gated: true,
    page: None,
};

fn page(target: &str) -> Role {
    Role {
        gated: true,
        page: Some(target.to_owned()),
    }
}

/// A client with one auto-attached page, and its session there.
fn with_page(sim: &mut Sim) -> (ClientId, String) {
    let client = sim.core.join(BROWSER);
    sim.call(
        client,
        1,
        None,
        "Target.setAutoAttach",
        json!({ "autoAttach": true, "flatten": true }),
    );
    sim.run();
    let attached = sim.events(client, "Target.attachedToTarget");
    let session = attached[0]["params"]["sessionId"]
        .as_str()
        .unwrap()
        .to_owned();
    (client, session)
}

#[test]
fn clients_with_the_same_numbers_are_kept_apart() {
    let mut sim = Sim::new(Mode::Hold, &["P"]);
    let (one, in_one) = with_page(&mut sim);
    let (two, in_two) = with_page(&mut sim);

    sim.call(one, 7, Some(&in_one), "Page.enable", json!({}));
    sim.call(two, 7, Some(&in_one), "Page.enable", json!({}));
    sim.run();

    assert_ne!(in_one, in_two);
    assert_eq!(sim.answer(one, 7)["result"]["did"], "Page.enable");
    assert_eq!(sim.answer(two, 7)["error"]["code"], -32001);
}

#[test]
fn a_held_command_goes_on_in_the_same_session_set_up_again() {
    let mut sim = Sim::new(Mode::Hold, &["P"]);
    let (client, session) = with_page(&mut sim);
    for (id, method) in [(2, "Page.enable"), (3, "Runtime.enable")] {
        sim.call(client, id, Some(&session), method, json!({}));
    }
    sim.run();
    sim.core.close("h1");
    sim.run();
    let shut = sim.sessions_of_agents();

    sim.call(client, 4, Some(&session), "Page.reload", json!({}));
    sim.run();
    let silent = sim.answers(client, 4);
    sim.sent.clear();
    sim.core.open();
    sim.run();

    assert_eq!(shut, 0, "no agent has a session while the gate is closed");
    assert_eq!(silent, 0);
    assert_eq!(sim.answer(client, 4)["sessionId"], session.as_str());
    assert_eq!(sim.answer(client, 4)["result"]["did"], "Page.reload");
    let methods: Vec<&str> = sim.sent.iter().map(|(method, _)| method.as_str()).collect();
    assert_eq!(
        methods,
        [
            "Target.attachToBrowserTarget",
            "Target.setAutoAttach",
            "Page.enable",
            "Page.getFrameTree",
            "Runtime.enable",
            "Page.reload",
        ]
    );
    let attached = sim.events(client, "Target.attachedToTarget").len();
    assert_eq!(attached, 1, "a session that came back is not a new one");
    assert_eq!(sim.events(client, "Page.frameNavigated").len(), 1);
    assert_eq!(
        sim.events(client, "Runtime.executionContextsCleared").len(),
        1
    );
}

#[test]
fn a_command_is_refused_for_an_old_context_but_not_for_one_just_told_of() {
    let mut sim = Sim::new(Mode::Hold, &["P"]);
    let (client, session) = with_page(&mut sim);
    for (id, method) in [(2, "Page.enable"), (3, "Runtime.enable")] {
        sim.call(client, id, Some(&session), method, json!({}));
    }
    sim.run();
    sim.core.close("h1");
    sim.run();
    let evaluate = |sim: &mut Sim, id| {
        let params = json!({ "contextId": 41, "expression": "1" });
        sim.call(client, id, Some(&session), "Runtime.evaluate", params);
    };
    evaluate(&mut sim, 4);
    sim.core.open();
    sim.sent.clear();
    evaluate(&mut sim, 5);
    sim.drain();
    while sim
        .sent
        .last()
        .is_none_or(|(method, _)| method != "Page.getFrameTree")
    {
        sim.browser_step();
        sim.drain();
    }

    evaluate(&mut sim, 6);
    let early = sim.answers(client, 6);
    sim.run();

    let why = "Cannot find context with specified id";
    assert_eq!(early, 0, "its session was not back yet");
    assert_eq!(sim.answer(client, 4)["error"]["message"], why);
    assert_eq!(sim.answer(client, 5)["error"]["message"], why);
    assert_eq!(sim.answer(client, 6)["result"]["did"], "Runtime.evaluate");
}

#[test]
fn a_page_that_closed_meanwhile_is_detached_and_a_new_one_attached() {
    let mut sim = Sim::new(Mode::Hold, &["P", "Q"]);
    let (client, session) = with_page(&mut sim);
    sim.core.close("h1");
    sim.run();

    sim.pages = vec!["Q".to_owned(), "R".to_owned()];
    sim.core.open();
    sim.run();

    let gone = sim.events(client, "Target.detachedFromTarget");
    assert_eq!(gone.len(), 1);
    assert_eq!(
        gone[0]["params"],
        json!({ "sessionId": session, "targetId": "P" })
    );
    let attached = sim.events(client, "Target.attachedToTarget");
    assert_eq!(
        attached.last().unwrap()["params"]["targetInfo"]["targetId"],
        "R"
    );
    assert_eq!(attached.len(), 3);
}

#[test]
fn rejecting_says_why() {
    let mut sim = Sim::new(Mode::Reject, &["P"]);
    let (client, session) = with_page(&mut sim);
    sim.core.close("h1");
    sim.run();

    sim.call(
        client,
        9,
        Some(&session),
        "Page.captureScreenshot",
        json!({}),
    );
    sim.run();

    let error = sim.answer(client, 9)["error"].clone();
    assert_eq!(error["code"], -32000);
    assert_eq!(
        error["data"],
        json!({ "session_id": "h1", "state": "closed" })
    );
}

#[test]
fn an_answer_in_flight_at_the_closing_is_lost_but_not_forgotten() {
    for mode in [Mode::Hold, Mode::Reject] {
        let mut sim = Sim::new(mode, &["P"]);
        let (client, session) = with_page(&mut sim);
        sim.call(client, 5, Some(&session), "Runtime.evaluate", json!({}));
        sim.drain();

        sim.core.close("h1");
        sim.run();
        let before = sim.answers(client, 5);
        sim.core.open();
        sim.run();

        assert_eq!(before, usize::from(mode == Mode::Reject));
        let error = sim.answer(client, 5)["error"]["message"].clone();
        assert!(
            error
                .as_str()
                .unwrap()
                .ends_with("Inspected target navigated or closed")
        );
    }
}

#[test]
fn a_page_socket_is_attached_again_and_ends_with_its_page() {
    let mut sim = Sim::new(Mode::Hold, &["P", "Q"]);
    let (stays, goes) = (sim.core.join(page("P")), sim.core.join(page("Q")));
    sim.run();
    sim.core.close("h1");
    sim.run();

    sim.pages.retain(|page| page == "P");
    sim.call(stays, 1, None, "Page.reload", json!({}));
    sim.core.open();
    sim.run();

    assert_eq!(sim.answer(stays, 1)["result"]["did"], "Page.reload");
    assert_eq!(sim.disconnected, [goes]);
}

#[test]
fn scripts_keep_the_names_that_the_client_knows() {
    let mut sim = Sim::new(Mode::Hold, &["P"]);
    let client = sim.core.join(page("P"));
    sim.run();
    let add = "Page.addScriptToEvaluateOnNewDocument";
    let remove = "Page.removeScriptToEvaluateOnNewDocument";
    for (id, source) in [(1, "a"), (2, "b")] {
        sim.call(client, id, None, add, json!({ "source": source }));
    }
    sim.run();
    sim.call(client, 3, None, remove, json!({ "identifier": "1" }));
    sim.run();

    sim.core.close("h1");
    sim.run();
    sim.core.open();
    sim.run();
    sim.sent.clear();
    sim.call(client, 4, None, remove, json!({ "identifier": "2" }));
    sim.call(client, 5, None, add, json!({ "source": "c" }));
    sim.run();

    assert_eq!(
        sim.sent[0],
        (remove.to_owned(), json!({ "identifier": "1" })),
        "the browser's name for it"
    );
    assert_eq!(sim.answer(client, 5)["result"]["identifier"], "3");
}

#[test]
fn ways_around_the_gate_are_never_let_through() {
    let mut sim = Sim::new(Mode::Hold, &["P"]);
    let client = sim.core.join(BROWSER);
    sim.run();
    sim.sent.clear();

    for (id, method) in [
        (1, "Target.exposeDevToolsProtocol"),
        (2, "Extensions.loadUnpacked"),
    ] {
        sim.call(client, id, None, method, json!({ "targetId": "P" }));
    }
    sim.call(
        client,
        3,
        None,
        "Target.attachToTarget",
        json!({ "targetId": "P" }),
    );
    sim.core.client_text(
        client,
        r#"{"id":4,"method":"Page.enable","method":"Target.exposeDevToolsProtocol"}"#,
    );
    sim.run();

    assert!(sim.sent.is_empty());
    assert_eq!(sim.inbox[&client].len(), 4);
    assert!(
        sim.inbox[&client]
            .iter()
            .all(|message| message["error"].is_object())
    );
}

#[test]
fn contexts_outlive_a_closure_but_not_their_client() {
    let mut sim = Sim::new(Mode::Hold, &[]);
    let client = sim.core.join(BROWSER);
    sim.call(
        client,
        1,
        None,
        "Target.createBrowserContext",
        json!({ "disposeOnDetach": true }),
    );
    sim.run();
    let asked = sim.sent.last().unwrap().clone();
    sim.core.close("h1");
    sim.core.leave(client);
    sim.run();
    let while_closed = sim
        .sent
        .iter()
        .filter(|sent| sent.0 == "Target.disposeBrowserContext")
        .count();

    sim.core.open();
    sim.run();

    assert_eq!(
        asked.1,
        json!({}),
        "the browser would dispose of it at the closing"
    );
    assert_eq!(while_closed, 0);
    assert_eq!(sim.sent.last().unwrap().0, "Target.disposeBrowserContext");
}

#[test]
fn what_waits_is_bounded() {
    let mut sim = Sim::new(Mode::Hold, &["P"]);
    let client = sim.core.join(BROWSER);
    sim.core.close("h1");
    sim.run();

    for id in 0..3000 {
        sim.call(client, id, None, "Browser.getVersion", json!({}));
    }
    sim.run();

    let refused = sim.inbox[&client].len();
    assert_eq!(refused, 3000 - super::MAX_HELD);
}

#[derive(Debug, Clone)]
enum Step {
    Join(bool),
    Leave(usize),
    Call(usize, usize, usize),
    Event(usize),
    Browser,
    Close,
    Open,
    Settle,
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
        1 => Just(Step::Settle),
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
        let mode = if hold { Mode::Hold } else { Mode::Reject };
        let mut sim = Sim::new(mode, &["P", "Q"]);
        let host = sim.core.join(Role { gated: false, page: None });
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
                Step::Settle => sim.core.settle(),
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
        sim.core.settle();
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
