//! What the viewer is told of the browser, and only when it changes. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod prompt_state;

use authloop_browser::{FocusedField, Health, SecurityState, View};
use authloop_media::capture::Surface;
use authloop_protocol::output::{
    DialogKind, Field, OutputMessage, Page, SiteCertificate, SiteConnection,
};

use prompt_state::PromptState;

pub(super) use prompt_state::PASSKEY_REQUIRED;

/// The page's words that reach the viewer, in characters; a page may say more than a screen holds.
const MAX_TEXT_CHARS: usize = 2000;

/// What the viewer of one connection has been told last.
#[derive(Default)]
pub(super) struct ViewerState {
    page: Option<Page>,
    field: Option<Option<Field>>,
    dialog: Option<u32>,
    crashed: bool,
    surface: Option<(u32, u32)>,
    prompts: PromptState,
}

impl ViewerState {
    /// The state of a new connection.
    pub(super) fn for_new_connection(self) -> Self {
        Self {
            prompts: self.prompts.for_new_connection(),
            ..Self::default()
        }
    }

    /// The messages that bring the viewer up to date.
    pub(super) fn update(
        &mut self,
        view: &View,
        can_go_back: bool,
        expected: &[String],
        surface: Surface,
        received: impl Fn(u32) -> u64,
    ) -> Vec<OutputMessage> {
        let mut out = Vec::new();
        let page = page(view, can_go_back, expected);
        if self.page.as_ref() != Some(&page) {
            self.page = Some(page.clone());
            out.push(OutputMessage::Page(page));
        }
        let size = (surface.width.round() as u32, surface.height.round() as u32);
        if size.0 > 0 && self.surface != Some(size) {
            self.surface = Some(size);
            out.push(OutputMessage::Video {
                width: size.0,
                height: size.1,
            });
        }
        let field = view
            .focus
            .as_ref()
            .map(|focus| field(focus, &view.origin.origin, expected));
        if self.field.as_ref() != Some(&field) {
            self.field = Some(field.clone());
            out.push(OutputMessage::Field { field });
        }
        self.dialog(view, &mut out);
        self.prompts.update(view, expected, received, &mut out);
        let crashed = matches!(view.health, Health::Crashed);
        if crashed && !self.crashed {
            out.push(OutputMessage::Notice {
                code: "page_crashed".to_owned(),
                message: "The page crashed. Reload it to go on.".to_owned(),
            });
        }
        self.crashed = crashed;
        out
    }

    fn dialog(&mut self, view: &View, out: &mut Vec<OutputMessage>) {
        let open = view.dialog.as_ref().map(|dialog| dialog.id);
        if self.dialog == open {
            return;
        }
        if let Some(id) = self.dialog.take() {
            out.push(OutputMessage::DialogClosed { id });
        }
        if let Some(dialog) = &view.dialog {
            self.dialog = Some(dialog.id);
            out.push(OutputMessage::Dialog {
                id: dialog.id,
                kind: match dialog.kind {
                    authloop_browser::DialogKind::Alert => DialogKind::Alert,
                    authloop_browser::DialogKind::Confirm => DialogKind::Confirm,
                    authloop_browser::DialogKind::Prompt => DialogKind::Prompt,
                    authloop_browser::DialogKind::BeforeUnload => DialogKind::Beforeunload,
                },
                message: truncate(&dialog.message),
                default: truncate(&dialog.default_text),
                origin: prompt_state::origin_of(&dialog.url),
            });
        }
    }
}

/// The epoch as it travels. It rises by one a navigation, so it cannot come near the edge.
pub(super) fn epoch(view: &View) -> u32 {
    u32::try_from(view.origin.epoch).unwrap_or(u32::MAX)
}

fn page(view: &View, can_go_back: bool, expected: &[String]) -> Page {
    let origin = view.origin.origin.clone();
    let secure = match view.origin.security {
        SecurityState::Secure => true,
        SecurityState::Insecure | SecurityState::Broken => false,
        SecurityState::Unknown | SecurityState::Neutral => origin.starts_with("https://"),
    };
    Page {
        expected: is_expected(&origin, expected),
        origin,
        title: truncate(&view.origin.title),
        secure,
        connection: match view.origin.security {
            SecurityState::Unknown => SiteConnection::Unknown,
            SecurityState::Neutral => SiteConnection::Neutral,
            SecurityState::Insecure => SiteConnection::Insecure,
            SecurityState::Secure => SiteConnection::Secure,
            SecurityState::Broken => SiteConnection::Broken,
        },
        certificate: view.origin.certificate.as_ref().map(certificate),
        epoch: epoch(view),
        loading: false,
        can_go_back,
    }
}

fn certificate(found: &authloop_browser::Certificate) -> SiteCertificate {
    SiteCertificate {
        subject: truncate(&found.subject),
        issuer: truncate(&found.issuer),
        valid_to: found.valid_to,
        problem: truncate(&found.problem),
    }
}

fn field(focus: &FocusedField, page: &str, expected: &[String]) -> Field {
    let fraction = |value: f32| (value.clamp(0.0, 1.0) * 65535.0) as u16;
    Field {
        id: focus.id,
        kind: focus.kind.clone(),
        inputmode: focus.inputmode.clone(),
        autocomplete: focus.autocomplete.clone(),
        enterkeyhint: focus.enterkeyhint.clone(),
        secret: focus.is_secret,
        multiline: focus.multiline,
        length: focus.length,
        rect: [
            fraction(focus.rect.x),
            fraction(focus.rect.y),
            fraction(focus.rect.width),
            fraction(focus.rect.height),
        ],
        maxlength: focus.max_length,
        expected: is_expected(&focus.frame_origin, expected) || focus.frame_origin == page,
        origin: focus.frame_origin.clone(),
    }
}

/// An invitation that names no site expects any.
fn is_expected(origin: &str, expected: &[String]) -> bool {
    expected.is_empty() || expected.iter().any(|known| known == origin)
}

fn truncate(words: &str) -> String {
    words.chars().take(MAX_TEXT_CHARS).collect()
}
