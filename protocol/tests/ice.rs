//! The relay's ICE parameters as Rust and JavaScript both take or refuse them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use authloop_protocol::signal::{LegIce, ServerMessage};
use serde_json::{Map, Value};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/ice.json")).unwrap()
}

/// What a client does with a message of signaling's.
fn take(ice: &Map<String, Value>) -> Option<LegIce> {
    let mut message = ice.clone();
    message.insert("type".to_owned(), "ice".into());
    match serde_json::from_value(message.into()) {
        Ok(ServerMessage::Ice(ice)) if ice.is_well_formed() => Some(ice),
        _ => None,
    }
}

#[test]
fn what_is_well_formed_is_taken_and_written_as_it_came() {
    for vector in vectors()["good"].as_array().unwrap() {
        let ice = vector["ice"].as_object().unwrap();

        let taken = take(ice).unwrap();

        assert_eq!(serde_json::to_value(&taken).unwrap(), vector["ice"]);
        let debug = format!("{taken:?} {:?}", taken.turn);
        assert!(!debug.contains(&taken.pwd), "{debug}");
    }
}

#[test]
fn what_could_inject_or_lead_elsewhere_is_refused() {
    let vectors = vectors();
    let good = vectors["good"][0]["ice"].as_object().unwrap();
    for bent in vectors["bad"].as_array().unwrap() {
        let mut ice = good.clone();
        ice.extend(bent.as_object().unwrap().clone());

        assert!(take(&ice).is_none(), "{bent}");
    }
}
