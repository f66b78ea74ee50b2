//! How the agent's browser presents itself to sites, so that a session that was bound to that goes on there.
//! What the agent's browser says is data: checked here, and set by CDP; never a script of the agent's.

use authloop_cdp::{Browser, BrowserError, CdpSessionId, EventScope, Page, TargetId};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Asks a document of the agent's, in a world that its scripts do not reach.
const IDENTITY_SCRIPT: &str = r#"(async () => {
  const names = ["architecture", "bitness", "fullVersionList", "model", "platformVersion", "wow64"];
  const hints = await navigator.userAgentData?.getHighEntropyValues(names).catch(() => undefined);
  return {
    userAgent: navigator.userAgent,
    platform: navigator.platform,
    languages: [...navigator.languages],
    timeZone: new Intl.DateTimeFormat().resolvedOptions().timeZone,
    hints,
  };
})()"#;
const WORLD_NAME: &str = "authloop-identity";
const MAX_USER_AGENT_BYTES: usize = 512;
const MAX_HINT_BYTES: usize = 128;
const MAX_LANGUAGES: usize = 16;
const MAX_BRANDS: usize = 16;
/// New pages that may wait to be set up.
const MAX_PENDING_PAGES: usize = 64;

/// A browser's user agent with its client hints, its languages and its time zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientIdentity {
    user_agent: Option<String>,
    platform: Option<String>,
    hints: Option<Value>,
    languages: Vec<String>,
    time_zone: Option<String>,
}

/// What the script says.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    user_agent: String,
    platform: String,
    languages: Vec<String>,
    time_zone: String,
    hints: Option<Hints>,
}

/// User-Agent Client Hints (`NavigatorUAData`).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Hints {
    brands: Vec<Brand>,
    full_version_list: Vec<Brand>,
    mobile: bool,
    platform: String,
    platform_version: String,
    architecture: String,
    bitness: String,
    model: String,
    wow64: bool,
}

#[derive(Deserialize)]
struct Brand {
    brand: String,
    version: String,
}

impl ClientIdentity {
    /// Asks the document that `page` shows.
    ///
    /// # Errors
    /// What the browser says against it.
    pub async fn read(page: &Page) -> Result<Self, BrowserError> {
        let tree = page.call("Page.getFrameTree", json!({})).await?;
        let frame = &tree["frameTree"]["frame"];
        let world = page.isolated_world(frame, WORLD_NAME).await?;
        let answer = page.evaluate_in(world, IDENTITY_SCRIPT).await?;
        let answer = Answer::deserialize(answer);
        Ok(Self::checked(answer.unwrap_or_default()))
    }

    fn checked(answer: Answer) -> Self {
        let text = |text: String, max: usize| is_header_text(&text, max).then_some(text);
        let languages = answer.languages.into_iter();
        let languages = languages.filter(|tag| is_language(tag));
        Self {
            user_agent: text(answer.user_agent, MAX_USER_AGENT_BYTES),
            platform: text(answer.platform, MAX_HINT_BYTES),
            hints: answer.hints.and_then(Hints::into_cdp),
            languages: languages.take(MAX_LANGUAGES).collect(),
            time_zone: Some(answer.time_zone).filter(|zone| is_time_zone(zone)),
        }
    }

    /// The commands that make a page present itself so.
    fn commands(&self) -> Vec<(&'static str, Value)> {
        let mut commands = Vec::new();
        if let Some(user_agent) = &self.user_agent {
            let mut params = json!({ "userAgent": user_agent });
            if !self.languages.is_empty() {
                params["acceptLanguage"] = self.languages.join(",").into();
            }
            if let Some(platform) = &self.platform {
                params["platform"] = platform.clone().into();
            }
            if let Some(hints) = &self.hints {
                params["userAgentMetadata"] = hints.clone();
            }
            commands.push(("Emulation.setUserAgentOverride", params));
        }
        if let Some(zone) = &self.time_zone {
            let params = json!({ "timezoneId": zone });
            commands.push(("Emulation.setTimezoneOverride", params));
        }
        commands
    }
}

impl Hints {
    /// CDP's `UserAgentMetadata`; `None` if a part is not what a header may hold.
    fn into_cdp(self) -> Option<Value> {
        let brands = |brands: Vec<Brand>| {
            let ok = brands.len() <= MAX_BRANDS
                && brands.iter().all(|Brand { brand, version }| {
                    is_header_text(brand, MAX_HINT_BYTES) && is_header_text(version, MAX_HINT_BYTES)
                });
            let brand =
                |Brand { brand, version }: Brand| json!({ "brand": brand, "version": version });
            ok.then(|| brands.into_iter().map(brand).collect::<Vec<_>>())
        };
        let texts = [
            &self.platform,
            &self.platform_version,
            &self.architecture,
            &self.bitness,
            &self.model,
        ];
        let ok = |text: &&String| text.is_empty() || is_header_text(text, MAX_HINT_BYTES);
        texts.iter().all(ok).then_some(())?;
        Some(json!({
            "brands": brands(self.brands)?,
            "fullVersionList": brands(self.full_version_list)?,
            "mobile": self.mobile,
            "platform": self.platform,
            "platformVersion": self.platform_version,
            "architecture": self.architecture,
            "bitness": self.bitness,
            "model": self.model,
            "wow64": self.wow64,
        }))
    }
}

