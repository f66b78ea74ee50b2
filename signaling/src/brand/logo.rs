//! A picture beside the name.

/// The largest file: it is fetched by phones before anything else is seen.
pub const MAX_LOGO_BYTES: usize = 64 * 1024;
/// The first bytes of a PNG (ISO/IEC 15948, 5.2).
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// What an SVG could do more than be a picture. The page shows it as an image, where none of this
/// works; who opens the file itself has the page's policy. This is for a clear word at the start.
const ACTIVE_SVG_CONTENT: [&str; 7] = [
    "<script",
    "<foreignobject",
    "<!doctype",
    "<!entity",
    "<?xml-stylesheet",
    "javascript:",
    "href=\"http",
];

/// An SVG or PNG file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo {
    bytes: Vec<u8>,
    path: &'static str,
}

/// What is wrong with a logo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoError {
    /// Larger than [`MAX_LOGO_BYTES`].
    #[error("must not be larger than 64 KiB")]
    Large,
    /// Neither format.
    #[error("must be an SVG or a PNG file")]
    Format,
    /// An SVG with scripts, foreign content or references to elsewhere.
    #[error("must be a plain picture, without `{0}`")]
    Active(&'static str),
}

impl Logo {
    /// Looks at what the file is, whatever its name says.
    ///
    /// # Errors
    /// [`LogoError`] says what is wrong.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, LogoError> {
        if bytes.len() > MAX_LOGO_BYTES {
            return Err(LogoError::Large);
        }
        if bytes.starts_with(PNG_SIGNATURE) {
            let path = "brand/logo.png";
            return Ok(Self { bytes, path });
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| LogoError::Format)?;
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if !(text.starts_with("<svg") || text.starts_with("<?xml") && text.contains("<svg")) {
            return Err(LogoError::Format);
        }
        let small = text.to_ascii_lowercase();
        if let Some(found) = ACTIVE_SVG_CONTENT
            .iter()
            .find(|active| small.contains(**active))
        {
            return Err(LogoError::Active(found));
        }
        let path = "brand/logo.svg";
        Ok(Self { bytes, path })
    }

    /// Where the page finds it.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logo_is_known_by_what_it_is() {
        let svg = br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/></svg>"#;
        let png = [PNG_SIGNATURE, b"\0\0\0\rIHDR"].concat();

        assert_eq!(Logo::parse(svg.to_vec()).unwrap().path(), "brand/logo.svg");
        assert_eq!(Logo::parse(png).unwrap().path(), "brand/logo.png");
        for (bad, error) in [
            (&b"GIF89a"[..], LogoError::Format),
            (b"<html><svg></svg>", LogoError::Format),
            (
                b"<svg><SCRIPT>1</SCRIPT></svg>",
                LogoError::Active("<script"),
            ),
            (
                b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a 'b'>]><svg/>",
                LogoError::Active("<!doctype"),
            ),
        ] {
            assert_eq!(Logo::parse(bad.to_vec()), Err(error));
        }
        assert_eq!(
            Logo::parse(vec![b' '; MAX_LOGO_BYTES + 1]),
            Err(LogoError::Large)
        );
    }
}
