//! When fingers moved, on this machine's clock: a browser makes momentum of a finger's speed, and
//! what the way here adds between two events would change it. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use authloop_protocol::input::TouchPhase;

/// Translates the viewer's times, since the first finger of a gesture came down.
#[derive(Debug, Default)]
pub(super) struct TouchClock {
    /// The viewer's milliseconds and ours (seconds since 1970) at that moment.
    start: Option<(u32, f64)>,
    last: f64,
}

impl TouchClock {
    /// The time of an event that arrives at `now`; none if the viewer does not tell.
    pub(super) fn at(&mut self, phase: TouchPhase, at: u32, now: f64) -> Option<f64> {
        if at == 0 {
            return None;
        }
        if phase == TouchPhase::Start || self.start.is_none() {
            self.start = Some((at, now));
            self.last = now;
        }
        let (theirs, ours) = self.start?;
        let since = f64::from(at.wrapping_sub(theirs)) / 1000.0;
        // Never back, and never ahead of us, whatever the viewer says.
        self.last = (ours + since).min(now).max(self.last);
        Some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use TouchPhase::{End, Move, Start};

    use super::*;

    #[test]
    fn a_jittery_way_leaves_the_finger_its_speed() {
        let mut clock = TouchClock::default();

        // Sent every 10 ms, arrived in a bunch.
        let times: Vec<_> = [
            (Start, 500, 100.0),
            (Move, 510, 100.08),
            (End, 520, 100.081),
        ]
        .into_iter()
        .filter_map(|(phase, at, now)| clock.at(phase, at, now))
        .collect();

        let expected = [100.0, 100.01, 100.02];
        for (time, wanted) in times.iter().zip(expected) {
            assert!((time - wanted).abs() < 1e-9, "{times:?}");
        }
        assert_eq!(times.len(), 3);
    }

    #[test]
    fn no_viewer_makes_time_run_back_or_ahead() {
        let mut clock = TouchClock::default();

        assert_eq!(clock.at(Start, u32::MAX, 7.0), Some(7.0));
        assert_eq!(clock.at(Move, 90_000, 7.5), Some(7.5));
        assert_eq!(clock.at(Move, u32::MAX, 7.6), Some(7.5));
        assert_eq!(clock.at(Move, 0, 8.0), None);
    }
}
