//! Physical keys on the US layout: names, Windows virtual key codes, locations. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// What CDP wants to know of a key besides its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    /// `KeyboardEvent.code`.
    pub(super) code: &'static str,
    /// `KeyboardEvent.key` without Shift.
    pub(super) plain: &'static str,
    /// `KeyboardEvent.key` with Shift.
    pub(super) shifted: &'static str,
    /// Windows virtual key code.
    pub(super) vk: u16,
}

/// `KeyboardEvent.location`: 1 left, 2 right, 3 numeric keypad.
pub(super) fn location(code: &str) -> u8 {
    if code.starts_with("Numpad") {
        return 3;
    }
    let modifier = ["Shift", "Control", "Alt", "Meta"]
        .into_iter()
        .find_map(|name| code.strip_prefix(name));
    match modifier {
        Some("Left") => 1,
        Some("Right") => 2,
        _ => 0,
    }
}

/// The CDP modifier bit of a modifier key: Alt 1, Control 2, Meta 4, Shift 8.
pub(super) fn modifier_bit(code: &str) -> u8 {
    match code {
        "AltLeft" | "AltRight" => 1,
        "ControlLeft" | "ControlRight" => 2,
        "MetaLeft" | "MetaRight" => 4,
        "ShiftLeft" | "ShiftRight" => 8,
        _ => 0,
    }
}

/// Finds a key by `KeyboardEvent.code`.
pub(super) fn by_code(code: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.code == code)
}

/// Finds a key by a named `KeyboardEvent.key`, such as `Enter`.
pub(super) fn by_name(name: &str) -> Option<&'static Key> {
    let named = name.len() > 1;
    KEYS.iter().find(|key| named && key.plain == name)
}

/// Finds the key that types an ASCII character, and whether it needs Shift.
pub(super) fn by_char(c: char) -> Option<(&'static Key, bool)> {
    let mut buffer = [0; 4];
    let text = &*c.encode_utf8(&mut buffer);
    let main = || KEYS.iter().filter(|key| !key.code.starts_with("Numpad"));
    let plain = main().find(|key| key.plain == text).map(|key| (key, false));
    plain.or_else(|| {
        main()
            .find(|key| key.shifted == text)
            .map(|key| (key, true))
    })
}

const fn key(code: &'static str, plain: &'static str, shifted: &'static str, vk: u16) -> Key {
    Key {
        code,
        plain,
        shifted,
        vk,
    }
}

const fn named(code: &'static str, name: &'static str, vk: u16) -> Key {
    key(code, name, name, vk)
}

#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("KeyA", "a", "A", 65), key("KeyB", "b", "B", 66), key("KeyC", "c", "C", 67),
    key("KeyD", "d", "D", 68), key("KeyE", "e", "E", 69), key("KeyF", "f", "F", 70),
    key("KeyG", "g", "G", 71), key("KeyH", "h", "H", 72), key("KeyI", "i", "I", 73),
    key("KeyJ", "j", "J", 74), key("KeyK", "k", "K", 75), key("KeyL", "l", "L", 76),
    key("KeyM", "m", "M", 77), key("KeyN", "n", "N", 78), key("KeyO", "o", "O", 79),
    key("KeyP", "p", "P", 80), key("KeyQ", "q", "Q", 81), key("KeyR", "r", "R", 82),
    key("KeyS", "s", "S", 83), key("KeyT", "t", "T", 84), key("KeyU", "u", "U", 85),
    key("KeyV", "v", "V", 86), key("KeyW", "w", "W", 87), key("KeyX", "x", "X", 88),
    key("KeyY", "y", "Y", 89), key("KeyZ", "z", "Z", 90),
    key("Digit0", "0", ")", 48), key("Digit1", "1", "!", 49), key("Digit2", "2", "@", 50),
    key("Digit3", "3", "#", 51), key("Digit4", "4", "$", 52), key("Digit5", "5", "%", 53),
    key("Digit6", "6", "^", 54), key("Digit7", "7", "&", 55), key("Digit8", "8", "*", 56),
    key("Digit9", "9", "(", 57),
    key("Minus", "-", "_", 189), key("Equal", "=", "+", 187),
    key("BracketLeft", "[", "{", 219), key("BracketRight", "]", "}", 221),
    key("Backslash", "\\", "|", 220), key("Semicolon", ";", ":", 186),
    key("Quote", "'", "\"", 222), key("Backquote", "`", "~", 192),
    key("Comma", ",", "<", 188), key("Period", ".", ">", 190), key("Slash", "/", "?", 191),
    key("IntlBackslash", "\\", "|", 226), key("Space", " ", " ", 32),
    named("Enter", "Enter", 13), named("Tab", "Tab", 9), named("Backspace", "Backspace", 8),
    named("Delete", "Delete", 46), named("Insert", "Insert", 45), named("Escape", "Escape", 27),
    named("Home", "Home", 36), named("End", "End", 35),
    named("PageUp", "PageUp", 33), named("PageDown", "PageDown", 34),
    named("ArrowLeft", "ArrowLeft", 37), named("ArrowUp", "ArrowUp", 38),
    named("ArrowRight", "ArrowRight", 39), named("ArrowDown", "ArrowDown", 40),
    named("ShiftLeft", "Shift", 16), named("ShiftRight", "Shift", 16),
    named("ControlLeft", "Control", 17), named("ControlRight", "Control", 17),
    named("AltLeft", "Alt", 18), named("AltRight", "Alt", 18),
    named("MetaLeft", "Meta", 91), named("MetaRight", "Meta", 92),
    named("CapsLock", "CapsLock", 20), named("ContextMenu", "ContextMenu", 93),
    named("NumLock", "NumLock", 144), named("ScrollLock", "ScrollLock", 145),
    named("Pause", "Pause", 19), named("PrintScreen", "PrintScreen", 44),
    named("F1", "F1", 112), named("F2", "F2", 113), named("F3", "F3", 114),
    named("F4", "F4", 115), named("F5", "F5", 116), named("F6", "F6", 117),
    named("F7", "F7", 118), named("F8", "F8", 119), named("F9", "F9", 120),
    named("F10", "F10", 121), named("F11", "F11", 122), named("F12", "F12", 123),
    key("Numpad0", "0", "0", 96), key("Numpad1", "1", "1", 97), key("Numpad2", "2", "2", 98),
    key("Numpad3", "3", "3", 99), key("Numpad4", "4", "4", 100), key("Numpad5", "5", "5", 101),
    key("Numpad6", "6", "6", 102), key("Numpad7", "7", "7", 103), key("Numpad8", "8", "8", 104),
    key("Numpad9", "9", "9", 105), key("NumpadMultiply", "*", "*", 106),
    key("NumpadAdd", "+", "+", 107), key("NumpadSubtract", "-", "-", 109),
    key("NumpadDecimal", ".", ".", 110), key("NumpadDivide", "/", "/", 111),
    named("NumpadEnter", "Enter", 13),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_printable_ascii_character_has_a_key() {
        for c in ' '..='~' {
            let (key, shift) = by_char(c).unwrap();
            let text = if shift { key.shifted } else { key.plain };
            assert_eq!(text, c.to_string());
        }
    }

    #[test]
    fn no_code_is_listed_twice() {
        let codes: HashSet<_> = KEYS.iter().map(|key| key.code).collect();
        assert_eq!(codes.len(), KEYS.len());
    }

    #[test]
    fn names_are_not_characters() {
        assert_eq!(by_name("Enter").map(|key| key.code), Some("Enter"));
        assert_eq!(by_name("a"), None);
    }
}
