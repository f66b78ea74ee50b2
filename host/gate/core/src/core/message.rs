//! CDP messages, opened only as far as the gate must look.

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

/// JSON-RPC 2.0 section 5.1, and Chromium's own numbers.
pub(super) const PARSE_ERROR: i64 = -32700;
pub(super) const SERVER_ERROR: i64 = -32000;
pub(super) const NO_SESSION: i64 = -32001;

/// A message from either side; what is not looked at stays as it came.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    pub(super) id: Option<i64>,
    pub(super) method: Option<String>,
    #[serde(rename = "sessionId")]
    pub(super) session: Option<String>,
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// A message to either side.
#[derive(Serialize, Default)]
pub(super) struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) method: Option<&'a str>,
    #[serde(rename = "sessionId", skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) params: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'a RawValue>,
}

impl Envelope<'_> {
    pub(super) fn text(&self) -> String {
        // Maps with string keys cannot fail to serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Parses; `None` also for duplicate keys, which two readers might read differently.
pub(super) fn parse(text: &str) -> Option<Message<'_>> {
    serde_json::from_str(text).ok()
}

/// The parts of parameters or a result as a value; `Null` if there are none.
pub(super) fn value(raw: Option<&RawValue>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

/// The same text as an owned raw value.
pub(super) fn raw(value: &Value) -> Box<RawValue> {
    // A value always serialises to valid JSON.
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

/// The error answer to a client's command.
pub(super) fn error(
    id: Option<i64>,
    session: Option<&str>,
    code: i64,
    message: &str,
    data: Option<Value>,
) -> String {
    let mut error = serde_json::json!({ "code": code, "message": message });
    if let Some(data) = data {
        error["data"] = data;
    }
    Envelope {
        id,
        session,
        error: Some(&raw(&error)),
        ..Envelope::default()
    }
    .text()
}

/// An event of the gate's own making.
pub(super) fn event(session: Option<&str>, method: &str, params: &Value) -> String {
    Envelope {
        method: Some(method),
        session,
        params: Some(&raw(params)),
        ..Envelope::default()
    }
    .text()
}

/// A string member of an object that may lack it.
pub(super) fn text_of<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
