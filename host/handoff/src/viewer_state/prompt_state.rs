//! What the browser asks, and what the viewer has been told of it.

use authloop_browser::{FileChooser, Refusals, RefusedPrompt, View};
use authloop_protocol::{
    browser_ui::{MAX_FILES, MAX_TABS, MAX_TOTAL_FILE_BYTES, Tab},
    output::OutputMessage,
};
use url::Url;

/// The notice of a request for a passkey.
pub(crate) const PASSKEY_REQUIRED: &str = "passkey_required";

/// What the viewer of one connection has been told last.
#[derive(Default)]
pub(super) struct PromptState {
    picker: Option<u32>,
    challenge: Option<u32>,
    chooser: Option<(u32, u64)>,
    tabs: Vec<Tab>,
    refusals: Refusals,
}

impl PromptState {
    /// The state of a new connection: what is asked is told again, what was refused is not.
    pub(super) fn for_new_connection(self) -> Self {
        Self {
            refusals: self.refusals,
            ..Self::default()
        }
    }

    /// The messages that bring the viewer up to date. `received`: of a chooser's files, in bytes.
    pub(super) fn update(
        &mut self,
        view: &View,
        expected: &[String],
        received: impl Fn(u32) -> u64,
        out: &mut Vec<OutputMessage>,
    ) {
        let picker = view.picker.as_ref().map(|picker| picker.id);
        if self.picker != picker {
            self.picker = picker;
            let picker = view.picker.as_deref().cloned();
            out.push(OutputMessage::Picker { picker });
        }
        self.challenge(view, expected, out);
        self.chooser(view.chooser.as_ref(), received, out);
        let tabs = tabs(view);
        if self.tabs != tabs && (tabs.len() > 1 || !self.tabs.is_empty()) {
            self.tabs.clone_from(&tabs);
            out.push(OutputMessage::Tabs { tabs });
        }
        for (refused, times) in &view.refusals {
            if self.refusals.get(refused) != Some(times) {
                let (code, message) = notice_text(*refused);
                out.push(OutputMessage::Notice {
                    code: code.to_owned(),
                    message: message.to_owned(),
                });
            }
        }
        self.refusals.clone_from(&view.refusals);
    }

    fn challenge(&mut self, view: &View, expected: &[String], out: &mut Vec<OutputMessage>) {
        let open = view.challenge.as_ref().map(|challenge| challenge.id);
        if self.challenge == open {
            return;
        }
        if let Some(id) = self.challenge.take() {
            out.push(OutputMessage::AuthClosed { id });
        }
        if let Some(challenge) = &view.challenge {
            self.challenge = open;
            out.push(OutputMessage::Auth {
                id: challenge.id,
                secure: challenge.origin.starts_with("https://"),
                expected: expected.is_empty() || expected.contains(&challenge.origin),
                origin: challenge.origin.clone(),
                realm: super::truncate(&challenge.realm),
            });
        }
    }

    fn chooser(
        &mut self,
        open: Option<&FileChooser>,
        received: impl Fn(u32) -> u64,
        out: &mut Vec<OutputMessage>,
    ) {
        let now = open.map(|chooser| (chooser.id, received(chooser.id)));
        if self.chooser == now {
            return;
        }
        if let Some((id, _)) = self.chooser
            && now.is_none_or(|(open, _)| open != id)
        {
            out.push(OutputMessage::FileChooserClosed { id });
        }
        self.chooser = now;
        if let (Some(chooser), Some((id, received))) = (open, now) {
            out.push(OutputMessage::FileChooser {
                id,
                origin: chooser.origin.clone(),
                multiple: chooser.multiple,
                accept: chooser.accept.clone(),
                max_files: if chooser.multiple {
                    MAX_FILES as u32
                } else {
                    1
                },
                max_bytes: MAX_TOTAL_FILE_BYTES,
                received,
            });
        }
    }
}

fn tabs(view: &View) -> Vec<Tab> {
    let tab = |tab: &authloop_browser::Tab| Tab {
        id: tab.number,
        // The shown page's is known better than by its address.
        origin: if tab.shown {
            view.origin.origin.clone()
        } else {
            origin_of(&tab.url)
        },
        title: super::truncate(&tab.title).chars().take(200).collect(),
        shown: tab.shown,
    };
    // The newest are those that the user may want to leave.
    let skipped = view.tabs.len().saturating_sub(MAX_TABS);
    view.tabs.iter().skip(skipped).map(tab).collect()
}

/// The origin of an address (RFC 6454); of a dialog's or a window's.
pub(super) fn origin_of(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_| "null".to_owned(),
        |url| url.origin().ascii_serialization(),
    )
}

/// The notice's code and its English sentence.
fn notice_text(refused: RefusedPrompt) -> (&'static str, &'static str) {
    match refused {
        RefusedPrompt::Passkey => (
            PASSKEY_REQUIRED,
            "The page asks for a passkey. Choose another way to sign in there, or decline.",
        ),
        RefusedPrompt::Identity => (
            "identity_refused",
            "The page asked the remote browser for an account. Choose another way to sign in there.",
        ),
        RefusedPrompt::Camera => (
            "camera_refused",
            "The page asked for camera or microphone, which the remote browser has not got.",
        ),
        RefusedPrompt::Screen => ("screen_refused", "The page asked to record the screen."),
        RefusedPrompt::Geolocation => (
            "geolocation_refused",
            "The page asked where you are. That was refused.",
        ),
        RefusedPrompt::Notifications => (
            "notifications_refused",
            "The page asked to send notifications. That was refused.",
        ),
        RefusedPrompt::Clipboard => (
            "clipboard_refused",
            "The page asked for the remote clipboard. That was refused.",
        ),
        RefusedPrompt::Files => (
            "files_refused",
            "The page asked for files in a way that cannot be handed over.",
        ),
        RefusedPrompt::Other => (
            "permission_refused",
            "The page asked for something that the remote browser cannot ask you.",
        ),
        RefusedPrompt::Answer => (
            "answer_lost",
            "The page has changed and did not take your answer.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chooser(id: u32) -> FileChooser {
        FileChooser {
            id,
            origin: "https://a.example".to_owned(),
            multiple: false,
            accept: "image/*".to_owned(),
        }
    }

    #[test]
    fn a_chooser_is_told_as_it_fills_and_when_it_is_gone() {
        let mut prompts = PromptState::default();
        let mut told = |open: Option<&FileChooser>, received: u64| {
            let mut out = Vec::new();
            prompts.chooser(open, |_| received, &mut out);
            out
        };

        assert!(matches!(
            told(Some(&chooser(1)), 0)[..],
            [OutputMessage::FileChooser {
                id: 1,
                received: 0,
                max_files: 1,
                ..
            }]
        ));
        assert!(told(Some(&chooser(1)), 0).is_empty());
        assert!(matches!(
            told(Some(&chooser(1)), 9)[..],
            [OutputMessage::FileChooser { received: 9, .. }]
        ));
        assert!(matches!(
            told(Some(&chooser(2)), 0)[..],
            [
                OutputMessage::FileChooserClosed { id: 1 },
                OutputMessage::FileChooser { id: 2, .. }
            ]
        ));
        assert!(matches!(
            told(None, 0)[..],
            [OutputMessage::FileChooserClosed { id: 2 }]
        ));
    }

    #[test]
    fn an_address_without_an_origin_is_opaque() {
        assert_eq!(
            origin_of("https://a.example:8443/x?y"),
            "https://a.example:8443"
        );
        assert_eq!(origin_of("about:blank"), "null");
        assert_eq!(origin_of(""), "null");
    }
}
