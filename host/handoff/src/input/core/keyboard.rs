//! Keys, text and composition.

use serde_json::{Value, json};

use super::{Command, InputState};
use crate::input::keys::{self, Key};

const ALT: u8 = 1;
const CTRL: u8 = 2;
const META: u8 = 4;
const SHIFT: u8 = 8;

/// More deletions, or steps of the caret, than any soft keyboard asks for at once.
const MAX_STEPS: u16 = 2048;

/// A key event as the viewer saw it.
pub(super) struct Stroke<'a> {
    pub(super) code: &'a str,
    pub(super) key: &'a str,
    pub(super) mods: u8,
    pub(super) repeat: bool,
}

/// A key that is down, as its key-up will name it.
pub(super) struct HeldKey {
    key: String,
    vk: u16,
}

impl InputState {
    /// Releases modifier keys whose bit is no longer set: their key-up was lost.
    pub(super) fn reconcile(&mut self, mods: u8, now: Option<&str>, commands: &mut Vec<Command>) {
        let stale: Vec<String> = self
            .keys
            .keys()
            .filter(|code| {
                let bit = keys::modifier_bit(code);
                bit != 0 && bit & mods == 0 && Some(code.as_str()) != now
            })
            .cloned()
            .collect();
        for code in stale {
            self.release(&code, mods, commands);
        }
    }

    pub(super) fn key_down(&mut self, stroke: &Stroke<'_>, commands: &mut Vec<Command>) {
        let Some(known) = find(stroke) else {
            // Not a key we know: a character of another layout, or nothing (`Dead`, `Process`).
            if is_character(stroke.key) && stroke.mods & (CTRL | META) == 0 {
                self.insert(stroke.key, commands);
            }
            return;
        };
        let stroke = &resolve_alt_gr(stroke, known);
        let text = text_of(stroke);
        if text.is_none() && stroke.key == "Dead" {
            // The composed character follows as text.
            return;
        }
        let vk = virtual_key(stroke.key, known);
        let repeat = stroke.repeat || self.keys.contains_key(known.code);
        let mut params = event(known.code, stroke.key, vk, stroke.mods);
        params["type"] = if text.is_some() {
            "keyDown"
        } else {
            "rawKeyDown"
        }
        .into();
        params["autoRepeat"] = repeat.into();
        if let Some(text) = &text {
            params["text"] = text.as_str().into();
            params["unmodifiedText"] = text.as_str().into();
        }
        if let Some(edit) = editing_command(known.code, stroke.key, stroke.mods) {
            params["commands"] = json!([edit]);
        }
        commands.push(Command::new("Input.dispatchKeyEvent", params));
        let held = HeldKey {
            key: stroke.key.to_owned(),
            vk,
        };
        self.keys.insert(known.code.to_owned(), held);
    }

    pub(super) fn key_up(&mut self, stroke: &Stroke<'_>, commands: &mut Vec<Command>) {
        let Some(known) = find(stroke) else {
            return;
        };
        self.release(known.code, stroke.mods, commands);
        // macOS sends no key-up for keys released while Command is down.
        if keys::modifier_bit(known.code) == META {
            let stuck: Vec<String> = self
                .keys
                .keys()
                .filter(|code| keys::modifier_bit(code) == 0)
                .cloned()
                .collect();
            for code in stuck {
                self.release(&code, stroke.mods, commands);
            }
        }
    }

    pub(super) fn release_keys(&mut self, commands: &mut Vec<Command>) {
        // Characters before modifiers, as fingers do.
        let mut codes: Vec<String> = self.keys.keys().cloned().collect();
        codes.sort_by_key(|code| keys::modifier_bit(code) != 0);
        for code in codes {
            self.release(&code, 0, commands);
        }
    }

    fn release(&mut self, code: &str, mods: u8, commands: &mut Vec<Command>) {
        if let Some(held) = self.keys.remove(code) {
            let mods = mods & !keys::modifier_bit(code);
            let mut params = event(code, &held.key, held.vk, mods);
            params["type"] = "keyUp".into();
            commands.push(Command::new("Input.dispatchKeyEvent", params));
        }
    }

    /// Committed text: a single key's as that key, for pages that listen to keys; else as text.
    pub(super) fn text(&mut self, text: &str, commands: &mut Vec<Command>) {
        let mut characters = text.chars();
        let single = match (characters.next(), characters.next()) {
            (Some(c), None) if !self.composing => Some(c),
            _ => None,
        };
        match single {
            Some('\n' | '\r') => self.press("Enter", "Enter", 0, commands),
            Some('\t') => self.press("Tab", "Tab", 0, commands),
            Some(c) => match keys::by_char(c) {
                Some((key, shift)) => {
                    self.press(key.code, text, if shift { SHIFT } else { 0 }, commands);
                }
                None => self.insert(text, commands),
            },
            None => self.insert(text, commands),
        }
    }

    pub(super) fn insert(&mut self, text: &str, commands: &mut Vec<Command>) {
        if text.is_empty() {
            return self.compose("", 0, 0, commands);
        }
        // Committing replaces the composition, if there is one.
        self.composing = false;
        commands.push(Command::new("Input.insertText", json!({ "text": text })));
    }

