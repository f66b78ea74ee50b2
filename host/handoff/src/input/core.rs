//! The core of input: events in, CDP commands out. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod keyboard;
mod pointer;

use std::collections::BTreeMap;

use authloop_media::capture::Surface;
use authloop_protocol::input::{InputEvent, TouchPoint};
use serde_json::Value;

/// A CDP command; its parameters may be a secret.
#[derive(Clone, PartialEq)]
pub struct Command {
    /// For example `Input.dispatchKeyEvent`.
    pub method: &'static str,
    /// The command's parameters.
    pub params: Value,
}

impl Command {
    fn new(method: &'static str, params: Value) -> Self {
        Self { method, params }
    }
}

/// Names the method only: what was typed must never reach a log.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Command").field(&self.method).finish()
    }
}

/// What the user holds down, and where the pointer is.
#[derive(Default)]
pub struct InputState {
    /// By `KeyboardEvent.code`: the key-up that will release it.
    keys: BTreeMap<String, keyboard::HeldKey>,
    /// Bits as in `MouseEvent.buttons`.
    buttons: u8,
    /// Of the last press, repeated at its release.
    clicks: u8,
    pointer: (f64, f64),
    touches: Vec<TouchPoint>,
    composing: bool,
}

impl InputState {
    /// Nothing is held.
    pub fn new() -> Self {
        Self::default()
    }

    /// The commands that do `event` to a page whose coordinates span `surface`. Events that are
    /// not input to the page (viewport, dialogs, navigation, done, …) give none.
    pub fn apply(&mut self, event: &InputEvent, surface: Surface) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            InputEvent::Key {
                down,
                code,
                key,
                mods,
                repeat,
            } => {
                self.reconcile(mods.0, Some(code), &mut commands);
                let stroke = keyboard::Stroke {
                    code,
                    key,
                    mods: mods.0,
                    repeat: *repeat,
                };
                if *down {
                    self.key_down(&stroke, &mut commands);
                } else {
                    self.key_up(&stroke, &mut commands);
                }
            }
            InputEvent::Text { text } => self.text(text, &mut commands),
            InputEvent::Composition { text, start, end } => {
                self.compose(text, *start, *end, &mut commands);
            }
            InputEvent::Paste { text } => self.insert(text, &mut commands),
            InputEvent::Delete { before, after } => {
                self.delete(*before, *after, &mut commands);
            }
            InputEvent::Move { by } => self.move_caret(*by, &mut commands),
            InputEvent::Replace { text } => self.replace(text, &mut commands),
            InputEvent::Pointer {
                phase,
                x,
                y,
                button,
                buttons,
                clicks,
                mods,
            } => {
                self.reconcile(mods.0, None, &mut commands);
                self.pointer = to_surface(*x, *y, surface);
                let change = pointer::Change {
                    phase: *phase,
                    button: *button,
                    buttons: *buttons,
                    clicks: *clicks,
                    mods: mods.0,
                };
                self.mouse(&change, &mut commands);
            }
            InputEvent::Wheel { x, y, dx, dy, mods } => {
                self.reconcile(mods.0, None, &mut commands);
                self.pointer = to_surface(*x, *y, surface);
                let delta = (f64::from(*dx), f64::from(*dy));
                self.wheel(delta, mods.0, &mut commands);
            }
            InputEvent::Touch { phase, points, .. } => {
                self.touch(*phase, points, surface, &mut commands);
            }
            InputEvent::ReleaseAll => commands = self.release_all(),
            InputEvent::Viewport { .. }
            | InputEvent::Dialog { .. }
            | InputEvent::Pick { .. }
            | InputEvent::Auth { .. }
            | InputEvent::Files { .. }
            | InputEvent::FileChunk { .. }
            | InputEvent::Tab { .. }
            | InputEvent::Navigate { .. }
            | InputEvent::Done
            | InputEvent::FinishAnyway
            | InputEvent::Decline { .. }
            | InputEvent::HandOver { .. }
            | InputEvent::StartOver
            | InputEvent::InPlace
            | InputEvent::Refresh => {}
        }
        commands
    }

    /// Lets go of everything held: the viewer has left, or the page is another.
    pub fn release_all(&mut self) -> Vec<Command> {
        let mut commands = Vec::new();
        self.release_touches(&mut commands);
        self.release_buttons(0, 0, &mut commands);
        self.release_keys(&mut commands);
        if std::mem::take(&mut self.composing) {
            commands.push(keyboard::composition("", 0, 0));
        }
        commands
    }

    /// Whether anything is held down.
    pub fn is_idle(&self) -> bool {
        self.keys.is_empty() && self.buttons == 0 && self.touches.is_empty() && !self.composing
    }
}

/// Sizes only: which keys are held may be part of a password.
impl std::fmt::Debug for InputState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InputState")
            .field("keys", &self.keys.len())
            .field("buttons", &self.buttons)
            .field("touches", &self.touches.len())
            .finish_non_exhaustive()
    }
}

/// From fractions of 65,535 to the surface; the far edge is the last place inside it.
fn to_surface(x: u16, y: u16, surface: Surface) -> (f64, f64) {
    let along = |part: u16, side: f64| {
        let side = side.max(1.0);
        (f64::from(part) / f64::from(u16::MAX) * side).min(side - 1.0)
    };
    (along(x, surface.width), along(y, surface.height))
}

#[cfg(test)]
mod tests;
