//! Pages for what the browser draws outside their pixels: lists, calendars, HTTP authentication, file
//! choosers, permissions, passkeys, windows.

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{pages, report::REPORT_SCRIPT, state::SharedState};

/// Who may enter by HTTP authentication.
const STAFF_CREDENTIALS: (&str, &str) = ("staff", "brass-kettle-7");
/// The largest file that the pages post, with its name around it.
const MAX_POST_BYTES: usize = 40 * 1024 * 1024;

/// Routes at both origins, so that a page can frame one of the other.
pub(super) fn router() -> Router<SharedState> {
    let receive = post(receive_file).layer(DefaultBodyLimit::max(MAX_POST_BYTES));
    Router::new()
        .route("/native/controls", get(controls))
        .route("/native/frame", get(frame))
        .route("/native/staff", get(staff))
        .route("/native/staff/data", get(staff_data))
        .route("/native/asks", get(permission_requests))
        .route("/native/files", get(files))
        .route("/native/file", receive)
        .route("/native/window", get(window))
}

const COUNTRY_LIST: &str = r#"<select id="country"><option value="" disabled selected>Country</option>
<optgroup label="Nordic"><option value="ax">Åland</option><option value="dk">Denmark</option></optgroup>
<optgroup label="Closed" disabled><option value="zz">Nowhere</option></optgroup></select>"#;

/// Every kind of control, in a shadow tree and in frames of either origin as well.
async fn controls(State(shared): State<SharedState>) -> Html<String> {
    let other = &shared.0.other_origin;
    pages::frame(
        "Controls",
        &format!(
            r#"{REPORT_SCRIPT}<style>main {{ width: 100%; margin: 0; padding: 8px; display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 8px; }}
header, footer {{ display: none; }} input, select {{ padding: 6px; height: 44px; }} #multi {{ height: 88px; }} iframe {{ width: 100%; height: 60px; border: 0; }} button {{ margin: 0; }}</style>
{COUNTRY_LIST}<input id="day" type="date" min="1900-01-01" value="2001-02-03"><input id="time" type="time"><input id="stamp" type="datetime-local">
<input id="month" type="month"><input id="week" type="week"><input id="colour" type="color"><button id="show">Calendar</button>
<input id="city" list="cities" placeholder="City"><datalist id="cities"><option>Aarhus</option><option>Aalborg</option><option>Odense</option></datalist>
<div id="host"></div>
<select id="multi" multiple><option value="a">Alpha</option><option value="b" selected>Beta</option><option value="c">Gamma</option></select>
<select id="custom"><option>One</option><option>Two</option></select>
<iframe src="/native/frame"></iframe><iframe src="{other}/native/frame"></iframe>
<script>
document.getElementById("host").attachShadow({{ mode: "open" }}).innerHTML = '<select id="inner" style="width:100%;height:44px"><option>Inside</option><option>Outside</option></select>';
document.getElementById("show").onclick = () => document.getElementById("day").showPicker();
for (const type of ["input", "change"]) addEventListener(type, (e) => {{
  const at = e.composedPath()[0];
  const value = at.multiple ? [...at.selectedOptions].map((o) => o.value) : at.value;
  report(`${{type}} ${{at.id}}`, value);
}}, true);
document.getElementById("host").shadowRoot.addEventListener("change", (e) => report("change inner", e.target.value));
// As frameworks do: what the script set is told from what the user did.
const own = Object.getOwnPropertyDescriptor(HTMLSelectElement.prototype, "value");
Object.defineProperty(document.getElementById("custom"), "value", {{ get() {{ return own.get.call(this); }}, set(v) {{ report("script set", v); own.set.call(this, v); }} }});
</script>"#
        ),
    )
}

async fn frame() -> Html<String> {
    Html(format!(
        r#"<!doctype html>{REPORT_SCRIPT}<body style="margin:0">{COUNTRY_LIST}<script>
const list = document.getElementById("country"); list.style.cssText = "width:100%;height:44px";
list.onchange = () => report(`change framed ${{location.hostname}}`, list.value);
</script>"#
    ))
}

fn is_authorized(headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok());
    let (user, password) = STAFF_CREDENTIALS;
    let wanted = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    given == Some(wanted.as_str())
}

