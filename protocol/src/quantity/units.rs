//! The units themselves, and what may be computed with them.

use std::{
    cmp::Ordering,
    iter::Sum,
    ops::{Add, AddAssign, Div, Mul, Sub},
    time::Duration,
};

const BITS_PER_BYTE: f64 = 8.0;

/// A data rate in bits a second, from zero to infinity.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bitrate(f64);

/// An amount of data in bits, from zero to infinity.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DataSize(f64);

impl Bitrate {
    /// No data at all.
    pub const ZERO: Self = Self(0.0);

    /// Creates a rate from whole bits a second.
    #[must_use]
    pub const fn from_bps(bits_per_second: u64) -> Self {
        Self(bits_per_second as f64)
    }

    /// Creates a rate from bits a second; a negative number or NaN counts as zero.
    #[must_use]
    pub const fn from_bps_f64(bits_per_second: f64) -> Self {
        Self(non_negative(bits_per_second))
    }

    /// Creates a rate from whole kilobits (1000 bits) a second.
    #[must_use]
    pub const fn from_kbps(kilobits_per_second: u64) -> Self {
        Self(kilobits_per_second as f64 * 1e3)
    }

    /// Creates a rate from whole megabits (1,000,000 bits) a second.
    #[must_use]
    pub const fn from_mbps(megabits_per_second: u64) -> Self {
        Self(megabits_per_second as f64 * 1e6)
    }

    /// Returns whole bits a second, rounded down; at most `u64::MAX`.
    #[must_use]
    pub const fn as_bps(self) -> u64 {
        self.0 as u64
    }

    /// Returns bits a second, with their fraction.
    #[must_use]
    pub const fn as_bps_f64(self) -> f64 {
        self.0
    }

    /// Returns kilobits (1000 bits) a second, with their fraction.
    #[must_use]
    pub const fn as_kbps_f64(self) -> f64 {
        self.0 / 1e3
    }
}

impl DataSize {
    /// No data at all.
    pub const ZERO: Self = Self(0.0);

    /// Creates a size from whole bytes.
    #[must_use]
    pub const fn from_bytes(bytes: usize) -> Self {
        Self(bytes as f64 * BITS_PER_BYTE)
    }

    /// Creates a size from whole bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits as f64)
    }

    /// Creates a size from bits; a negative number or NaN counts as zero.
    #[must_use]
    pub const fn from_bits_f64(bits: f64) -> Self {
        Self(non_negative(bits))
    }

    /// Returns whole bytes, rounded down; at most `usize::MAX`.
    #[must_use]
    pub const fn as_bytes(self) -> usize {
        (self.0 / BITS_PER_BYTE) as usize
    }

    /// Returns bits, with their fraction.
    #[must_use]
    pub const fn as_bits_f64(self) -> f64 {
        self.0
    }

    /// Subtracts, and returns zero where the result would be negative.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self::from_bits_f64(self.0 - other.0)
    }
}

/// What passes at a rate in a time.
impl Mul<Duration> for Bitrate {
    type Output = DataSize;

    fn mul(self, time: Duration) -> DataSize {
        DataSize::from_bits_f64(self.0 * time.as_secs_f64())
    }
}

/// How long a size takes at a rate: for ever ([`Duration::MAX`]) at a rate of zero, unless there is
/// nothing to wait for.
impl Div<Bitrate> for DataSize {
    type Output = Duration;

    fn div(self, rate: Bitrate) -> Duration {
        if self == Self::ZERO {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(self.0 / rate.0).unwrap_or(Duration::MAX)
    }
}

/// The rate at which a size passes in a time: infinite in no time, unless there is no data.
impl Div<Duration> for DataSize {
    type Output = Bitrate;

    fn div(self, time: Duration) -> Bitrate {
        Bitrate::from_bps_f64(self.0 / time.as_secs_f64())
    }
}

/// Scales a rate; a negative factor gives zero.
impl Mul<f64> for Bitrate {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self::from_bps_f64(self.0 * factor)
    }
}

/// How many times as fast one rate is as another.
impl Div for Bitrate {
    type Output = f64;

    fn div(self, other: Self) -> f64 {
        self.0 / other.0
    }
}

/// Scales a size; a negative factor gives zero.
impl Mul<f64> for DataSize {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self::from_bits_f64(self.0 * factor)
    }
}

impl Add for DataSize {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for DataSize {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for DataSize {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::ZERO, Add::add)
    }
}

impl Add for Bitrate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

/// Subtracts, and returns zero where the result would be negative.
impl Sub for Bitrate {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self::from_bps_f64(self.0 - other.0)
    }
}

impl Eq for Bitrate {}

impl Ord for Bitrate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Bitrate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for DataSize {}

impl Ord for DataSize {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for DataSize {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Replaces NaN and negative numbers, -0.0 among them, by 0.0.
const fn non_negative(number: f64) -> f64 {
    number.max(0.0) + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn units_convert_both_ways() {
        assert_eq!(Bitrate::from_kbps(1_500), Bitrate::from_bps(1_500_000));
        assert_eq!(Bitrate::from_mbps(2), Bitrate::from_kbps(2_000));
        assert_eq!(Bitrate::from_bps(1_999).as_kbps_f64(), 1.999);
        assert_eq!(Bitrate::from_bps_f64(1.9).as_bps(), 1);
        assert_eq!(DataSize::from_bytes(3), DataSize::from_bits(24));
        assert_eq!(DataSize::from_bits(31).as_bytes(), 3);
    }

    #[test]
    fn nothing_is_negative_or_nan() {
        assert_eq!(Bitrate::from_bps_f64(-1.0), Bitrate::ZERO);
        assert_eq!(Bitrate::from_bps_f64(f64::NAN), Bitrate::ZERO);
        assert_eq!(DataSize::from_bits_f64(f64::NAN), DataSize::ZERO);
        assert_eq!(DataSize::ZERO / Duration::ZERO, Bitrate::ZERO);
        assert_eq!(Bitrate::from_bps(1) - Bitrate::from_bps(2), Bitrate::ZERO);
        assert_eq!(Bitrate::from_bps(1) * -2.0, Bitrate::ZERO);
        assert!(Bitrate::from_bps_f64(-0.0) >= Bitrate::ZERO);
    }

    #[test]
    fn rate_time_and_size_determine_each_other() {
        let (rate, time) = (Bitrate::from_kbps(64), MS(250));
        let size = rate * time;

        assert_eq!(size, DataSize::from_bytes(2_000));
        assert_eq!(size / rate, time);
        assert_eq!(size / time, rate);
        assert_eq!(rate * 0.5 / rate, 0.5);
    }

    #[test]
    fn a_rate_of_zero_takes_for_ever_unless_nothing_waits() {
        assert_eq!(DataSize::from_bytes(1) / Bitrate::ZERO, Duration::MAX);
        assert_eq!(DataSize::ZERO / Bitrate::ZERO, Duration::ZERO);
    }

    #[test]
    fn sizes_and_rates_are_ordered() {
        let mut rates = [3, 1, 2].map(Bitrate::from_mbps);
        rates.sort();

        assert_eq!(rates, [1, 2, 3].map(Bitrate::from_mbps));
        assert!(DataSize::from_bytes(2) > DataSize::from_bits(15));
        let sum: DataSize = [1, 2, 3].map(DataSize::from_bytes).into_iter().sum();
        assert_eq!(sum, DataSize::from_bytes(6));
    }
}
