//! Agents see web pages, and nothing of the browser's own.

use serde_json::{Value, json};

use super::{BROWSER, ClosedMode, Simulation, page, with_page};

/// A browser with a web page, a page of its own, and one of its bubbles.
fn browser() -> Simulation {
    let mut sim = Simulation::new(ClosedMode::Hold, &["P", "POLICY", "BUBBLE"]);
    sim.own
        .insert("POLICY".to_owned(), ("page", "chrome://policy/test"));
    sim.own.insert(
        "BUBBLE".to_owned(),
        ("browser_ui", "chrome://omnibox-popup.top-chrome/"),
    );
    sim
}

fn attach(target: &str) -> Value {
    json!({ "targetId": target, "flatten": true })
}

#[test]
fn auto_attachment_gives_web_pages_alone() {
    let mut sim = browser();

    let (client, session) = with_page(&mut sim);

    assert_eq!(sim.known_sessions(client), [session]);
    assert_eq!(sim.attached_targets(), ["browser", "P"]);
    assert!(sim.events(client, "Target.detachedFromTarget").is_empty());
}

#[test]
fn what_is_not_the_webs_is_not_there_for_an_agent() {
    let mut sim = browser();
    let client = sim.core.join(BROWSER);
    for (id, target) in [(1, "P"), (2, "POLICY"), (3, "BUBBLE")] {
        sim.call(client, id, None, "Target.attachToTarget", attach(target));
        let info = json!({ "targetId": target });
        sim.call(client, 10 + id, None, "Target.getTargetInfo", info);
    }
    sim.call(
        client,
        20,
        None,
        "Target.getTargets",
        json!({ "filter": [{}] }),
    );
    sim.run();

    assert!(sim.answer(client, 1)["result"]["sessionId"].is_string());
    assert!(sim.answer(client, 11)["result"].is_object());
    for id in [2, 3, 12, 13] {
        let answer = sim.answer(client, id);
        assert_eq!(answer["error"]["message"], "No target with given id found");
        assert!(answer["result"].is_null());
    }
    assert_eq!(sim.attached_targets(), ["browser", "P"]);
    let listed = sim.answer(client, 20)["result"]["targetInfos"].clone();
    assert_eq!(listed, json!([sim.info("P", "page")]));
}

#[test]
fn a_page_socket_to_a_page_of_the_browsers_own_ends() {
    let mut sim = browser();

    let client = sim.core.join(page("POLICY"));
    sim.call(
        client,
        1,
        None,
        "Runtime.evaluate",
        json!({ "expression": "1" }),
    );
    sim.run();

    assert_eq!(sim.disconnected, [client]);
    assert!(sim.attached_targets().is_empty());
    assert!(sim.inbox.is_empty());
}

#[test]
fn a_session_does_not_come_back_to_a_page_that_became_the_browsers_own() {
    let mut sim = Simulation::new(ClosedMode::Hold, &["P"]);
    let client = sim.core.join(BROWSER);
    sim.call(client, 1, None, "Target.attachToTarget", attach("P"));
    sim.run();
    sim.core.close("h1");
    sim.run();

    sim.own
        .insert("P".to_owned(), ("page", "chrome://settings"));
    sim.core.open();
    sim.run();

    assert_eq!(sim.events(client, "Target.detachedFromTarget").len(), 1);
    assert_eq!(sim.attached_targets(), ["browser"]);
}

#[test]
fn targets_are_told_of_while_they_are_the_webs() {
    let mut sim = Simulation::new(ClosedMode::Hold, &[]);
    let client = sim.core.join(BROWSER);
    sim.run();
    let told = |sim: &mut Simulation, event: &str, url: &str| {
        let info = json!({ "targetId": "N", "type": "page", "url": url });
        let params = match event {
            "Target.targetDestroyed" => json!({ "targetId": "N" }),
            _ => json!({ "targetInfo": info }),
        };
        sim.event(Some("U1"), event, params);
        sim.drain();
        let methods = sim.inbox.remove(&client).unwrap_or_default();
        methods
            .iter()
            .map(|message| message["method"].clone())
            .collect::<Vec<_>>()
    };

    assert!(told(&mut sim, "Target.targetCreated", "chrome://newtab/").is_empty());
    assert!(told(&mut sim, "Target.targetInfoChanged", "chrome://newtab/").is_empty());
    assert_eq!(
        told(&mut sim, "Target.targetInfoChanged", "http://h/"),
        ["Target.targetCreated"]
    );
    assert_eq!(
        told(&mut sim, "Target.targetInfoChanged", "http://h/2"),
        ["Target.targetInfoChanged"]
    );
    assert!(told(&mut sim, "Target.targetInfoChanged", "chrome://policy").is_empty());
    assert_eq!(
        told(&mut sim, "Target.targetDestroyed", ""),
        ["Target.targetDestroyed"]
    );
    assert!(told(&mut sim, "Target.targetCreated", "devtools://devtools/").is_empty());
    assert!(told(&mut sim, "Target.targetDestroyed", "").is_empty());
}

#[test]
fn passwords_of_http_are_not_told() {
    let mut sim = Simulation::new(ClosedMode::Hold, &["P"]);
    let (client, _) = with_page(&mut sim);
    let method = "Network.requestWillBeSentExtraInfo";
    let headers = json!({ "Authorization": "Basic Q0FOQVJZ", "Accept": "*/*" });

    sim.event(Some("U2"), method, json!({ "headers": headers }));
    sim.drain();

    let told = sim.events(client, method)[0]["params"]["headers"].clone();
    assert_eq!(
        told,
        json!({ "Authorization": "withheld by authloop", "Accept": "*/*" })
    );
}

#[test]
fn a_download_folder_stays_confined_when_settings_come_back() {
    let mut sim = Simulation::new(ClosedMode::Hold, &[]);
    sim.core = sim.core.with_files_folder("/gate/files/");
    let client = sim.core.join(BROWSER);
    let params = json!({ "behavior": "allow", "downloadPath": "/root/.ssh" });
    sim.call(client, 1, None, "Browser.setDownloadBehavior", params);
    sim.run();
    sim.core.close("h1");
    sim.run();
    sim.core.open();
    sim.run();

    let sent: Vec<&Value> = sim
        .sent
        .iter()
        .filter(|sent| sent.0 == "Browser.setDownloadBehavior")
        .map(|sent| &sent.1["downloadPath"])
        .collect();
    assert_eq!(sent, ["/gate/files", "/gate/files"]);
}
