use std::collections::{BTreeMap, BTreeSet};

use authloop_protocol::input::{
    Button, InputEvent, Modifiers, PointerPhase, TouchPhase, TouchPoint,
};
use proptest::prelude::*;

use super::*;

const SURFACE: Surface = Surface {
    width: 780.0,
    height: 1688.0,
};

fn key(down: bool, code: &str, key: &str, mods: u8) -> InputEvent {
    InputEvent::Key {
        down,
        code: code.to_owned(),
        key: key.to_owned(),
        mods: Modifiers(mods),
        repeat: false,
    }
}

fn mouse(phase: PointerPhase, buttons: u8) -> InputEvent {
    InputEvent::Pointer {
        phase,
        x: 32_768,
        y: 32_768,
        button: Some(Button::Left),
        buttons,
        clicks: 1,
        mods: Modifiers(0),
    }
}

/// Type, code and text of the key events, and the text of the others.
fn summary(commands: &[Command]) -> Vec<String> {
    let describe = |command: &Command| {
        let field = |name: &str| command.params[name].as_str().unwrap_or("-").to_owned();
        match command.method {
            "Input.insertText" => format!("text {}", field("text")),
            _ => format!("{} {} {}", field("type"), field("code"), field("text")),
        }
    };
    commands.iter().map(describe).collect()
}

fn apply_all(state: &mut InputState, events: &[InputEvent]) -> Vec<Command> {
    events
        .iter()
        .flat_map(|event| state.apply(event, SURFACE))
        .collect()
}

#[test]
fn a_letter_is_typed() {
    let mut state = InputState::new();

    let commands = apply_all(
        &mut state,
        &[key(true, "KeyA", "a", 0), key(false, "KeyA", "a", 0)],
    );

    assert_eq!(summary(&commands), ["keyDown KeyA a", "keyUp KeyA -"]);
    assert_eq!(commands[0].params["windowsVirtualKeyCode"], 65);
}

#[test]
fn another_layout_types_its_own_characters() {
    let mut state = InputState::new();

    let azerty = state.apply(&key(true, "KeyQ", "a", 0), SURFACE);
    let digit = state.apply(&key(true, "Digit2", "é", 0), SURFACE);
    let unknown = state.apply(&key(true, "IntlYen", "¥", 0), SURFACE);

    assert_eq!(azerty[0].params["windowsVirtualKeyCode"], 65);
    assert_eq!(summary(&digit), ["keyDown Digit2 é"]);
    assert_eq!(summary(&unknown), ["text ¥"]);
}

#[test]
fn alt_gr_and_option_make_characters_not_shortcuts() {
    let mut state = InputState::new();

    let windows = state.apply(&key(true, "KeyQ", "@", 1 | 2), SURFACE);
    let mac = state.apply(&key(true, "KeyL", "@", 1), SURFACE);
    let shortcut = state.apply(&key(true, "KeyK", "k", 2), SURFACE);

    assert_eq!(summary(&windows), ["keyDown KeyQ @"]);
    assert_eq!(windows[0].params["modifiers"], 0);
    assert_eq!(summary(&mac), ["keyDown KeyL @"]);
    assert_eq!(summary(&shortcut), ["rawKeyDown KeyK -"]);
}

#[test]
fn the_caret_moves_along_the_text_and_not_the_screen() {
    let mut state = InputState::new();

    let back = state.apply(&InputEvent::Move { by: -2 }, SURFACE);
    let on = state.apply(&InputEvent::Move { by: 1 }, SURFACE);

    let edits = |commands: &[Command]| -> Vec<String> {
        let edit = |command: &Command| command.params["commands"][0].as_str().map(str::to_owned);
        commands.iter().filter_map(edit).collect()
    };
    assert_eq!(edits(&back), ["moveBackward", "moveBackward"]);
    assert_eq!(edits(&on), ["moveForward"]);
    assert!(state.is_idle());
}

#[test]
fn a_move_names_the_button_that_drags() {
    let mut state = InputState::new();

    let commands = apply_all(
        &mut state,
        &[
            mouse(PointerPhase::Move, 0),
            mouse(PointerPhase::Down, 1),
            mouse(PointerPhase::Move, 1),
        ],
    );

    let buttons: Vec<_> = commands.iter().map(|c| &c.params["button"]).collect();
    assert_eq!(buttons, ["none", "left", "left"]);
    assert_eq!(commands[2].params["clickCount"], 0);
}

#[test]
fn dead_keys_say_nothing_until_they_are_text() {
    let mut state = InputState::new();

    let commands = state.apply(&key(true, "BracketLeft", "Dead", 0), SURFACE);

    assert!(commands.is_empty());
    assert!(state.is_idle());
}

