//! Whether something that was sampled over time stayed flat.

use serde::Serialize;

use crate::report::median;

/// How a quantity went: its first third is the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Trend {
    /// Median of the middle third.
    pub middle: f64,
    /// Median of the last third.
    pub last: f64,
    /// Least squares over both, a minute.
    pub per_minute: f64,
}

impl Trend {
    /// Of `(seconds, value)` in order of time; `None` for fewer than six.
    pub(crate) fn of(samples: &[(f64, f64)]) -> Option<Self> {
        let third = samples.len() / 3;
        if third < 2 {
            return None;
        }
        let (_, settled) = samples.split_at(third);
        let (middle, last) = settled.split_at(settled.len() / 2);
        let values = |samples: &[(f64, f64)]| samples.iter().map(|(_, value)| *value).collect();
        Some(Self {
            middle: median(values(middle)),
            last: median(values(last)),
            per_minute: slope(settled) * 60.0,
        })
    }

    /// The last third's median to the middle one's.
    pub(crate) fn ratio(&self) -> f64 {
        self.last / self.middle
    }

    /// Whether the last third's median is above the middle one's by no more than this share.
    pub(crate) fn is_flat(&self, tolerance: f64) -> bool {
        self.ratio() <= 1.0 + tolerance
    }
}

fn slope(samples: &[(f64, f64)]) -> f64 {
    let count = samples.len() as f64;
    let mean = |get: fn(&(f64, f64)) -> f64| samples.iter().map(get).sum::<f64>() / count;
    let (x, y) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let (mut over, mut under) = (0.0, 0.0);
    for sample in samples {
        over += (sample.0 - x) * (sample.1 - y);
        under += (sample.0 - x).powi(2);
    }
    over / under
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(value: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let seconds = (0..90).map(f64::from);
        seconds.map(|second| (second, value(second))).collect()
    }

    #[test]
    fn a_warm_up_is_not_held_against_it() {
        let samples = series(|second| 100.0 * second.min(25.0));

        let trend = Trend::of(&samples).unwrap();

        assert!(
            trend.is_flat(0.001) && trend.per_minute.abs() < 1e-6,
            "{trend:?}"
        );
    }

    #[test]
    fn a_leak_is_seen_with_its_slope() {
        let samples = series(|second| 100.0 + second);

        let trend = Trend::of(&samples).unwrap();

        assert!(!trend.is_flat(0.05), "{trend:?}");
        assert!((trend.per_minute - 60.0).abs() < 1e-6, "{trend:?}");
    }

    #[test]
    fn what_shrinks_does_not_leak() {
        assert!(
            Trend::of(&series(|second| 200.0 - second))
                .unwrap()
                .is_flat(0.0)
        );
    }

    #[test]
    fn too_few_samples_have_no_trend() {
        assert_eq!(Trend::of(&[(0.0, 1.0); 5]), None);
    }
}
