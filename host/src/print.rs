//! What a person or a program reads on stdout.

use std::io::Write as _;

use authloop_done_when::Evidence;
use authloop_handoff::{HandoffEvent, HandoffState, RoomReport};
use authloop_protocol::{input::DeclineReason, output::Verdict};
use qrcode::{QrCode, render::unicode};
use serde_json::{Value, json};

/// Prints either text with a QR code, or one JSON object per line.
pub(crate) struct Printer {
    json: bool,
}

impl Printer {
    /// In JSON or in text.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// What happens on the way.
    pub(crate) fn event(&mut self, event: &HandoffEvent) {
        match event {
            HandoffEvent::Room(room) => self.room(room),
            HandoffEvent::Link(url) => {
                self.line(&json!({ "event": "link", "url": url }), || link_text(url));
            }
            HandoffEvent::State(state) => {
                let name = state.as_str();
                self.line(&json!({ "event": "state", "state": name }), || {
                    state_text(*state).to_owned()
                });
            }
            HandoffEvent::HandedOver => self.line(&json!({ "event": "handed_over" }), || {
                "The user goes on on another device.".to_owned()
            }),
            HandoffEvent::SecondClaim => self.line(&json!({ "event": "second_claim" }), || {
                "Someone else opened the link. It stays with the first device.".to_owned()
            }),
            HandoffEvent::PasskeyRequired => self.line(
                &json!({ "event": "notice", "code": "passkey_required" }),
                || "The page asks for a passkey, which cannot cross.".to_owned(),
            ),
        }
    }

    fn room(&self, room: &RoomReport) {
        match room {
            RoomReport::InPlace => self
                .line(&json!({ "event": "room", "room": "in_place" }), || {
                    "The user signs in in the agent's own browser.".to_owned()
                }),
            RoomReport::Private { start, sites, .. } => {
                let event = json!({
                    "event": "room", "room": "private", "start": start, "grants": sites,
                });
                self.line(&event, || {
                    let sites = sites.join(", ");
                    format!("The user signs in in a private browser; the agent gets the session at {sites}.")
                });
            }
        }
    }

    /// The end: the user signed in in a private room, and the agent's browser does not show it.
    pub(crate) fn not_moved(&self, (verdict, evidence): (Verdict, &[Evidence])) {
        let event = json!({ "event": "not_moved", "verdict": verdict, "evidence": evidence });
        self.line(&event, || {
            "The user is done, but the agent's browser does not show the session.".to_owned()
        });
    }

    /// The end: the user is done. `verdict` and what was seen are told if there was something to check.
    pub(crate) fn resolved(&self, cookies: usize, checked: Option<(Verdict, &[Evidence])>) {
        let mut event = json!({ "event": "resolved", "cookies": cookies });
        if let Some((verdict, evidence)) = checked {
            event["verdict"] = json!(verdict);
            event["evidence"] = json!(evidence);
        }
        self.line(&event, || {
            let said = match checked {
                None | Some((Verdict::SignedIn, _)) => "Signed in.",
                Some((Verdict::NotSignedIn, _)) => {
                    "The user is done, but the browser does not show that they are signed in."
                }
                Some((Verdict::Inconclusive, _)) => {
                    "The user is done, but the browser did not answer the check."
                }
            };
            format!("{said} The browser now holds {cookies} cookies.")
        });
    }

    /// The end: refused.
    pub(crate) fn declined(&self, reason: DeclineReason) {
        self.line(&json!({ "event": "declined", "reason": reason }), || {
            match reason {
                DeclineReason::Declined => "The user declined.",
                DeclineReason::NotRequested => "The user did not ask for this.",
                DeclineReason::CannotComplete => "The user cannot sign in this way.",
            }
            .to_owned()
        });
    }

    /// The end: too late.
    pub(crate) fn expired(&self) {
        self.line(&json!({ "event": "expired" }), || {
            "Nobody signed in before the link expired.".to_owned()
        });
    }

    /// The end: withdrawn.
    pub(crate) fn cancelled(&self) {
        self.line(&json!({ "event": "cancelled" }), || "Cancelled.".to_owned());
    }

    /// The end: broken.
    pub(crate) fn failed(&self, message: &str) {
        if self.json {
            self.line(
                &json!({ "event": "failed", "message": message }),
                String::new,
            );
        } else {
            eprintln!("authloop-host: {message}");
        }
    }

    fn line(&self, value: &Value, text: impl FnOnce() -> String) {
        let mut out = std::io::stdout().lock();
        // A closed pipe is the reader's choice, and must not end the handoff.
        let _ = if self.json {
            writeln!(out, "{value}")
        } else {
            writeln!(out, "{}", text())
        };
        let _ = out.flush();
    }
}

fn link_text(url: &str) -> String {
    let code = QrCode::new(url)
        .map(|code| {
            code.render::<unicode::Dense1x2>()
                .dark_color(unicode::Dense1x2::Light)
                .light_color(unicode::Dense1x2::Dark)
                .build()
        })
        .unwrap_or_default();
    format!("{code}\nOpen this link on your phone or laptop:\n\n  {url}\n")
}

fn state_text(state: HandoffState) -> &'static str {
    match state {
        HandoffState::Waiting => "Waiting for someone to open it.",
        HandoffState::Claimed => "Opened.",
        HandoffState::Connecting => "Connecting.",
        HandoffState::Live => "Connected, end to end encrypted.",
        HandoffState::Reconnecting => "Connection lost; reconnecting.",
        HandoffState::Checking => "Checking whether the browser is signed in.",
    }
}
