//! Whose page it looks like: a name, a logo and a colour, the same for everyone. Pure: files come in
//! as bytes.
//!
//! The accent carries text, so it is measured (WCAG 2.2, success criterion 1.4.3): one that people
//! could not read on the light theme is refused, and the dark theme's is made of it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod colour;
mod logo;

use std::{fmt, str::FromStr};

use crate::origin::Origin;

pub use colour::{Accent, AccentError};
pub use logo::{Logo, LogoError, MAX_LOGO_BYTES};

/// The longest name, in characters: more does not fit beside the logo on a phone.
pub const MAX_NAME_CHARS: usize = 40;

/// What the page shows of whoever runs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brand {
    /// Stands in the place of `authloop`.
    pub name: Option<BrandName>,
    /// Stands in the place of authloop's mark.
    pub logo: Option<Logo>,
    /// The colour of buttons and marks.
    pub accent: Option<Accent>,
}

/// What a server's `brand/brand.json` says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrandDocument {
    /// The name on the page.
    pub name: String,
    /// The logo's path.
    pub logo: Option<String>,
    /// Origins that may frame the page.
    pub embed: Vec<String>,
}

/// Whether this is a `brand/brand.css` that a server makes: nothing but an accent's colours, or
/// nothing at all.
#[must_use]
pub fn is_brand_style(text: &str) -> bool {
    let only_comment = |text: &str| {
        let text = text.trim();
        let inner = text
            .strip_prefix("/*")
            .and_then(|rest| rest.strip_suffix("*/"));
        text.is_empty() || inner.is_some_and(|inner| !inner.contains("*/"))
    };
    let accent = text.find('#').and_then(|at| text.get(at..at + 7));
    let accent = accent.and_then(|colour| colour.parse::<Accent>().ok());
    only_comment(text) || accent.is_some_and(|accent| accent.style_sheet() == text)
}

/// One of the page's files.
pub(crate) struct BrandFile {
    /// For example `brand/brand.json`.
    pub(crate) path: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Brand {
    /// The files that differ from those in `viewer/brand/`.
    pub(crate) fn files(&self, embed: &[Origin]) -> Vec<BrandFile> {
        let mut files = Vec::new();
        if self.name.is_some() || self.logo.is_some() || !embed.is_empty() {
            let embed: Vec<&str> = embed.iter().map(Origin::as_str).collect();
            let told = serde_json::json!({
                "name": self.name.as_ref().map_or(BrandName::DEFAULT, BrandName::as_str),
                "logo": self.logo.as_ref().map(Logo::path),
                "embed": embed,
            });
            files.push(BrandFile {
                path: "brand/brand.json",
                bytes: told.to_string().into_bytes(),
            });
        }
        if let Some(logo) = &self.logo {
            files.push(BrandFile {
                path: logo.path(),
                bytes: logo.bytes().to_vec(),
            });
        }
        if let Some(accent) = &self.accent {
            files.push(BrandFile {
                path: "brand/brand.css",
                bytes: accent.style_sheet().into_bytes(),
            });
        }
        files
    }
}

/// A name of 1 to [`MAX_NAME_CHARS`] characters in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrandName(String);

impl BrandName {
    const DEFAULT: &'static str = "authloop";

    /// As it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BrandName {
    type Err = BrandNameError;

    fn from_str(text: &str) -> Result<Self, BrandNameError> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > MAX_NAME_CHARS {
            return Err(BrandNameError::Length);
        }
        // Characters that turn the direction would reach into the words around the name.
        let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if text.chars().any(|c| c.is_control() || turns(c)) {
            return Err(BrandNameError::Control);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for BrandName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrandNameError {
    /// Empty, or too long.
    #[error("must have 1 to {MAX_NAME_CHARS} characters")]
    Length,
    /// A line break, or a character that turns the direction of writing.
    #[error("must not have control characters")]
    Control,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_short_line() {
        assert_eq!(
            " Contoso ".parse::<BrandName>().map(|name| name.0),
            Ok("Contoso".to_owned())
        );
        assert!("日本語の名前".parse::<BrandName>().is_ok());
        for bad in ["", "  ", "a\nb", "a\u{202e}b", &"x".repeat(41)] {
            assert!(bad.parse::<BrandName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_what_is_configured_replaces_a_file() {
        let nothing = Brand::default();
        let named = Brand {
            name: "Contoso \"<b>\"".parse().ok(),
            ..Brand::default()
        };
        let parent: Origin = "https://app.example".parse().unwrap();

        let files = named.files(&[parent]);

        assert!(nothing.files(&[]).is_empty());
        assert_eq!(files.len(), 1);
        let told: serde_json::Value = serde_json::from_slice(&files[0].bytes).unwrap();
        assert_eq!(told["name"], "Contoso \"<b>\"");
        assert_eq!(told["logo"], serde_json::Value::Null);
        assert_eq!(told["embed"][0], "https://app.example");
    }
}
