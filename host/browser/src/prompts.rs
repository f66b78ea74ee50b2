//! Prompts that the browser would draw outside the page's pixels, for the viewer to draw instead.
//!
//! A screencast shows the page and nothing else: no list of a `select`, no calendar, no question for a
//! passkey or a password, no file dialog. Two scripts in each document and three CDP events tell of
//! them. All of it is on only between
//! [`Follower::begin_user_control`](super::Follower::begin_user_control) and
//! [`Follower::end_user_control`](super::Follower::end_user_control): the browser is the agent's before
//! and after.

use std::{collections::BTreeMap, sync::Arc};

use authloop_cdp::{BrowserError, CdpSessionId, Connection};
use authloop_protocol::browser_ui::{
    MAX_LABEL_CHARS, MAX_PICKER_OPTIONS, Picker, PickerKind, PickerOption,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::focus::{self, FrameSource};

/// In an isolated world of each frame.
const PICKERS_SCRIPT: &str = include_str!("prompts/pickers.js");
/// In the page's own world.
const REFUSED_SCRIPT: &str = include_str!("prompts/refused.js");

/// The most bytes of a picker's options as JSON, so that it fits one output record.
const MAX_OPTION_BYTES: usize = 48 * 1024;

/// A prompt that the browser would have shown the user unseen, and that was refused instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedPrompt {
    /// A passkey or a security key (`navigator.credentials`, WebAuthn).
    Passkey,
    /// An account of the browser's (FedCM).
    Identity,
    /// Camera or microphone.
    Camera,
    /// The screen.
    Screen,
    /// Where the user is.
    Geolocation,
    /// Notifications.
    Notifications,
    /// The clipboard.
    Clipboard,
    /// Files by another way than an `input`.
    Files,
    /// Anything else: devices, payment, storage access.
    Other,
    /// An answer of the user's that the page could not take any more.
    Answer,
}

impl RefusedPrompt {
    /// Every kind that `refused.js` reports.
    const REPORTED: [Self; 9] = [
        Self::Passkey,
        Self::Identity,
        Self::Camera,
        Self::Screen,
        Self::Geolocation,
        Self::Notifications,
        Self::Clipboard,
        Self::Files,
        Self::Other,
    ];

    /// Its name in the scripts.
    fn code(self) -> &'static str {
        match self {
            Self::Passkey => "passkey",
            Self::Identity => "identity",
            Self::Camera => "camera",
            Self::Screen => "screen",
            Self::Geolocation => "geolocation",
            Self::Notifications => "notifications",
            Self::Clipboard => "clipboard",
            Self::Files => "files",
            Self::Other => "other",
            Self::Answer => "answer",
        }
    }
}

/// How often each kind was refused since the following began.
pub type Refusals = BTreeMap<RefusedPrompt, u64>;

/// A challenge of HTTP authentication, which holds its request until it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthChallenge {
    /// Differs from every other of this session.
    pub id: u32,
    /// Who asks (RFC 6454).
    pub origin: String,
    /// The realm, in the site's words.
    pub realm: String,
}

/// A file chooser that the page opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChooser {
    /// Differs from every other of this session.
    pub id: u32,
    /// The origin of the frame that asks.
    pub origin: String,
    /// Whether it takes several files.
    pub multiple: bool,
    /// The input's `accept`, or empty.
    pub accept: String,
}

/// The user's answer, with the id of the prompt that it is for.
pub enum PromptAnswer {
    /// To a picker. Neither: it is put away.
    Pick {
        /// Which picker.
        id: u32,
        /// Places of options.
        options: Option<Vec<u16>>,
        /// A value.
        value: Option<String>,
    },
    /// To a challenge: name and password, or none to cancel.
    Auth {
        /// Which challenge.
        id: u32,
        /// The user's name and password.
        credentials: Option<(String, String)>,
    },
    /// To a file chooser: where the files are, or none to cancel.
    Files {
        /// Which chooser.
        id: u32,
        /// Paths as the browser sees them.
        paths: Vec<String>,
    },
}