#[test]
fn a_lost_modifier_release_is_made_up_for() {
    let mut state = InputState::new();
    state.apply(&key(true, "ShiftLeft", "Shift", 8), SURFACE);

    let commands = state.apply(&key(true, "KeyB", "b", 0), SURFACE);

    assert_eq!(summary(&commands), ["keyUp ShiftLeft -", "keyDown KeyB b"]);
}

#[test]
fn command_on_a_mac_takes_the_letters_with_it() {
    let mut state = InputState::new();
    state.apply(&key(true, "MetaLeft", "Meta", 4), SURFACE);
    let select = state.apply(&key(true, "KeyA", "a", 4), SURFACE);

    let commands = state.apply(&key(false, "MetaLeft", "Meta", 0), SURFACE);

    assert_eq!(select[0].params["commands"][0], "selectAll");
    assert_eq!(summary(&commands), ["keyUp MetaLeft -", "keyUp KeyA -"]);
    assert!(state.is_idle());
}

#[test]
fn shortcuts_go_by_the_letter_on_the_key_and_by_its_place_on_other_scripts() {
    const CTRL: u8 = 2;
    for (code, letter, edit) in [
        ("KeyY", "z", "undo"),
        ("KeyZ", "y", "redo"),
        ("KeyQ", "a", "selectAll"),
        ("KeyZ", "я", "undo"),
        ("KeyA", "ф", "selectAll"),
    ] {
        let mut state = InputState::new();
        state.apply(&key(true, "ControlLeft", "Control", CTRL), SURFACE);
        let commands = state.apply(&key(true, code, letter, CTRL), SURFACE);
        assert_eq!(commands[0].params["commands"][0], edit, "{code} {letter}");
    }
}

#[test]
fn text_replaces_a_composition() {
    let mut state = InputState::new();
    let compose = |text: &str| InputEvent::Composition {
        text: text.to_owned(),
        start: 9,
        end: 9,
    };

    let composed = state.apply(&compose("に"), SURFACE);
    let committed = state.apply(&InputEvent::Text { text: "日".into() }, SURFACE);

    assert_eq!(composed[0].params["selectionEnd"], 1);
    assert_eq!(summary(&committed), ["text 日"]);
    assert!(state.is_idle());
}

#[test]
fn places_are_inside_the_surface() {
    assert_eq!(to_surface(0, 0, SURFACE), (0.0, 0.0));
    assert_eq!(to_surface(u16::MAX, u16::MAX, SURFACE), (779.0, 1687.0));
}

#[test]
fn a_move_without_the_button_releases_it() {
    let mut state = InputState::new();
    state.apply(&mouse(PointerPhase::Down, 1), SURFACE);

    let commands = state.apply(&mouse(PointerPhase::Move, 0), SURFACE);

    assert_eq!(summary(&commands), ["mouseReleased - -", "mouseMoved - -"]);
}

#[test]
fn a_second_finger_comes_and_goes() {
    let mut state = InputState::new();
    let touch = |phase, ids: &[u8]| InputEvent::Touch {
        phase,
        points: ids
            .iter()
            .map(|id| TouchPoint {
                id: *id,
                x: 1,
                y: 1,
            })
            .collect(),
        at: 0,
    };

    let commands = apply_all(
        &mut state,
        &[
            touch(TouchPhase::Start, &[1]),
            touch(TouchPhase::Start, &[1, 2]),
            touch(TouchPhase::End, &[2]),
            touch(TouchPhase::End, &[]),
            touch(TouchPhase::Move, &[2]),
        ],
    );

    assert_eq!(
        summary(&commands),
        [
            "touchStart - -",
            "touchStart - -",
            "touchMove - -",
            "touchEnd - -"
        ]
    );
}

#[test]
fn nothing_typed_shows_in_debug_output() {
    let mut state = InputState::new();
    let commands = state.apply(
        &InputEvent::Paste {
            text: "hunter2".into(),
        },
        SURFACE,
    );
    state.apply(&key(true, "KeyH", "h", 0), SURFACE);

    let shown = format!("{commands:?} {state:?}");

    assert!(
        !shown.contains("hunter2") && !shown.contains("KeyH"),
        "{shown}"
    );
}

fn any_code() -> impl Strategy<Value = (String, String)> {
    let known = [
        ("KeyA", "a"),
        ("KeyA", "A"),
        ("KeyQ", "@"),
        ("Digit1", "1"),
        ("ShiftLeft", "Shift"),
        ("ControlRight", "Control"),
        ("MetaLeft", "Meta"),
        ("AltLeft", "Alt"),
        ("Enter", "Enter"),
        ("", "Enter"),
        ("", "ß"),
        ("", ""),
        ("Backspace", "Backspace"),
        ("Numpad4", "ArrowLeft"),
        ("BracketLeft", "Dead"),
        ("Unknown", "Process"),
    ];
    let known = known.map(|(code, key)| (code.to_owned(), key.to_owned()));
    proptest::sample::select(known.to_vec())
}

