//! Web origins as agents name them.

use url::Url;

/// A text that is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin such as https://login.example")]
pub struct NotAnOrigin(pub String);

/// Checks that a text is an ASCII origin: scheme, host and port only (RFC 6454 section 6.2).
///
/// # Errors
/// [`NotAnOrigin`].
pub fn check_origin(text: &str) -> Result<(), NotAnOrigin> {
    let bad = || NotAnOrigin(text.to_owned());
    let url = Url::parse(text).map_err(|_| bad())?;
    let web = matches!(url.scheme(), "http" | "https");
    if web && url.origin().ascii_serialization() == text {
        Ok(())
    } else {
        Err(bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_origins_are_taken() {
        for good in ["https://a.example", "http://127.0.0.1:8080"] {
            assert!(check_origin(good).is_ok(), "{good}");
        }
        for bad in [
            "https://a.example/",
            "a.example",
            "https://a.example/path",
            "HTTPS://a.example",
            "https://a.example:443",
            "ftp://a.example",
            "",
        ] {
            assert!(check_origin(bad).is_err(), "{bad}");
        }
    }
}