/// Names the kind only: what was typed must never reach a log.
impl std::fmt::Debug for PromptAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pick { .. } => "Pick",
            Self::Auth { .. } => "Auth",
            Self::Files { .. } => "Files",
        })
    }
}

/// A picker that the user is offered, and the element behind it.
#[derive(Debug, Clone)]
pub(super) struct OfferedPicker {
    pub(super) picker: Arc<Picker>,
    pub(super) source: FrameSource,
    /// The element's number in its document.
    pub(super) number: u64,
}

/// What `pickers.js` reports of a frame.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FrameReport {
    /// A control was opened, or what was offered is over.
    Picker(Option<PickerReport>),
    /// Something was refused.
    Refused(RefusedPrompt),
}

/// A control, in the words of `pickers.js`, which take them from the page.
#[derive(Debug, Deserialize)]
pub(super) struct PickerReport {
    pub(super) number: u64,
    label: String,
    kind: PickerKind,
    #[serde(default)]
    multiple: bool,
    #[serde(default)]
    options: Vec<PickerOption>,
    #[serde(default)]
    truncated: bool,
    #[serde(default)]
    value: String,
    #[serde(default)]
    min: String,
    #[serde(default)]
    max: String,
    #[serde(default)]
    step: String,
}

impl PickerReport {
    /// The same within the bounds of the wire.
    pub(super) fn bounded(self, id: u32) -> Picker {
        let mut truncated = self.truncated;
        let mut bytes = 0;
        let mut options = Vec::with_capacity(self.options.len().min(MAX_PICKER_OPTIONS));
        for option in self.options {
            let option = PickerOption {
                label: truncate_label(option.label),
                group: truncate_label(option.group),
                ..option
            };
            bytes += serde_json::to_string(&option).map_or(0, |json| json.len() + 1);
            if options.len() == MAX_PICKER_OPTIONS || bytes > MAX_OPTION_BYTES {
                truncated = true;
                break;
            }
            options.push(option);
        }
        Picker {
            id,
            kind: self.kind,
            label: truncate_label(self.label),
            multiple: self.multiple,
            options,
            truncated,
            value: truncate_label(self.value),
            min: truncate_label(self.min),
            max: truncate_label(self.max),
            step: truncate_label(self.step),
        }
    }
}

fn truncate_label(words: String) -> String {
    match words.char_indices().nth(MAX_LABEL_CHARS) {
        Some((end, _)) => words[..end].to_owned(),
        None => words,
    }
}

/// What both scripts share in one process, so that the page can neither hear nor forge it.
fn secret() -> &'static str {
    static SECRET: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    SECRET.get_or_init(|| format!("{:032x}", rand::random::<u128>()))
}

/// The script of the isolated world, called.
fn pickers() -> String {
    let codes = RefusedPrompt::REPORTED.map(RefusedPrompt::code);
    format!("({PICKERS_SCRIPT})(\"{}\", {})", secret(), json!(codes))
}

/// The scripts for every document to come and those that are open: for
/// `Page.addScriptToEvaluateOnNewDocument`. The listener comes first.
pub(super) fn scripts() -> [Value; 2] {
    let refused = format!("({REFUSED_SCRIPT})(\"{}\")", secret());
    [
        json!({ "source": pickers(), "worldName": focus::WORLD_NAME, "runImmediately": true }),
        json!({ "source": refused, "runImmediately": true }),
    ]
}

/// Documents may be asked for a password; everything else goes its way without us. A script's requests
/// fail by themselves where one is missing, and the browser would tell each one's body, many times its size.
pub(super) fn interception_params() -> Value {
    json!({
        "handleAuthRequests": true,
        "patterns": [{ "urlPattern": "*", "resourceType": "Document", "requestStage": "Request" }],
    })
}

