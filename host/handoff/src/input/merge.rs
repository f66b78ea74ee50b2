//! Two moves are as good as one: what a flood of events may be reduced to. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use authloop_protocol::input::{InputEvent, PointerPhase, TouchPhase};

/// Whether the event may wait for the page and be merged with the next one.
pub(super) fn is_flood(event: &InputEvent) -> bool {
    matches!(
        event,
        InputEvent::Pointer {
            phase: PointerPhase::Move,
            ..
        } | InputEvent::Touch {
            phase: TouchPhase::Move,
            ..
        } | InputEvent::Wheel { .. }
    )
}

/// One event that leaves the page where `first` and then `second` would, if there is one.
pub(super) fn merge(first: &InputEvent, second: &InputEvent) -> Option<InputEvent> {
    match (first, second) {
        (
            InputEvent::Pointer {
                phase: PointerPhase::Move,
                buttons: a,
                mods: m,
                ..
            },
            InputEvent::Pointer {
                phase: PointerPhase::Move,
                buttons: b,
                mods: n,
                ..
            },
        ) if a == b && m == n => Some(second.clone()),
        (
            InputEvent::Touch {
                phase: TouchPhase::Move,
                points: a,
                ..
            },
            InputEvent::Touch {
                phase: TouchPhase::Move,
                points: b,
                ..
            },
        ) if a.iter().map(|p| p.id).eq(b.iter().map(|p| p.id)) => Some(second.clone()),
        (
            InputEvent::Wheel { dx, dy, mods, .. },
            InputEvent::Wheel {
                x,
                y,
                dx: dx2,
                dy: dy2,
                mods: mods2,
            },
        ) if mods == mods2 => Some(InputEvent::Wheel {
            x: *x,
            y: *y,
            dx: dx.checked_add(*dx2)?,
            dy: dy.checked_add(*dy2)?,
            mods: *mods,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use authloop_protocol::input::{Modifiers, TouchPoint};

    use super::*;

    fn wheel(dy: i16) -> InputEvent {
        InputEvent::Wheel {
            x: 1,
            y: 1,
            dx: 0,
            dy,
            mods: Modifiers::default(),
        }
    }

    #[test]
    fn wheel_distances_add_up_and_never_wrap() {
        assert!(merge(&wheel(3), &wheel(4)) == Some(wheel(7)));
        assert!(merge(&wheel(i16::MAX), &wheel(1)).is_none());
    }

    #[test]
    fn other_fingers_are_another_gesture() {
        let touch = |id| InputEvent::Touch {
            phase: TouchPhase::Move,
            points: vec![TouchPoint { id, x: 0, y: 0 }],
            at: 0,
        };

        assert!(merge(&touch(1), &touch(1)).is_some());
        assert!(merge(&touch(1), &touch(2)).is_none());
    }
}
