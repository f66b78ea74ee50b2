//! A colour that people can read.

use std::{fmt, str::FromStr};

/// The least contrast of text (WCAG 2.2, success criterion 1.4.3).
const MIN_CONTRAST_RATIO: f64 = 4.5;
/// What the accent lies on in each theme: `--bg` and `--card` of `viewer/css/base.css`.
const LIGHT_GROUNDS: [Rgb; 2] = [Rgb(0xf6, 0xf5, 0xf2), Rgb(0xff, 0xff, 0xff)];
const DARK_GROUNDS: [Rgb; 2] = [Rgb(0x15, 0x17, 0x1a), Rgb(0x1e, 0x21, 0x25)];
const WHITE: Rgb = Rgb(0xff, 0xff, 0xff);
const BLACK: Rgb = Rgb(0, 0, 0);
/// Text on the dark theme's accent.
const DARK_INK: Rgb = Rgb(0x0b, 0x0f, 0x14);
/// How much of the accent its soft form has, which lies under the accent's own text.
const SOFT_ACCENT_RATIO: f64 = 0.12;

/// An accent that is readable on the light theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accent(Rgb);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rgb(u8, u8, u8);

/// What is wrong with an accent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AccentError {
    /// Not `#rrggbb`.
    #[error("must be a colour as in #1a6453")]
    Malformed,
    /// Too pale to be read on white, or to carry white text.
    #[error(
        "has a contrast of {contrast:.1}:1 where text needs 4.5:1 (WCAG 2.2, 1.4.3): {nearest} has it"
    )]
    Pale {
        /// The least it has.
        contrast: f64,
        /// The same colour, as much darker as it must be.
        nearest: String,
    },
}

impl FromStr for Accent {
    type Err = AccentError;

    fn from_str(text: &str) -> Result<Self, AccentError> {
        let colour = Rgb::parse(text.trim()).ok_or(AccentError::Malformed)?;
        let contrast = least_contrast(colour, LIGHT_GROUNDS);
        if contrast >= MIN_CONTRAST_RATIO {
            return Ok(Self(colour));
        }
        let nearest = towards(colour, BLACK, LIGHT_GROUNDS).to_string();
        Err(AccentError::Pale { contrast, nearest })
    }
}

impl fmt::Display for Accent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Accent {
    /// The dark theme's: the same colour, as much lighter as it must be.
    fn dark(self) -> Rgb {
        towards(self.0, WHITE, DARK_GROUNDS)
    }

    pub(super) fn style_sheet(self) -> String {
        let light = self.0;
        let dark = self.dark();
        let [_, white] = LIGHT_GROUNDS;
        let [_, card] = DARK_GROUNDS;
        format!(
            ":root {{ --accent: {light}; --accent-ink: {white}; --accent-soft: {}; }}\n\
             @media (prefers-color-scheme: dark) {{ :root {{ --accent: {dark}; \
             --accent-ink: {DARK_INK}; --accent-soft: {}; }} }}\n",
            light.mixed(white, 1.0 - SOFT_ACCENT_RATIO),
            dark.mixed(card, 1.0 - SOFT_ACCENT_RATIO),
        )
    }
}

/// The colour itself, or the first one on the way to `end` that is readable on `grounds`.
fn towards(colour: Rgb, end: Rgb, grounds: [Rgb; 2]) -> Rgb {
    (0..=100)
        .map(|percent| colour.mixed(end, f64::from(percent) / 100.0))
        .find(|mixed| least_contrast(*mixed, grounds) >= MIN_CONTRAST_RATIO)
        .unwrap_or(end)
}

/// On the theme's grounds, and on the accent's soft form.
fn least_contrast(colour: Rgb, grounds: [Rgb; 2]) -> f64 {
    let soft = colour.mixed(grounds[1], 1.0 - SOFT_ACCENT_RATIO);
    grounds
        .into_iter()
        .chain([soft])
        .map(|ground| colour.contrast(ground))
        .fold(f64::INFINITY, f64::min)
}

impl Rgb {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let [_, r, g, b] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        digits
            .bytes()
            .all(|digit| digit.is_ascii_hexdigit())
            .then_some(Self(r, g, b))
    }

    /// `part` of the other, 0.0 to 1.0.
    fn mixed(self, other: Self, part: f64) -> Self {
        let mix = |a: u8, b: u8| (f64::from(a) * (1.0 - part) + f64::from(b) * part).round() as u8;
        Self(
            mix(self.0, other.0),
            mix(self.1, other.1),
            mix(self.2, other.2),
        )
    }

    /// 1.0 to 21.0, as WCAG defines the contrast ratio.
    fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// Relative luminance, as WCAG defines it.
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let part = f64::from(channel) / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn contrast_is_what_wcag_says() {
        assert!((WHITE.contrast(BLACK) - 21.0).abs() < 1e-9);
        // The well-known grey that just fails and the one that just passes on white.
        assert!(Rgb(0x77, 0x77, 0x77).contrast(WHITE) < MIN_CONTRAST_RATIO);
        assert!(Rgb(0x76, 0x76, 0x76).contrast(WHITE) >= MIN_CONTRAST_RATIO);
    }

    #[test]
    fn a_pale_accent_is_refused_with_one_that_would_do() {
        let error = "#ffcc00".parse::<Accent>().unwrap_err();

        let AccentError::Pale { contrast, nearest } = &error else {
            panic!("{error}");
        };
        assert!(*contrast < 2.0, "{contrast}");
        assert!(nearest.parse::<Accent>().is_ok(), "{nearest}");
        assert!(error.to_string().contains(nearest));
        for bad in [
            "", "1a6453", "#1a645", "red", "#1a64530", "#+a6453", "#12345é",
        ] {
            assert_eq!(bad.parse::<Accent>(), Err(AccentError::Malformed), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn both_themes_are_readable(r: u8, g: u8, b: u8) {
            let light = towards(Rgb(r, g, b), BLACK, LIGHT_GROUNDS);
            let accent: Accent = light.to_string().parse().unwrap();
            let dark = accent.dark();

            prop_assert!(least_contrast(dark, DARK_GROUNDS) >= MIN_CONTRAST_RATIO, "{dark}");
            prop_assert!(DARK_INK.contrast(dark) >= MIN_CONTRAST_RATIO, "{dark}");
            prop_assert!(WHITE.contrast(light) >= MIN_CONTRAST_RATIO, "{light}");
        }
    }
}
