//! Text to values, each with a sentence that says what is wrong with it.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use authloop_signaling::origin::Origin;

use super::ConfigError;

/// What an option that is an address expects.
pub(super) const EXPECT_ADDR: &str = "an address and a port, as in 127.0.0.1:7443";
/// What an option that is on or off expects.
pub(super) const EXPECT_BOOL: &str = "true or false";

/// Parses an option's text, or takes its default when it was not given.
pub(super) fn parse_or<T: FromStr>(
    key: &'static str,
    text: Option<String>,
    default: T,
    expected: &str,
) -> Result<T, ConfigError> {
    match text {
        None => Ok(default),
        Some(text) => text
            .trim()
            .parse()
            .map_err(|_| invalid(key, format!("must be {expected}, not `{text}`"))),
    }
}

/// Parses a number that must lie within `range`.
pub(super) fn within(
    key: &'static str,
    text: Option<String>,
    default: usize,
    range: RangeInclusive<usize>,
) -> Result<usize, ConfigError> {
    let expected = format!("a number from {} to {}", range.start(), range.end());
    let number = parse_or(key, text, default, &expected)?;
    if !range.contains(&number) {
        return Err(invalid(key, format!("must be {expected}, not {number}")));
    }
    Ok(number)
}

/// Parses an origin.
pub(super) fn origin(key: &'static str, text: &str) -> Result<Origin, ConfigError> {
    text.parse()
        .map_err(|error| invalid(key, format!("{error}, not `{text}`")))
}

/// An error that names the option and says what is wrong with its value.
pub(super) fn invalid(key: &'static str, reason: impl Display) -> ConfigError {
    ConfigError::Invalid {
        key,
        reason: reason.to_string(),
    }
}