    pub(super) fn compose(
        &mut self,
        text: &str,
        start: u32,
        end: u32,
        commands: &mut Vec<Command>,
    ) {
        if text.is_empty() && !self.composing {
            return;
        }
        self.composing = !text.is_empty();
        // Chromium refuses a selection outside of the text.
        let length = u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX);
        let end = end.min(length);
        commands.push(composition(text, start.min(end), end));
    }

    pub(super) fn delete(&mut self, before: u16, after: u16, commands: &mut Vec<Command>) {
        for _ in 0..before.min(MAX_STEPS) {
            self.press("Backspace", "Backspace", 0, commands);
        }
        for _ in 0..after.min(MAX_STEPS) {
            self.press("Delete", "Delete", 0, commands);
        }
    }

    /// Arrow keys go by the screen, so each is told which way along the text it means.
    pub(super) fn move_caret(&mut self, by: i16, commands: &mut Vec<Command>) {
        let (key, edit) = if by < 0 {
            ("ArrowLeft", "moveBackward")
        } else {
            ("ArrowRight", "moveForward")
        };
        for _ in 0..by.unsigned_abs().min(MAX_STEPS) {
            let first = commands.len();
            self.press(key, key, 0, commands);
            let down = commands[first..]
                .iter_mut()
                .find(|command| command.params["type"] == "rawKeyDown");
            if let Some(down) = down {
                down.params["commands"] = json!([edit]);
            }
        }
    }

    pub(super) fn replace(&mut self, text: &str, commands: &mut Vec<Command>) {
        self.press("KeyA", "a", CTRL, commands);
        if text.is_empty() {
            self.press("Backspace", "Backspace", 0, commands);
        } else {
            self.insert(text, commands);
        }
    }

    /// Down and up at once, whether or not the user holds the same key.
    fn press(&mut self, code: &str, key: &str, mods: u8, commands: &mut Vec<Command>) {
        let stroke = Stroke {
            code,
            key,
            mods,
            repeat: false,
        };
        self.release(code, mods, commands);
        self.key_down(&stroke, commands);
        self.release(code, mods, commands);
    }
}

pub(super) fn composition(text: &str, start: u32, end: u32) -> Command {
    let params = json!({ "text": text, "selectionStart": start, "selectionEnd": end });
    Command::new("Input.imeSetComposition", params)
}

fn find(stroke: &Stroke<'_>) -> Option<&'static Key> {
    keys::by_code(stroke.code).or_else(|| keys::by_name(stroke.key))
}

fn event(code: &str, key: &str, vk: u16, mods: u8) -> Value {
    let location = keys::location(code);
    json!({
        "code": code, "key": key, "windowsVirtualKeyCode": vk, "nativeVirtualKeyCode": vk,
        "location": location, "isKeypad": location == 3, "modifiers": mods,
    })
}

/// One character, in any script; not a name such as `Enter` or `Dead`.
fn is_character(key: &str) -> bool {
    let mut characters = key.chars();
    let first = characters.next().is_some_and(|c| !c.is_control());
    // Names are ASCII words; a character with its combining marks is not.
    first && (characters.next().is_none() || !key.is_ascii())
}

/// AltGr, and Option on a Mac, make characters: those arrive without the modifiers.
fn resolve_alt_gr<'a>(stroke: &Stroke<'a>, known: &Key) -> Stroke<'a> {
    let made = stroke.key != known.plain && stroke.key != known.shifted;
    let level3 = stroke.mods & ALT != 0 && stroke.mods & META == 0;
    let mods = if is_character(stroke.key) && made && level3 {
        stroke.mods & !(ALT | CTRL)
    } else {
        stroke.mods
    };
    Stroke { mods, ..*stroke }
}

fn text_of(stroke: &Stroke<'_>) -> Option<String> {
    if stroke.mods & (CTRL | META | ALT) != 0 {
        return None;
    }
    match stroke.key {
        "Enter" => Some("\r".to_owned()),
        key if is_character(key) => Some(key.to_owned()),
        _ => None,
    }
}

/// As Windows does: by the character for Latin letters and digits, else by the key; keypad keys
/// without Num Lock are the keys they name.
fn virtual_key(key: &str, known: &Key) -> u16 {
    if known.code.starts_with("Numpad") {
        return keys::by_name(key).map_or(known.vk, |named| named.vk);
    }
    match key.as_bytes() {
        [c] if c.is_ascii_alphabetic() => u16::from(c.to_ascii_uppercase()),
        _ => known.vk,
    }
}

/// Editing that a Mac's or another system's shortcuts mean, whatever the browser's own are. A Latin letter
/// counts for itself, wherever its layout has it; on a layout of another script the key's place does.
fn editing_command(code: &str, key: &str, mods: u8) -> Option<&'static str> {
    let letter = match key.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(letter.to_ascii_uppercase()),
        _ => code
            .strip_prefix("Key")
            .and_then(|rest| rest.bytes().next()),
    };
    let shift = mods & SHIFT != 0;
    let shortcut = mods & (CTRL | META) != 0 && mods & ALT == 0;
    let mac = mods & META != 0 && mods & (ALT | CTRL) == 0;
    match letter {
        Some(b'A') if shortcut && !shift => return Some("selectAll"),
        Some(b'C') if shortcut && !shift => return Some("copy"),
        Some(b'X') if shortcut && !shift => return Some("cut"),
        Some(b'Y') if mods == CTRL => return Some("redo"),
        Some(b'Z') if shortcut => return Some(if shift { "redo" } else { "undo" }),
        _ => {}
    }
    match code {
        "ArrowLeft" if mac && shift => Some("moveToBeginningOfLineAndModifySelection"),
        "ArrowLeft" if mac => Some("moveToBeginningOfLine"),
        "ArrowRight" if mac && shift => Some("moveToEndOfLineAndModifySelection"),
        "ArrowRight" if mac => Some("moveToEndOfLine"),
        "Backspace" if mac => Some("deleteToBeginningOfLine"),
        "Backspace" if mods == ALT => Some("deleteWordBackward"),
        _ => None,
    }
}