fn any_event() -> impl Strategy<Value = InputEvent> {
    let button = proptest::sample::select(vec![
        None,
        Some(Button::Left),
        Some(Button::Middle),
        Some(Button::Right),
        Some(Button::Back),
        Some(Button::Forward),
    ]);
    let pointer_phase = proptest::sample::select(vec![
        PointerPhase::Move,
        PointerPhase::Down,
        PointerPhase::Up,
    ]);
    let touch_phase = proptest::sample::select(vec![
        TouchPhase::Start,
        TouchPhase::Move,
        TouchPhase::End,
        TouchPhase::Cancel,
    ]);
    let points = proptest::collection::btree_map(0u8..6, (any::<u16>(), any::<u16>()), 0..5);
    prop_oneof![
        6 => (any::<bool>(), any_code(), 0u8..16, any::<bool>()).prop_map(
            |(down, (code, key), mods, repeat)| InputEvent::Key {
                down, code, key, mods: Modifiers(mods), repeat,
            }),
        1 => "[a-zß日]{0,3}".prop_map(|text| InputEvent::Text { text }),
        1 => ("[a日]{0,3}", any::<u32>(), any::<u32>())
            .prop_map(|(text, start, end)| InputEvent::Composition { text, start, end }),
        1 => "[a-z]{0,3}".prop_map(|text| InputEvent::Replace { text }),
        1 => (-3i16..3).prop_map(|by| InputEvent::Move { by }),
        1 => (0u16..4, 0u16..4).prop_map(|(before, after)| InputEvent::Delete { before, after }),
        4 => (pointer_phase, any::<u16>(), any::<u16>(), button, any::<u8>(), any::<u8>(), 0u8..16)
            .prop_map(|(phase, x, y, button, buttons, clicks, mods)| InputEvent::Pointer {
                phase, x, y, button, buttons, clicks, mods: Modifiers(mods),
            }),
        3 => (touch_phase, points).prop_map(|(phase, points)| InputEvent::Touch {
            phase,
            points: points.into_iter().map(|(id, (x, y))| TouchPoint { id, x, y }).collect(),
            at: 0,
        }),
    ]
}

/// What a page would believe is held, from the commands alone.
#[derive(Default)]
struct Believed {
    keys: BTreeMap<String, u32>,
    buttons: BTreeSet<String>,
    touches: BTreeSet<u64>,
    composing: bool,
}

impl Believed {
    fn see(&mut self, command: &Command) -> Result<(), TestCaseError> {
        let params = &command.params;
        let field = |name: &str| params[name].as_str().unwrap_or_default().to_owned();
        match (command.method, field("type").as_str()) {
            ("Input.dispatchKeyEvent", "keyUp") => {
                prop_assert!(
                    self.keys.remove(&field("code")).is_some(),
                    "up without down"
                );
            }
            ("Input.dispatchKeyEvent", _) => {
                let repeated = self.keys.insert(field("code"), 1).is_some();
                prop_assert!(!repeated || params["autoRepeat"] == true, "down twice");
            }
            ("Input.dispatchMouseEvent", "mousePressed") => {
                prop_assert!(self.buttons.insert(field("button")), "pressed twice");
            }
            ("Input.dispatchMouseEvent", "mouseReleased") => {
                prop_assert!(self.buttons.remove(&field("button")), "released twice");
            }
            ("Input.dispatchTouchEvent", kind) => {
                let points = params["touchPoints"].as_array().unwrap();
                let ids: BTreeSet<u64> = points
                    .iter()
                    .map(|point| point["id"].as_u64().unwrap())
                    .collect();
                let ends = kind == "touchEnd" || kind == "touchCancel";
                prop_assert_eq!(ends, ids.is_empty(), "CDP refuses {}", kind);
                prop_assert!(kind == "touchStart" || ids.is_subset(&self.touches));
                self.touches = ids;
            }
            ("Input.imeSetComposition", _) => self.composing = !field("text").is_empty(),
            ("Input.insertText", _) => self.composing = false,
            _ => {}
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_happens_nothing_stays_held(
        events in proptest::collection::vec(any_event(), 0..60),
    ) {
        let mut state = InputState::new();
        let mut believed = Believed::default();
        for event in &events {
            for command in state.apply(event, SURFACE) {
                believed.see(&command)?;
            }
        }

        for command in state.release_all() {
            believed.see(&command)?;
        }

        prop_assert!(state.is_idle());
        prop_assert!(believed.keys.is_empty());
        prop_assert!(believed.buttons.is_empty());
        prop_assert!(believed.touches.is_empty());
        prop_assert!(!believed.composing);
        prop_assert!(state.release_all().is_empty());
    }
}