/// Makes every page of a browser present itself as another one does, the windows that open later before they
/// load anything; ends when dropped.
#[derive(Debug)]
pub(crate) struct Presenting(JoinHandle<()>);

impl Drop for Presenting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Presenting {
    /// Begins with the pages that are there.
    pub(crate) async fn start(
        browser: &Browser,
        identity: &ClientIdentity,
    ) -> Result<Self, BrowserError> {
        let methods = ["Target.attachedToTarget"];
        let scope = EventScope::Only(None);
        let mut attached = browser
            .connection()
            .subscribe(scope, &methods, MAX_PENDING_PAGES);
        let commands = identity.commands();
        let (ready, first) = tokio::sync::oneshot::channel();
        let mut ready = Some(ready);
        let task = tokio::spawn({
            let browser = browser.clone();
            async move {
                while let Some(event) = attached.recv().await {
                    let params = &event.params;
                    let session = params["sessionId"].as_str().unwrap_or_default();
                    let target = params["targetInfo"]["targetId"].as_str();
                    let target = TargetId::from(target.unwrap_or_default());
                    let page = browser.auto_attached(target, CdpSessionId::from(session));
                    let waits = params["waitingForDebugger"] == true;
                    present(&page, &commands, waits).await;
                    if let Some(ready) = ready.take() {
                        let _nobody_waits = ready.send(());
                    }
                }
            }
        });
        let presenting = Self(task);
        let params = json!({
            "autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true,
            "filter": [{ "type": "page" }],
        });
        browser.call("Target.setAutoAttach", params).await?;
        let _the_task_ended = first.await;
        Ok(presenting)
    }
}

async fn present(page: &Page, commands: &[(&'static str, Value)], waits: bool) {
    for (method, params) in commands {
        if let Err(error) = page.call(method, params.clone()).await {
            tracing::debug!(%error, "a room's page does not present itself as the agent's");
        }
    }
    if waits {
        let _page_gone = page
            .call("Runtime.runIfWaitingForDebugger", json!({}))
            .await;
    }
}

/// Printable ASCII: what a header field may hold (RFC 9110 section 5.5), and no more than `max` bytes of it.
fn is_header_text(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The form of a language tag (RFC 5646 section 2.1).
fn is_language(tag: &str) -> bool {
    tag.len() <= 35
        && tag.split('-').all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// The form of a name in the time zone database (`Europe/Vienna`).
fn is_time_zone(zone: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-_/".contains(&byte);
    (1..=64).contains(&zone.len()) && zone.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(answer: Value) -> ClientIdentity {
        ClientIdentity::checked(Answer::deserialize(answer).unwrap())
    }

    #[test]
    fn what_a_header_cannot_hold_is_left_out() {
        let identity = checked(json!({
            "userAgent": "Mozilla/5.0\r\nX-Evil: 1",
            "platform": "Linux x86_64",
            "languages": ["de-AT", "en", "x\"", "", "toolongsubtag"],
            "timeZone": "Europe/Vienna",
            "hints": { "brands": [{ "brand": "a\u{1}", "version": "1" }] },
        }));
        assert_eq!(
            identity,
            ClientIdentity {
                user_agent: None,
                platform: Some("Linux x86_64".to_owned()),
                hints: None,
                languages: vec!["de-AT".to_owned(), "en".to_owned()],
                time_zone: Some("Europe/Vienna".to_owned()),
            }
        );
    }

    #[test]
    fn a_page_is_told_all_that_was_learnt() {
        let identity = checked(json!({
            "userAgent": "Agent/1", "platform": "Linux", "languages": ["de", "en"],
            "timeZone": "UTC",
            "hints": { "brands": [{ "brand": "Chromium", "version": "156" }], "platform": "Linux" },
        }));
        let commands = identity.commands();
        assert_eq!(commands[0].1["acceptLanguage"], "de,en");
        assert_eq!(commands[0].1["userAgentMetadata"]["platform"], "Linux");
        assert_eq!(commands[1].1, json!({ "timezoneId": "UTC" }));
        assert!(ClientIdentity::default().commands().is_empty());
    }
}
