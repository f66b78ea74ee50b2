//! How a page's script tells the site what it saw.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;

use super::state::SharedState;

/// Defines `report(event, value)` in a page. Reports are sent one after the other, so that they
/// arrive in the order in which things happened.
pub(super) const REPORT_SCRIPT: &str = r#"<script>
let last = Promise.resolve();
const report = (event, value) => { last = last.then(() => fetch("/extra/report", { method: "POST",
  headers: { "content-type": "application/json" }, body: JSON.stringify({ event, value: String(value) }) })); };
</script>"#;

#[derive(Deserialize)]
pub(super) struct EventReport {
    event: String,
    value: String,
}

/// Records what a page's script reports.
pub(super) async fn report(
    State(shared): State<SharedState>,
    Json(report): Json<EventReport>,
) -> StatusCode {
    let fields = [("value", report.value.as_str())];
    shared.0.submissions.push(&report.event, true, &fields);
    StatusCode::NO_CONTENT
}
