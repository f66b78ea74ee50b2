//! What events of keys, pointers and fingers are made of.

use serde::{Deserialize, Serialize};

/// Modifier keys as a bit field, with CDP's bits: Alt 1, Control 2, Meta 4, Shift 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Modifiers(pub u8);

impl Modifiers {
    /// Alt or Option.
    pub const ALT: u8 = 1;
    /// Control.
    pub const CTRL: u8 = 2;
    /// Command or the Windows key.
    pub const META: u8 = 4;
    /// Shift.
    pub const SHIFT: u8 = 8;

    /// Whether every bit of `mask` is set.
    #[must_use]
    pub fn has(self, mask: u8) -> bool {
        self.0 & mask == mask
    }
}

/// What a pointer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointerPhase {
    /// Moved, with or without buttons held.
    Move,
    /// A button went down.
    Down,
    /// A button went up.
    Up,
}

/// A mouse button.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Button {
    /// The primary button.
    Left,
    /// The wheel.
    Middle,
    /// The secondary button.
    Right,
    /// Browser back.
    Back,
    /// Browser forward.
    Forward,
}

/// What the fingers did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TouchPhase {
    /// A finger came down.
    Start,
    /// A finger moved.
    Move,
    /// A finger was lifted.
    End,
    /// The system took the touch away.
    Cancel,
}

/// One finger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TouchPoint {
    /// Tells the fingers apart while they are down.
    pub id: u8,
    /// Horizontal place, 0..=65535.
    pub x: u16,
    /// Vertical place, 0..=65535.
    pub y: u16,
}
