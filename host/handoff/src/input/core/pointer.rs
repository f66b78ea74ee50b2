//! Mouse, wheel and touch.

use authloop_media::capture::Surface;
use authloop_protocol::input::{Button, PointerPhase, TouchPhase, TouchPoint};
use serde_json::{Value, json};

use super::{Command, InputState, to_surface};

/// Every bit of `MouseEvent.buttons` that CDP knows.
const BUTTONS: [Button; 5] = [
    Button::Left,
    Button::Right,
    Button::Middle,
    Button::Back,
    Button::Forward,
];

/// A pointer event, without its place.
pub(super) struct Change {
    pub(super) phase: PointerPhase,
    pub(super) button: Option<Button>,
    pub(super) buttons: u8,
    pub(super) clicks: u8,
    pub(super) mods: u8,
}

impl InputState {
    pub(super) fn mouse(&mut self, change: &Change, commands: &mut Vec<Command>) {
        let changed = change.button.unwrap_or(Button::Left);
        let changed_bit = bit(changed);
        match change.phase {
            PointerPhase::Down => {
                if self.buttons & changed_bit != 0 {
                    // Its release was lost.
                    self.release_buttons(self.buttons & !changed_bit, change.mods, commands);
                }
                self.buttons |= changed_bit;
                self.clicks = change.clicks.clamp(1, 3);
                commands.push(self.mouse_event("mousePressed", Some(changed), change.mods));
            }
            PointerPhase::Up => {
                if self.buttons & changed_bit != 0 {
                    self.release_buttons(self.buttons & !changed_bit, change.mods, commands);
                }
            }
            PointerPhase::Move => {
                self.release_buttons(change.buttons, change.mods, commands);
                // A move that names no button does not begin the page's drag and drop.
                let held = BUTTONS
                    .into_iter()
                    .find(|button| self.buttons & bit(*button) != 0);
                let mut moved = self.mouse_event("mouseMoved", held, change.mods);
                moved.params["clickCount"] = 0.into();
                commands.push(moved);
            }
        }
    }

    /// Releases every held button that is not among `kept`.
    pub(super) fn release_buttons(&mut self, kept: u8, mods: u8, commands: &mut Vec<Command>) {
        for button in BUTTONS {
            if self.buttons & bit(button) & !kept != 0 {
                self.buttons &= !bit(button);
                commands.push(self.mouse_event("mouseReleased", Some(button), mods));
            }
        }
    }

    pub(super) fn wheel(&self, delta: (f64, f64), mods: u8, commands: &mut Vec<Command>) {
        let mut command = self.mouse_event("mouseWheel", None, mods);
        command.params["deltaX"] = delta.0.into();
        command.params["deltaY"] = delta.1.into();
        commands.push(command);
    }

    fn mouse_event(&self, kind: &str, button: Option<Button>, mods: u8) -> Command {
        let clicks = if button.is_some() { self.clicks } else { 0 };
        let params = json!({
            "type": kind, "x": self.pointer.0, "y": self.pointer.1,
            "button": button.map_or("none", name), "buttons": self.buttons,
            "clickCount": clicks, "modifiers": mods, "pointerType": "mouse",
        });
        Command::new("Input.dispatchMouseEvent", params)
    }

    pub(super) fn touch(
        &mut self,
        phase: TouchPhase,
        points: &[TouchPoint],
        surface: Surface,
        commands: &mut Vec<Command>,
    ) {
        let held = |id: u8| self.touches.iter().any(|point| point.id == id);
        let now: Vec<TouchPoint> = match phase {
            TouchPhase::Cancel => return self.release_touches(commands),
            TouchPhase::Start => points.to_vec(),
            // A finger that never came down cannot move or stay.
            TouchPhase::Move | TouchPhase::End => {
                points.iter().copied().filter(|p| held(p.id)).collect()
            }
        };
        let kind = if now.is_empty() {
            if self.touches.is_empty() {
                return;
            }
            "touchEnd"
        } else if now.iter().any(|point| !held(point.id)) {
            "touchStart"
        } else {
            // CDP lifts the fingers that are no longer listed.
            "touchMove"
        };
        let listed: Vec<Value> = now.iter().map(|point| at(point, surface)).collect();
        self.touches = now;
        commands.push(touch_event(kind, listed));
    }

    pub(super) fn release_touches(&mut self, commands: &mut Vec<Command>) {
        if !std::mem::take(&mut self.touches).is_empty() {
            commands.push(touch_event("touchCancel", Vec::new()));
        }
    }
}

fn touch_event(kind: &str, points: Vec<Value>) -> Command {
    let params = json!({ "type": kind, "touchPoints": points });
    Command::new("Input.dispatchTouchEvent", params)
}

fn at(point: &TouchPoint, surface: Surface) -> Value {
    let (x, y) = to_surface(point.x, point.y, surface);
    json!({ "id": point.id, "x": x, "y": y })
}

/// As in `MouseEvent.buttons`.
fn bit(button: Button) -> u8 {
    match button {
        Button::Left => 1,
        Button::Right => 2,
        Button::Middle => 4,
        Button::Back => 8,
        Button::Forward => 16,
    }
}

fn name(button: Button) -> &'static str {
    match button {
        Button::Left => "left",
        Button::Right => "right",
        Button::Middle => "middle",
        Button::Back => "back",
        Button::Forward => "forward",
    }
}
