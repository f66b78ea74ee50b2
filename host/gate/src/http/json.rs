//! The `/json` endpoints, as Chromium's debugging port has them.

use authloop_cdp::{Browser, BrowserError};
use authloop_gate_core::{is_web_address, is_web_target};
use axum::{
    Json,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::RequestTarget;
use crate::GatedBrowser;

/// Says nothing about pages, so it is answered while the gate is closed too.
pub(super) async fn version(target: &RequestTarget) -> Response {
    let version = target
        .browser
        .0
        .browser
        .call("Browser.getVersion", json!({}))
        .await;
    let version = match version {
        Ok(version) => version,
        Err(error) => return failed(&error),
    };
    Json(json!({
        "Browser": version["product"],
        "Protocol-Version": version["protocolVersion"],
        "User-Agent": version["userAgent"],
        "V8-Version": version["jsVersion"],
        "WebKit-Version": version["revision"],
        "webSocketDebuggerUrl": format!("ws://{}/devtools/browser/{}", target.base, target.browser.0.id),
    }))
    .into_response()
}

pub(super) async fn list(target: &RequestTarget) -> Response {
    let answer = call_while_open(&target.browser, "Target.getTargets", json!({})).await;
    match answer {
        Ok(answer) => {
            let infos = answer["targetInfos"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            Json(
                infos
                    .iter()
                    .filter(|info| is_web_target(info))
                    .map(|info| target_entry(target, info))
                    .collect::<Vec<_>>(),
            )
            .into_response()
        }
        Err(refused) => refused,
    }
}

pub(super) async fn new(target: &RequestTarget, query: Option<&str>) -> Response {
    let url = percent_decode(query.unwrap_or_default());
    let url = if url.is_empty() { "about:blank" } else { &url };
    if !is_web_address(url) {
        let why = "authloop: agents may open http, https and data addresses and about:blank";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let made = match call_while_open(
        &target.browser,
        "Target.createTarget",
        json!({ "url": url }),
    )
    .await
    {
        Ok(made) => made,
        Err(refused) => return refused,
    };
    let params = json!({ "targetId": made["targetId"] });
    match call_while_open(&target.browser, "Target.getTargetInfo", params).await {
        Ok(answer) => Json(target_entry(target, &answer["targetInfo"])).into_response(),
        Err(refused) => refused,
    }
}

/// Activates or closes a target.
pub(super) async fn call_on_target(
    target: &RequestTarget,
    method: &str,
    id: &str,
    done: &'static str,
) -> Response {
    match call_while_open(&target.browser, method, json!({ "targetId": id })).await {
        Ok(_) => done.into_response(),
        Err(refused) => refused,
    }
}

/// A pipe cannot tell; another instance of the same program can, and has nothing to hide.
pub(super) async fn protocol(target: &RequestTarget) -> Response {
    let gated = &target.browser.0;
    let found = gated.protocol.get_or_try_init(|| async {
        match (&gated.process, &gated.upstream) {
            (_, Some(address)) => Browser::protocol(address).await,
            (Some(process), None) => {
                let other = process.another().start().await?;
                Browser::protocol(&other.http_url()).await
            }
            (None, None) => Err(BrowserError::Unexpected("/json/protocol".to_owned())),
        }
    });
    match found.await {
        Ok(protocol) => (
            [(CONTENT_TYPE, "application/json; charset=UTF-8")],
            protocol.clone(),
        )
            .into_response(),
        Err(error) => failed(&error),
    }
}

fn target_entry(target: &RequestTarget, info: &Value) -> Value {
    let id = info["targetId"].as_str().unwrap_or_default();
    json!({
        "description": "",
        "id": id,
        "title": info["title"],
        "type": info["type"],
        "url": info["url"],
        "webSocketDebuggerUrl": format!("ws://{}/devtools/page/{id}", target.base),
    })
}

/// Calls the browser for an agent: only while the gate is open, before and after.
async fn call_while_open(
    gated: &GatedBrowser,
    method: &str,
    params: Value,
) -> Result<Value, Response> {
    let shut = || {
        let why = json!({ "error": "authloop: the user has the browser; the gate is closed until the handoff ends" });
        (StatusCode::SERVICE_UNAVAILABLE, Json(why)).into_response()
    };
    if gated.is_closed() {
        return Err(shut());
    }
    let answer = gated.0.browser.call(method, params).await;
    if gated.is_closed() {
        return Err(shut());
    }
    answer.map_err(|error| failed(&error))
}

fn failed(error: &BrowserError) -> Response {
    let status = match error {
        BrowserError::Cdp { .. } => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_GATEWAY,
    };
    (status, error.to_string()).into_response()
}

/// RFC 3986 section 2.1; a plus sign is itself, as in Chromium.
fn percent_decode(text: &str) -> String {
    // The whole query is one address, which may have `=` and `&` of its own.
    let whole = text
        .replace('+', "%2B")
        .replace('=', "%3D")
        .replace('&', "%26");
    let decoded = url::form_urlencoded::parse(whole.as_bytes()).next();
    decoded
        .map(|(address, _)| address.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_pages_address_is_the_whole_query() {
        assert_eq!(percent_decode("http://h/?a=b&c=d+e"), "http://h/?a=b&c=d+e");
        assert_eq!(percent_decode("http%3A%2F%2Fh%2F%3Fa%3Db"), "http://h/?a=b");
    }
}
