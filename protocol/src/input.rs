//! What the viewer asks the host to do to the page: one JSON object per [`InputEvent`].
//!
//! Coordinates are fractions of the visible page, 0 at the left or top edge and 65,535 at the
//! right or bottom one, so that they stay true while the viewport or the video is resized.

mod gesture;

use serde::{Deserialize, Serialize};

use crate::{
    browser_ui::{
        FileInfo, MAX_CHUNK_BYTES, MAX_CREDENTIAL_BYTES, MAX_PICKER_OPTIONS, TabAction, files_fit,
    },
    id::Blob,
};

pub use gesture::{Button, Modifiers, PointerPhase, TouchPhase, TouchPoint};

/// The largest text an event may carry, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 32 * 1024;
/// The most simultaneous touch points an event may carry.
pub const MAX_TOUCH_POINTS: usize = 5;

/// One action of the user's, in the order in which it happened.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case", deny_unknown_fields)]
pub enum InputEvent {
    /// A physical key went down or up (UI Events `KeyboardEvent`).
    Key {
        /// `true` for keydown, `false` for keyup.
        down: bool,
        /// `KeyboardEvent.code`, for example `KeyA` or `ShiftLeft`; empty when unknown.
        code: String,
        /// `KeyboardEvent.key`, for example `a`, `A`, `Enter` or `Dead`.
        key: String,
        /// Modifier keys held, see [`Modifiers`].
        #[serde(default)]
        mods: Modifiers,
        /// `KeyboardEvent.repeat`.
        #[serde(default)]
        repeat: bool,
    },
    /// Text that was committed by a soft keyboard, an IME, a dead key or autofill.
    Text {
        /// The text, inserted at the caret.
        text: String,
    },
    /// The IME's uncommitted text; an empty one cancels the composition.
    Composition {
        /// The composition so far.
        text: String,
        /// Start of the selection in it, in UTF-16 code units.
        start: u32,
        /// End of the selection in it, in UTF-16 code units.
        end: u32,
    },
    /// Text pasted as one edit.
    Paste {
        /// The text.
        text: String,
    },
    /// Deletes around the caret, as soft keyboards do without a key code.
    Delete {
        /// How many times Backspace.
        before: u16,
        /// How many times Delete.
        after: u16,
    },
    /// The caret moves, in the order of the text and not of the screen: no arrow key does that in
    /// text that runs from right to left.
    Move {
        /// By how many user-perceived characters; negative is towards the text's start.
        by: i16,
    },
    /// The whole value of the focused field is replaced (compose-and-send).
    Replace {
        /// The new value.
        text: String,
    },
    /// A mouse or pen moved or its buttons changed.
    Pointer {
        /// What happened.
        phase: PointerPhase,
        /// Horizontal place, 0..=65535.
        x: u16,
        /// Vertical place, 0..=65535.
        y: u16,
        /// The button that changed; `None` for moves.
        #[serde(default)]
        button: Option<Button>,
        /// Buttons held after the event, bits as in `MouseEvent.buttons`.
        #[serde(default)]
        buttons: u8,
        /// Consecutive clicks at this place: 1, 2 or 3.
        #[serde(default)]
        clicks: u8,
        /// Modifier keys held.
        #[serde(default)]
        mods: Modifiers,
    },
    /// The wheel turned, or a two-finger scroll.
    Wheel {
        /// Horizontal place, 0..=65535.
        x: u16,
        /// Vertical place, 0..=65535.
        y: u16,
        /// Horizontal distance, CSS pixels.
        dx: i16,
        /// Vertical distance, CSS pixels.
        dy: i16,
        /// Modifier keys held.
        #[serde(default)]
        mods: Modifiers,
    },
    /// Fingers on the glass changed (Touch Events).
    Touch {
        /// What happened.
        phase: TouchPhase,
        /// Points on the glass after the event; those that changed, for `end` and `cancel`, are gone.
        points: Vec<TouchPoint>,
        /// When, in milliseconds of the viewer's clock, whatever that counts from; 0: not told.
        #[serde(default)]
        at: u32,
    },
    /// The viewer's place for the page changed size.
    Viewport {
        /// Width, CSS pixels.
        width: u16,
        /// Height, CSS pixels.
        height: u16,
        /// Device pixels per CSS pixel, in hundredths (200 is 2x).
        scale: u16,
        /// Whether the device is a touch-first one: the page is asked for its mobile layout.
        mobile: bool,
    },
    /// The user's answer to a JavaScript dialog.
    Dialog {
        /// The dialog's number, as announced.
        id: u32,
        /// OK (true) or Cancel (false).
        accept: bool,
        /// The text entered in a prompt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// The user's answer to a picker; with neither member, they put it away.
    Pick {
        /// The picker's number, as announced.
        id: u32,
        /// The options chosen, by their places; for a select.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        options: Option<Vec<u16>>,
        /// The value chosen, as HTML writes it; for an input.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
    },
    /// The user's answer to HTTP authentication; without a password, they cancel it.
    Auth {
        /// The challenge's number, as announced.
        id: u32,
        /// The user's name.
        #[serde(default)]
        user: String,
        /// Their password.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password: Option<String>,
    },
    /// The user chose files; their bytes follow.
    Files {
        /// The file chooser's number, as announced.
        id: u32,
        /// The files, in order; none to cancel the choice.
        files: Vec<FileInfo>,
    },
    /// The next bytes of the chosen files, one file after the other.
    FileChunk {
        /// The file chooser's number.
        id: u32,
        /// Bytes, at most [`MAX_CHUNK_BYTES`].
        data: Blob,
    },
    /// Shows or closes one of the page's windows.
    Tab {
        /// The window's number, as announced.
        id: u32,
        /// Which of the two.
        action: TabAction,
    },
    /// One of the browser's own buttons.
    Navigate {
        /// Which.
        action: Navigation,
    },
    /// Everything held is let go: the viewer lost focus or is leaving.
    ReleaseAll,
    /// The user says that the sign-in is complete.
    Done,
    /// The user ends it although the check after [`InputEvent::Done`] did not find them signed in.
    FinishAnyway,
    /// The user refuses.
    Decline {
        /// Why.
        reason: DeclineReason,
    },
    /// The user gives the session to another device of theirs, and keeps nothing of it here.
    HandOver {
        /// That device's public key, 65 bytes.
        device: Blob,
    },
    /// The user wants the private room to begin anew.
    StartOver,
    /// The user signs in inside the agent's own browser instead; taken only after
    /// [`NotMoved`](crate::output::OutputMessage::NotMoved) offered it.
    InPlace,
    /// The viewer wants a whole picture at once (its decoder lost the reference).
    Refresh,
}

impl InputEvent {
    /// Whether the event may carry what the user typed, so that it must be refused once the page
    /// has moved to another origin.
    #[must_use]
    pub fn is_typed(&self) -> bool {
        matches!(
            self,
            Self::Key { .. }
                | Self::Text { .. }
                | Self::Composition { .. }
                | Self::Paste { .. }
                | Self::Delete { .. }
                | Self::Move { .. }
                | Self::Replace { .. }
                | Self::Dialog { .. }
                | Self::Pick { .. }
                | Self::Auth { .. }
                | Self::Files { .. }
                | Self::FileChunk { .. }
        )
    }

