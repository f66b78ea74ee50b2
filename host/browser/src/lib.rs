//! What the user should see of a browser, and be asked by it.
//!
//! A [`Follower`] keeps with it: popups and new tabs, the true origin, the focused field, JavaScript
//! dialogs, what Chromium would ask outside the page's pixels, and crashes, as one level-triggered
//! [`View`].

#![forbid(unsafe_code)]

mod focus;
mod follower;
mod origin;
mod prompts;
mod tabs;

pub use focus::{FocusedField, Rect};
pub use follower::{Dialog, DialogKind, Follower, Health, View};
pub use origin::{Certificate, OriginInfo, SecurityState};
pub use prompts::{AuthChallenge, FileChooser, PromptAnswer, Refusals, RefusedPrompt};
pub use tabs::Tab;
