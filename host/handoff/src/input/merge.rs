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

/// The longest that a finger may say nothing while it moves, in the viewer's milliseconds. Chromium takes one
/// that is silent for 40 ms to have stopped (`ui/events/velocity_tracker`), and scrolls on with no momentum.
const MAX_TOUCH_SILENCE_MS: u32 = 36;

/// Whether an event at `at` may stand for all that came since `sent`, the last one that the page got.
pub(super) fn keeps_momentum(event: &InputEvent, sent: u32) -> bool {
    match event {
        InputEvent::Touch { at, .. } => at.wrapping_sub(sent) <= MAX_TOUCH_SILENCE_MS,
        _ => true,
    }
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
    fn a_busy_page_does_not_take_a_moving_finger_for_one_that_rests() {
        let moved = |at| InputEvent::Touch {
            phase: TouchPhase::Move,
            points: vec![TouchPoint { id: 1, x: 0, y: 0 }],
            at,
        };

        assert!(keeps_momentum(&moved(132), 100));
        assert!(!keeps_momentum(&moved(148), 100));
        assert!(
            keeps_momentum(&moved(10), u32::MAX - 10),
            "the viewer's clock wraps"
        );
        assert!(keeps_momentum(&wheel(1), 100), "a wheel has none");
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
