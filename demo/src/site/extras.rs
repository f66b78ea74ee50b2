//! Pages for what is harder than a form: pop-ups, native widgets, dialogs, input methods, and a
//! page that moves to another origin under the user's hands.

use axum::{
    Form, Router,
    extract::State,
    response::{Html, IntoResponse, Redirect},
    routing::{get, post},
};
use serde::Deserialize;

use super::{
    native, pages,
    report::{self, REPORT_SCRIPT},
    state::SharedState,
};

/// Routes beside the sign-in pages.
pub(super) fn router() -> Router<SharedState> {
    Router::new()
        .route("/extra/report", post(report::report))
        .route("/extra/keys", get(keys))
        .route("/extra/ime", get(ime))
        .route("/extra/select", get(select))
        .route("/extra/dialogs", get(dialogs))
        .route("/extra/popup", get(popup))
        .route("/extra/form", get(form).post(receive_form))
        .route("/extra/move", get(redirect_to_other))
        .merge(native::router())
}

/// Routes of the other origin: an identity provider, and a form that looks like the first site's.
pub(super) fn other_router(shared: SharedState) -> Router {
    Router::new()
        .route("/style.css", get(pages::style))
        .route("/oauth", get(consent).post(receive_consent))
        .route("/extra/bare", get(bare))
        .route("/extra/form", get(form).post(receive_form))
        .route("/extra/report", post(report::report))
        .merge(native::router())
        .with_state(shared)
}

/// Counts the keys it sees, for "exactly once".
async fn keys() -> Html<String> {
    pages::frame(
        "Keys",
        &format!(
            r#"{REPORT_SCRIPT}<h1>Keys</h1><p><output id="count">0</output> keys down</p>
<label for="text">Text</label><input id="text" autofocus autocomplete="off">
<script>
let count = 0;
document.addEventListener("keydown", (e) => {{ document.getElementById("count").value = ++count; report("keydown", e.key); }});
document.addEventListener("keyup", (e) => report("keyup", e.key));
document.getElementById("text").addEventListener("input", (e) => report("text", e.target.value));
</script>"#
        ),
    )
}

async fn ime() -> Html<String> {
    pages::frame(
        "Write",
        &format!(
            r#"{REPORT_SCRIPT}<h1>Write</h1><label for="text">Message</label><textarea id="text" rows="5" autofocus></textarea>
<script>
const text = document.getElementById("text");
for (const name of ["compositionstart", "compositionupdate", "compositionend"]) text.addEventListener(name, (e) => report(name, e.data));
text.addEventListener("input", () => report("text", text.value));
</script>"#
        ),
    )
}

async fn select() -> Html<String> {
    pages::frame(
        "Choose",
        &format!(
            r#"{REPORT_SCRIPT}<h1>Choose</h1><label for="account">Account</label>
<select id="account"><option value="">Choose one</option><option value="current">Current account</option><option value="savings">Savings</option></select>
<label for="day">Date of birth</label><input id="day" type="date">
<script>
for (const id of ["account", "day"]) document.getElementById(id).addEventListener("change", (e) => report(id, e.target.value));
</script>"#
        ),
    )
}

async fn dialogs() -> Html<String> {
    pages::frame(
        "Dialogs",
        &format!(
            r#"{REPORT_SCRIPT}<h1>Dialogs</h1>
<button id="alert" onclick="report('alert', alert('Your session is about to end.'))">Alert</button>
<button id="confirm" onclick="report('confirm', confirm('Trust this browser?'))">Confirm</button>
<button id="prompt" onclick="report('prompt', prompt('Name this browser', 'Agent'))">Prompt</button>"#
        ),
    )
}

async fn popup(State(shared): State<SharedState>) -> Html<String> {
    let other = &shared.0.other_origin;
    pages::frame(
        "Sign in",
        &format!(
            r#"{REPORT_SCRIPT}<h1>Sign in</h1><button id="oauth">Continue with Contoso ID</button><p id="result"></p>
<script>
document.getElementById("oauth").onclick = () => open("{other}/oauth", "oauth", "popup,width=420,height=560");
addEventListener("message", (e) => {{
  if (e.origin !== "{other}") return;
  document.getElementById("result").textContent = "Signed in with Contoso ID";
  report("oauth", e.data);
}});
</script>"#
        ),
    )
}

async fn consent() -> Html<String> {
    pages::frame(
        "Contoso ID",
        r#"<h1>Contoso ID</h1><p>Northwind Bank wants to know who you are.</p>
<form method="post" action="/oauth"><label for="pin">PIN</label>
<input id="pin" name="pin" type="password" inputmode="numeric" autocomplete="current-password" autofocus>
<button id="allow">Allow</button></form>"#,
    )
}

#[derive(Deserialize)]
struct PinForm {
    pin: String,
}

async fn receive_consent(
    State(shared): State<SharedState>,
    Form(form): Form<PinForm>,
) -> Html<String> {
    shared
        .0
        .submissions
        .push("pin", true, &[("pin", &form.pin)]);
    let origin = &shared.0.origin;
    pages::frame(
        "Contoso ID",
        &format!(
            r#"<h1>Thank you</h1><script>opener.postMessage("allowed", "{origin}"); close();</script>"#
        ),
    )
}

/// The same form at both origins; what it is sent tells which of them got it.
async fn form() -> Html<String> {
    pages::frame(
        "Sign in",
        r#"<h1>Sign in</h1><form method="post" action="/extra/form"><label for="password">Password</label>
<input id="password" name="password" type="password" autofocus><button id="next">Continue</button></form>"#,
    )
}

/// The form with nothing around it, for a frame in another site's page.
async fn bare() -> Html<&'static str> {
    Html(
        r#"<!doctype html><meta charset="utf-8"><title>Contoso ID</title><style>body { margin: 0; font: 16px sans-serif; }
input { position: absolute; left: 10px; top: 40px; width: 200px; height: 40px; box-sizing: border-box; }</style>
<form method="post" action="/extra/form"><label for="password">PIN</label><input id="password" name="password" type="password"></form>"#,
    )
}

#[derive(Deserialize)]
struct SecretForm {
    password: String,
}

async fn receive_form(
    State(shared): State<SharedState>,
    headers: axum::http::HeaderMap,
    Form(form): Form<SecretForm>,
) -> impl IntoResponse {
    let host = headers.get("host").and_then(|host| host.to_str().ok());
    let fields = [
        ("host", host.unwrap_or_default()),
        ("password", form.password.as_str()),
    ];
    shared.0.submissions.push("form", true, &fields);
    pages::frame("Thank you", r#"<h1 id="sent">Thank you</h1>"#)
}

async fn redirect_to_other(State(shared): State<SharedState>) -> Redirect {
    Redirect::to(&format!("{}/extra/form", shared.0.other_origin))
}
