//! What the host tells the viewer over the data channel (`docs/PROTOCOL.md` section 8).

use serde::{Deserialize, Serialize};

use crate::{
    browser_ui::{Picker, Tab},
    id::Blob,
    signal::Outcome,
};

/// One message of the host's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum OutputMessage {
    /// First: what the host saw of the handshake, and where the input sequence stands.
    Confirm {
        /// SHA-256 of the transcript, 32 bytes.
        transcript: Blob,
        /// The last sequence applied of this hello's stream.
        applied: u64,
    },
    /// Input up to this sequence has been applied or refused.
    Ack {
        /// The last sequence.
        applied: u64,
    },
    /// A message was not applied, and will not be.
    Refused {
        /// The sequence of its last frame.
        sequence: u64,
        /// Why.
        reason: RefusedReason,
    },
    /// Answers a ping.
    Pong {
        /// The ping's number.
        n: u32,
    },
    /// Where the browser is.
    Page(Page),
    /// Which field has focus; `None` when none that takes text.
    Field {
        /// The field.
        field: Option<Field>,
    },
    /// The size of the picture, in pixels of video.
    Video {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// The page asks something by a JavaScript dialog.
    Dialog {
        /// The dialog's number.
        id: u32,
        /// Which dialog.
        kind: DialogKind,
        /// What the page says.
        message: String,
        /// What a prompt starts with.
        default: String,
        /// The origin of the frame that asks; empty if it has none.
        #[serde(default)]
        origin: String,
    },
    /// The dialog is gone.
    DialogClosed {
        /// The dialog's number.
        id: u32,
    },
    /// The control that the user opened; `None` when it is gone.
    Picker {
        /// The control.
        picker: Option<Picker>,
    },
    /// A site asks for a name and a password by HTTP authentication (RFC 9110 section 11).
    Auth {
        /// The challenge's number.
        id: u32,
        /// Who asks, as the browser says; not always the shown page.
        origin: String,
        /// The realm, in the asking site's words.
        realm: String,
        /// Whether what is sent is encrypted on its way to the site.
        secure: bool,
        /// Whether the origin is among the invitation's.
        expected: bool,
    },
    /// The challenge is gone.
    AuthClosed {
        /// The challenge's number.
        id: u32,
    },
    /// The page wants files.
    FileChooser {
        /// The chooser's number.
        id: u32,
        /// The origin of the frame that asks.
        origin: String,
        /// Whether it takes several.
        multiple: bool,
        /// The input's `accept`, or empty.
        accept: String,
        /// The most files.
        max_files: u32,
        /// The most bytes, of all files together.
        max_bytes: u64,
        /// Bytes of the chosen files that have come so far; again as they come.
        received: u64,
    },
    /// The chooser is gone: answered, cancelled, or its page has left.
    FileChooserClosed {
        /// The chooser's number.
        id: u32,
    },
    /// The page's windows; told once there is more than one, and on every change from then on.
    Tabs {
        /// In order of opening.
        tabs: Vec<Tab>,
    },
    /// Something the user should know.
    Notice {
        /// A stable name, for programs and catalogs.
        code: String,
        /// One sentence, in English.
        message: String,
    },
    /// What the host found when the user said that they are done; the handoff goes on.
    Checked {
        /// What the browser shows.
        verdict: Verdict,
        /// One sentence, in English.
        message: String,
    },
    /// The user's `done` was taken: their session is being carried from the private room to the
    /// agent's browser, and nothing acts on the room any more.
    Moving {},
    /// The session was carried over, but the agent's browser does not show the sign-in. The room is
    /// gone.
    NotMoved {
        /// Whether the user may go on inside the agent's own browser, in this same handoff.
        in_place: bool,
        /// One sentence, in English.
        message: String,
    },
    /// From now on the user is in the agent's own browser.
    InPlace {},
    /// The handoff is over.
    Outcome {
        /// How.
        outcome: Outcome,
        /// One sentence, in English.
        message: String,
    },
}

/// What the browser shows of the sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What the agent asked for is there.
    SignedIn,
    /// It is not there.
    NotSignedIn,
    /// Nothing can be said.
    Inconclusive,
}

/// Why input was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedReason {
    /// It was meant for the page of another origin.
    Epoch,
    /// Input is locked: not confirmed yet, or over.
    Locked,
    /// It is not an input event within bounds.
    Malformed,
    /// The host cannot do it now.
    Unsupported,
}

/// Where the browser is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The true origin of the top frame, from the browser process (RFC 6454).
    pub origin: String,
    /// The page's title; the page chooses it, so it proves nothing.
    pub title: String,
    /// Whether the connection to the site is secure.
    pub secure: bool,
    /// What the browser says of that connection.
    #[serde(default)]
    pub connection: SiteConnection,
    /// The certificate that the site presented; none where there is none, or none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<SiteCertificate>,
    /// Whether the origin is among the invitation's.
    pub expected: bool,
    /// Rises when the origin changes.
    pub epoch: u32,
    /// Whether the page is still loading.
    pub loading: bool,
    /// Whether there is a page to go back to.
    pub can_go_back: bool,
}

/// How the browser judges its connection to the site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SiteConnection {
    /// It has not said.
    #[default]
    Unknown,
    /// Neither good nor bad, as of `about:blank`.
    Neutral,
    /// Not encrypted.
    Insecure,
    /// HTTPS with a valid certificate.
    Secure,
    /// HTTPS with an invalid certificate, or a page the browser warns of.
    Broken,
}

/// The site's certificate, as the browser read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteCertificate {
    /// Whom it names.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// When it ends, in Unix seconds.
    pub valid_to: u64,
    /// The browser's name for what is wrong with it (`net::ERR_CERT_…`); empty if nothing is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

/// The field that has focus. Its value is never told, only its length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Differs from every other field focused in this session.
    pub id: u64,
    /// The element's type: an `input` type, `textarea` or `contenteditable`.
    pub kind: String,
    /// Its `inputmode`.
    pub inputmode: String,
    /// Its `autocomplete`.
    pub autocomplete: String,
    /// Its `enterkeyhint`.
    pub enterkeyhint: String,
    /// Whether what is typed must be hidden, in its timing too.
    pub secret: bool,
    /// Whether Enter makes a new line.
    pub multiline: bool,
    /// How many UTF-16 code units it holds.
    pub length: u32,
    /// Left, top, width, height; 0..=65535 of the visible page.
    pub rect: [u16; 4],
    /// How many UTF-16 code units it takes at most; 0 if there is no limit.
    #[serde(default)]
    pub maxlength: u32,
    /// The origin of the frame that holds it, which may be another one than the page's.
    #[serde(default)]
    pub origin: String,
    /// Whether that origin is the page's or among the invitation's.
    #[serde(default)]
    pub expected: bool,
}

/// Which JavaScript dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DialogKind {
    /// `alert()`.
    Alert,
    /// `confirm()`.
    Confirm,
    /// `prompt()`.
    Prompt,
    /// The page wants to keep the user from leaving.
    Beforeunload,
}