fn challenge() -> Response {
    let realm = r#"Basic realm="Northwind staff", charset="UTF-8""#;
    let answer = (
        [(header::WWW_AUTHENTICATE, realm)],
        "Not without a password.",
    );
    (StatusCode::UNAUTHORIZED, answer).into_response()
}

async fn staff(State(shared): State<SharedState>, headers: HeaderMap) -> Response {
    let ok = is_authorized(&headers);
    let given = headers.contains_key(header::AUTHORIZATION);
    shared
        .0
        .submissions
        .push("staff", ok, &[("given", &given.to_string())]);
    if !ok {
        return challenge();
    }
    let page = format!(
        r#"{REPORT_SCRIPT}<h1 id="staff">Staff only</h1><script>
Promise.all([1, 2, 3].map(() => fetch("/native/staff/data").then((r) => r.status))).then((all) => report("data", all));
</script>"#
    );
    pages::frame("Staff", &page).into_response()
}

async fn staff_data(headers: HeaderMap) -> Response {
    if is_authorized(&headers) {
        "data".into_response()
    } else {
        challenge()
    }
}

/// What a headless browser would ask for in a window that nobody sees.
async fn permission_requests() -> Html<String> {
    pages::frame(
        "Asks",
        &format!(
            r#"{REPORT_SCRIPT}<style>button {{ margin-top: 8px; }}</style><h1>Asks</h1>
<button id="passkey">Sign in with a passkey</button><button id="create">Make a passkey</button>
<button id="where">Where am I</button><button id="camera">Camera</button><button id="notify">Notify me</button>
<script>
const said = (name) => (e) => report(name, e?.name ?? e?.code ?? e);
const on = (id, work) => document.getElementById(id).onclick = () => work(said(id));
const challenge = new Uint8Array(32);
on("passkey", (say) => navigator.credentials.get({{ publicKey: {{ challenge }} }}).then(say, say));
on("create", (say) => navigator.credentials.create({{ publicKey: {{ challenge, rp: {{ name: "Northwind" }},
  user: {{ id: challenge, name: "ada", displayName: "Ada" }}, pubKeyCredParams: [{{ type: "public-key", alg: -7 }}] }} }}).then(say, say));
on("where", (say) => navigator.geolocation.getCurrentPosition(say, say));
on("camera", (say) => navigator.mediaDevices.getUserMedia({{ video: true }}).then(say, say));
on("notify", (say) => Notification.requestPermission().then(say, say));
</script>"#
        ),
    )
}

async fn files() -> Html<String> {
    pages::frame(
        "Identity",
        &format!(
            r#"{REPORT_SCRIPT}<h1>Show who you are</h1><label for="card">Both sides of your card</label>
<input id="card" type="file" multiple accept="image/*,.pdf"><script>
const card = document.getElementById("card");
card.oncancel = () => report("cancel", card.files.length);
card.onchange = async () => {{
  for (const file of card.files) {{
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    const hex = [...digest].map((b) => b.toString(16).padStart(2, "0")).join("");
    await fetch("/native/file", {{ method: "POST", body: file, headers: {{ "x-name": encodeURIComponent(file.name), "x-type": file.type, "x-sha256": hex }} }});
  }}
}};
</script>"#
        ),
    )
}

async fn receive_file(
    State(shared): State<SharedState>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let size = body.len().to_string();
    let fields = [
        ("name", field("x-name").unwrap_or_default()),
        ("type", field("x-type").unwrap_or_default()),
        ("sha256", field("x-sha256").unwrap_or_default()),
        ("size", &size),
    ];
    shared.0.submissions.push("file", true, &fields);
    StatusCode::NO_CONTENT
}

/// A page that opens a window, which stays open.
async fn window(State(shared): State<SharedState>) -> Html<String> {
    let other = &shared.0.other_origin;
    pages::frame(
        "Terms",
        &format!(
            r#"{REPORT_SCRIPT}<h1>Terms</h1><button id="open" onclick="window.open('{other}/oauth', '_blank')">Read the terms</button>
<button id="here" onclick="report('here', document.visibilityState)">I am here</button>"#
        ),
    )
}