/// Hears what a frame's document says; ends with the document, or when `ended` is cancelled, from
/// when on the browser asks by itself again.
pub(super) async fn watch<F>(
    connection: &Connection,
    source: &FrameSource,
    ended: &CancellationToken,
    mut on_report: impl FnMut(FrameReport) -> F,
) -> Result<(), BrowserError>
where
    F: Future<Output = ()>,
{
    let session = source.session.as_ref();
    let context = focus::isolated_world(connection, session, &source.frame).await?;
    evaluate(connection, session, &context, &pickers()).await?;
    loop {
        let next = json!({
            "contextId": context, "expression": "authloopNative.next()",
            "awaitPromise": true, "returnByValue": true,
        });
        let answer = connection.begin(session, "Runtime.evaluate", next).await?;
        let answer = tokio::select! {
            answer = answer => answer?,
            () = ended.cancelled() => {
                let stop = "globalThis.authloopNative?.stop(); delete globalThis.authloopNative";
                return evaluate(connection, session, &context, stop).await.map(drop);
            }
        };
        let report = answer["result"]["value"].as_str();
        match report.map(serde_json::from_str) {
            Some(Ok(report)) => on_report(report).await,
            // The script is ours, but the words are the page's.
            Some(Err(_)) => tracing::debug!("an unreadable report of a document's was passed over"),
            None => return Err(BrowserError::Unexpected("Runtime.evaluate".to_owned())),
        }
    }
}

/// Gives the user's answer to the element; whether it took it.
pub(super) async fn answer(
    connection: &Connection,
    offered: &OfferedPicker,
    options: Option<Vec<u16>>,
    value: Option<String>,
) -> Result<bool, BrowserError> {
    let session = offered.source.session.as_ref();
    let context = focus::isolated_world(connection, session, &offered.source.frame).await?;
    let answer = json!({ "options": options, "value": value });
    let give = format!(
        "globalThis.authloopNative?.answer({}, {answer})",
        offered.number
    );
    let answer = evaluate(connection, session, &context, &give).await?;
    Ok(answer["result"]["value"] == true)
}

async fn evaluate(
    connection: &Connection,
    session: Option<&CdpSessionId>,
    context: &Value,
    expression: &str,
) -> Result<Value, BrowserError> {
    let params = json!({
        "contextId": context, "expression": expression, "returnByValue": true, "userGesture": true,
    });
    connection.call(session, "Runtime.evaluate", params).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(report: Value) -> PickerReport {
        match serde_json::from_value(report).unwrap() {
            FrameReport::Picker(Some(opened)) => opened,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_select_is_told_as_it_is() {
        let opened = opened(json!({ "picker": {
            "number": 3, "label": "Country", "kind": "select", "multiple": false, "truncated": false,
            "options": [
                { "label": "–", "group": "", "disabled": true, "selected": true },
                { "label": "Åland", "group": "Europe", "disabled": false, "selected": false },
            ],
        } }));

        let picker = opened.bounded(7);

        assert_eq!((picker.id, picker.kind), (7, PickerKind::Select));
        assert!(picker.options[0].disabled && picker.options[0].selected);
        assert_eq!(picker.options[1].group, "Europe");
        assert!(!picker.truncated);
    }

    #[test]
    fn whatever_the_page_says_fits_one_record() {
        let long = "\u{1F600}".repeat(500);
        let option = json!({ "label": long, "group": long });
        let opened = opened(json!({ "picker": {
            "number": 1, "label": long, "kind": "select", "options": vec![option; 3000],
        } }));

        let picker = opened.bounded(1);

        assert!(picker.truncated && picker.options.len() > 10);
        assert_eq!(picker.label.chars().count(), MAX_LABEL_CHARS);
        let message = authloop_protocol::output::OutputMessage::Picker {
            picker: Some(picker),
        };
        let size = serde_json::to_vec(&message).unwrap().len();
        assert!(size <= authloop_protocol::frame::MAX_OUTPUT_BYTES, "{size}");
    }

    #[test]
    fn every_code_is_heard_as_what_it_is() {
        for refused in RefusedPrompt::REPORTED {
            let report = serde_json::from_value(json!({ "refused": refused.code() })).unwrap();
            assert!(matches!(report, FrameReport::Refused(heard) if heard == refused));
            assert!(REFUSED_SCRIPT.contains(&format!("\"{}\"", refused.code())));
        }
    }
}
