//! Local storage and IndexedDB of an origin, read on a page of our own.

use authloop_cdp::{Browser, BrowserError, Page, TargetId};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{Item, NO_DATABASES, OriginStorage};

/// Requests of the reading page that may wait: it makes one, and perhaps one for an icon.
const MAX_PENDING_REQUESTS: usize = 16;
/// Gives the databases as JSON, in Playwright's format.
const INDEXED_DB_SCRIPT: &str = include_str!("indexeddb.js");

/// Reads all that `origin` keeps in `page`'s browser context.
pub(super) async fn read(
    browser: &Browser,
    page: &Page,
    origin: String,
) -> Result<OriginStorage, BrowserError> {
    let info = page.call("Target.getTargetInfo", json!({})).await?;
    let mut params = json!({ "url": "about:blank", "background": true });
    if let Some(context) = info["targetInfo"]["browserContextId"].as_str() {
        params["browserContextId"] = context.into();
    }
    let created = browser.call("Target.createTarget", params).await?;
    let target = created["targetId"].as_str().map(TargetId::from);
    let target = target.ok_or_else(|| unexpected("Target.createTarget"))?;
    let read = read_on(browser, &target, &origin).await;
    let close = json!({ "targetId": target.as_str() });
    let _closed_with_the_browser = browser.call("Target.closeTarget", close).await;
    browser.forget(&target).await;
    let (items, databases) = read?;
    Ok(OriginStorage {
        origin,
        items,
        databases,
    })
}

async fn read_on(
    browser: &Browser,
    target: &TargetId,
    origin: &str,
) -> Result<(Vec<Item>, SecretString), BrowserError> {
    let reader = browser.attach(target).await?;
    let mut requests = reader.subscribe(&["Fetch.requestPaused"], MAX_PENDING_REQUESTS);
    // A service worker would answer before us.
    let bypass = json!({ "bypass": true });
    reader.call("Network.enable", json!({})).await?;
    reader
        .call("Network.setBypassServiceWorker", bypass)
        .await?;
    reader.call("Fetch.enable", json!({})).await?;
    let answering = {
        let reader = reader.clone();
        async move {
            while let Some(request) = requests.recv().await {
                let answer = json!({
                    "requestId": request.params["requestId"],
                    "responseCode": 200,
                    "responseHeaders": [{ "name": "content-type", "value": "text/html" }],
                    "body": STANDARD.encode("<!doctype html>"),
                });
                if reader.post("Fetch.fulfillRequest", answer).await.is_err() {
                    return;
                }
            }
        }
    };
    let reading = async {
        let url = json!({ "url": format!("{origin}/") });
        let navigated = reader.call("Page.navigate", url).await?;
        if navigated["errorText"].is_string() {
            return Err(unexpected("Page.navigate"));
        }
        let expression = "location.origin + '\\n' + JSON.stringify(Object.entries(localStorage))";
        let params = json!({ "expression": expression, "returnByValue": true });
        let answer = reader.call("Runtime.evaluate", params).await?;
        let text = answer["result"]["value"].as_str().unwrap_or_default();
        let (read, entries) = text.split_once('\n').unwrap_or_default();
        if read != origin {
            return Err(unexpected("Runtime.evaluate"));
        }
        let items = parse(entries).ok_or_else(|| unexpected("Runtime.evaluate"))?;
        let params = json!({
            "expression": INDEXED_DB_SCRIPT, "returnByValue": true, "awaitPromise": true,
        });
        let mut answer = reader.call("Runtime.evaluate", params).await?;
        Ok((items, databases(answer["result"]["value"].take())))
    };
    tokio::select! {
        read = reading => read,
        () = answering => Err(browser.ended().await),
    }
}

fn parse(entries: &str) -> Option<Vec<Item>> {
    #[derive(Deserialize)]
    struct Entry(String, SecretString);
    let entries: Vec<Entry> = serde_json::from_str(entries).ok()?;
    let item = |Entry(name, value)| Item { name, value };
    Some(entries.into_iter().map(item).collect())
}

/// What the script gave. Databases that cannot be read are left out: the rest is worth having.
fn databases(answer: Value) -> SecretString {
    #[derive(Deserialize)]
    struct Read {
        databases: SecretString,
        skipped: u32,
    }
    match Read::deserialize(answer) {
        Ok(Read { databases, skipped })
            if serde_json::from_str::<IgnoredAny>(databases.expose_secret()).is_ok() =>
        {
            if skipped > 0 {
                tracing::warn!(skipped, "databases or records were left out");
            }
            databases
        }
        _ => {
            tracing::warn!("the databases could not be read");
            NO_DATABASES.into()
        }
    }
}

fn unexpected(method: &str) -> BrowserError {
    BrowserError::Unexpected(method.to_owned())
}
