//! A page that shows an empty document of any origin: every request is answered here, so that no site sees a
//! visit and no script of a site runs. What the origin stores can be read and written from there.

use std::time::Duration;

use authloop_cdp::{Browser, BrowserError, Page};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::time::timeout;

/// The typed arrays by the names that Playwright gives them, as source of an object.
pub(crate) const ARRAYS: &str = "{
    i8: Int8Array, ui8: Uint8Array, ui8c: Uint8ClampedArray, i16: Int16Array, ui16: Uint16Array,
    i32: Int32Array, ui32: Uint32Array, f32: Float32Array, f64: Float64Array,
    bi64: BigInt64Array, bui64: BigUint64Array,
}";
/// Requests that may wait: a document makes one, and perhaps one for an icon.
const MAX_PENDING_EVENTS: usize = 64;
/// How long an empty document may take; a page that hangs is given up.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// A page whose requests are answered here, until [`EmptyPage::release`].
pub(crate) struct EmptyPage {
    /// A session of its own, so that what is set on it ends with it.
    page: Page,
    answering: tokio::task::JoinHandle<()>,
}

impl Drop for EmptyPage {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

impl EmptyPage {
    /// Takes a page over. What it shows stays until [`EmptyPage::show`].
    pub(crate) async fn take(browser: &Browser, page: &Page) -> Result<Self, BrowserError> {
        // A socket that is one page's own has no other session.
        let page = if browser.is_one_page() {
            page.clone()
        } else {
            browser.session(page.target()).await?
        };
        let mut events = page.subscribe(
            &["Fetch.requestPaused", "Page.javascriptDialogOpening"],
            MAX_PENDING_EVENTS,
        );
        page.call("Page.enable", json!({})).await?;
        // A service worker would answer before us.
        page.call("Network.enable", json!({})).await?;
        let bypass = json!({ "bypass": true });
        page.call("Network.setBypassServiceWorker", bypass).await?;
        page.call("Fetch.enable", json!({})).await?;
        let answering = {
            let page = page.clone();
            tokio::spawn(async move {
                while let Some(event) = events.recv().await {
                    let (method, params) = answer(&event.method, &event.params);
                    if page.post(method, params).await.is_err() {
                        return;
                    }
                }
            })
        };
        Ok(Self { page, answering })
    }

    /// Shows an empty document of `origin`.
    pub(crate) async fn show(&self, origin: &str) -> Result<(), BrowserError> {
        let url = json!({ "url": format!("{origin}/") });
        let navigated = timeout(OPEN_TIMEOUT, self.page.call("Page.navigate", url)).await;
        let navigated =
            navigated.map_err(|_| BrowserError::Timeout("Page.navigate".to_owned()))??;
        if navigated["errorText"].is_string() {
            return Err(unexpected("Page.navigate"));
        }
        let shown = self.evaluate("location.origin").await?;
        if shown.as_str() == Some(origin) {
            Ok(())
        } else {
            Err(unexpected("Page.navigate"))
        }
    }

    /// Evaluates in the document's main world, which has no script but ours.
    pub(crate) async fn evaluate(&self, expression: &str) -> Result<Value, BrowserError> {
        let params = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
        });
        let mut answer = self.page.call("Runtime.evaluate", params).await?;
        if answer["exceptionDetails"].is_object() {
            return Err(unexpected("Runtime.evaluate"));
        }
        Ok(answer["result"]["value"].take())
    }

    /// Calls a function with arguments, both given as source.
    pub(crate) async fn call(
        &self,
        function: &str,
        arguments: &str,
    ) -> Result<Value, BrowserError> {
        let function = function.trim_end().trim_end_matches(';');
        let call = SecretString::from(format!("({function})({arguments})"));
        self.evaluate(call.expose_secret()).await
    }

    /// Lets requests go to their sites again.
    pub(crate) async fn release(self) -> Result<(), BrowserError> {
        self.page.call("Fetch.disable", json!({})).await?;
        let bypass = json!({ "bypass": false });
        self.page
            .call("Network.setBypassServiceWorker", bypass)
            .await?;
        self.page.detach().await;
        Ok(())
    }
}

/// What is done about an event of the page's.
fn answer(method: &str, params: &Value) -> (&'static str, Value) {
    if method == "Page.javascriptDialogOpening" {
        // The old document's question whether it may be left.
        return ("Page.handleJavaScriptDialog", json!({ "accept": true }));
    }
    let fulfilled = json!({
        "requestId": params["requestId"],
        "responseCode": 200,
        "responseHeaders": [{ "name": "content-type", "value": "text/html" }],
        "body": STANDARD.encode("<!doctype html>"),
    });
    ("Fetch.fulfillRequest", fulfilled)
}

pub(crate) fn unexpected(method: &str) -> BrowserError {
    BrowserError::Unexpected(method.to_owned())
}