    /// Whether the event acts on the page, so that it must be refused before the fingerprints are
    /// confirmed and while input is locked.
    #[must_use]
    pub fn acts_on_page(&self) -> bool {
        !matches!(
            self,
            Self::Viewport { .. }
                | Self::ReleaseAll
                | Self::Done
                | Self::FinishAnyway
                | Self::Decline { .. }
                | Self::Refresh
        )
    }

    /// Checks the bounds that the type alone does not hold.
    ///
    /// # Errors
    /// [`InputError::TooLong`] and [`InputError::TooManyPoints`].
    pub fn check(&self) -> Result<(), InputError> {
        let text = match self {
            Self::Text { text }
            | Self::Composition { text, .. }
            | Self::Paste { text }
            | Self::Replace { text } => text.len(),
            Self::Dialog { text, .. } => text.as_ref().map_or(0, String::len),
            Self::Key { code, key, .. } => {
                // The longest key value in UI Events is far below 64 bytes.
                if code.len() > 64 || key.len() > 64 {
                    return Err(InputError::TooLong);
                }
                0
            }
            Self::Pick { options, value, .. } => {
                if options
                    .as_ref()
                    .is_some_and(|o| o.len() > MAX_PICKER_OPTIONS)
                {
                    return Err(InputError::TooLong);
                }
                value.as_ref().map_or(0, String::len)
            }
            Self::Auth { user, password, .. } => {
                let password = password.as_ref().map_or(0, String::len);
                if user.len().max(password) > MAX_CREDENTIAL_BYTES {
                    return Err(InputError::TooLong);
                }
                0
            }
            Self::Files { files, .. } if !files.is_empty() && !files_fit(files) => {
                return Err(InputError::Files);
            }
            Self::FileChunk { data, .. } if data.0.len() > MAX_CHUNK_BYTES => {
                return Err(InputError::TooLong);
            }
            Self::Touch { points, .. } if points.len() > MAX_TOUCH_POINTS => {
                return Err(InputError::TooManyPoints);
            }
            _ => 0,
        };
        if text > MAX_TEXT_BYTES {
            return Err(InputError::TooLong);
        }
        Ok(())
    }
}

/// Names the kind only: what was typed must never reach a log.
impl std::fmt::Debug for InputEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key { .. } => "Key",
            Self::Text { .. } => "Text",
            Self::Composition { .. } => "Composition",
            Self::Paste { .. } => "Paste",
            Self::Delete { .. } => "Delete",
            Self::Move { .. } => "Move",
            Self::Replace { .. } => "Replace",
            Self::Pointer { .. } => "Pointer",
            Self::Wheel { .. } => "Wheel",
            Self::Touch { .. } => "Touch",
            Self::Viewport { .. } => "Viewport",
            Self::Dialog { .. } => "Dialog",
            Self::Pick { .. } => "Pick",
            Self::Auth { .. } => "Auth",
            Self::Files { .. } => "Files",
            Self::FileChunk { .. } => "FileChunk",
            Self::Tab { .. } => "Tab",
            Self::Navigate { .. } => "Navigate",
            Self::ReleaseAll => "ReleaseAll",
            Self::Done => "Done",
            Self::FinishAnyway => "FinishAnyway",
            Self::Decline { .. } => "Decline",
            Self::HandOver { .. } => "HandOver",
            Self::StartOver => "StartOver",
            Self::InPlace => "InPlace",
            Self::Refresh => "Refresh",
        })
    }
}

/// The browser's own buttons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Navigation {
    /// One page back in history.
    Back,
    /// One page forward in history.
    Forward,
    /// The page again.
    Reload,
}

/// Why the user refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineReason {
    /// The user does not want to sign in.
    Declined,
    /// The user did not ask for this: the request may be an attack.
    NotRequested,
    /// The wall needs something that cannot cross, for example a device passkey.
    CannotComplete,
}

/// An event that no honest viewer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// The event is not one object of [`InputEvent`].
    #[error("the input event is malformed")]
    Malformed,
    /// A text is longer than [`MAX_TEXT_BYTES`].
    #[error("the input event's text is too long")]
    TooLong,
    /// Files out of bounds, or with a name that is none.
    #[error("the chosen files are out of bounds")]
    Files,
    /// More than [`MAX_TOUCH_POINTS`] fingers.
    #[error("the input event has too many touch points")]
    TooManyPoints,
}
