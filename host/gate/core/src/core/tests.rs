//! The core against a browser of a few lines.

mod browser;
mod properties;
mod targets;

use serde_json::json;

use super::{ClientId, ClientRole, ClosedMode};
use browser::Simulation;

const BROWSER: ClientRole = ClientRole {
    gated: true,
    page: None,
};

fn page(target: &str) -> ClientRole {
    ClientRole {
        gated: true,
        page: Some(target.to_owned()),
    }
}

/// A client with one auto-attached page, and its session there.
fn with_page(sim: &mut Simulation) -> (ClientId, String) {
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
    let mut sim = Simulation::new(ClosedMode::Hold, &["P"]);
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
    let mut sim = Simulation::new(ClosedMode::Hold, &["P"]);
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
    let mut sim = Simulation::new(ClosedMode::Hold, &["P"]);
    let (client, session) = with_page(&mut sim);
    for (id, method) in [(2, "Page.enable"), (3, "Runtime.enable")] {
        sim.call(client, id, Some(&session), method, json!({}));
    }
    sim.run();
    sim.core.close("h1");
    sim.run();
    let evaluate = |sim: &mut Simulation, id| {
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
    let mut sim = Simulation::new(ClosedMode::Hold, &["P", "Q"]);
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
    let mut sim = Simulation::new(ClosedMode::Reject, &["P"]);
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
    for mode in [ClosedMode::Hold, ClosedMode::Reject] {
        let mut sim = Simulation::new(mode, &["P"]);
        let (client, session) = with_page(&mut sim);
        sim.call(client, 5, Some(&session), "Runtime.evaluate", json!({}));
        sim.drain();

        sim.core.close("h1");
        sim.run();
        let before = sim.answers(client, 5);
        sim.core.open();
        sim.run();

        assert_eq!(before, usize::from(mode == ClosedMode::Reject));
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
    let mut sim = Simulation::new(ClosedMode::Hold, &["P", "Q"]);
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
    let mut sim = Simulation::new(ClosedMode::Hold, &["P"]);
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
    let mut sim = Simulation::new(ClosedMode::Hold, &["P"]);
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
    let mut sim = Simulation::new(ClosedMode::Hold, &[]);
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
    let mut sim = Simulation::new(ClosedMode::Hold, &["P"]);
    let client = sim.core.join(BROWSER);
    sim.core.close("h1");
    sim.run();

    for id in 0..3000 {
        sim.call(client, id, None, "Browser.getVersion", json!({}));
    }
    sim.run();

    let refused = sim.inbox[&client].len();
    assert_eq!(refused, 3000 - super::MAX_QUEUED_COMMANDS);
}
