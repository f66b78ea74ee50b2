//! Web origins (RFC 6454).

use std::{fmt, str::FromStr};

use url::Url;

/// An `http` or `https` origin in its ASCII serialisation, for example `https://relay.example`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    serialised: String,
    secure: bool,
}

impl Origin {
    /// As it stands in links and headers.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.serialised
    }

    /// Whether it is `https`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The origin of its WebSockets: `ws` or `wss`, same authority.
    #[must_use]
    pub fn web_socket(&self) -> String {
        self.serialised.replacen("http", "ws", 1)
    }

    /// The host, an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.authority().0
    }

    /// The port, the scheme's own if none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        let usual = if self.secure { 443 } else { 80 };
        self.authority().1.unwrap_or(usual)
    }

    fn authority(&self) -> (&str, Option<u16>) {
        let (_, authority) = self.serialised.split_once("://").unwrap_or_default();
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, port.parse().ok())
            }
            _ => (authority, None),
        }
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let url = Url::parse(text).map_err(|_| OriginError::Malformed)?;
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(OriginError::Scheme),
        };
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare {
            return Err(OriginError::MoreThanOrigin);
        }
        let serialised = url.origin().ascii_serialization();
        Ok(Self { serialised, secure })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.serialised)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.serialised)
    }
}

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// It is not a URL.
    #[error("is not a URL such as https://relay.example")]
    Malformed,
    /// Its scheme is neither `http` nor `https`.
    #[error("must start with http:// or https://")]
    Scheme,
    /// It has a path, a query or a user.
    #[error("must be scheme, host and port only")]
    MoreThanOrigin,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn serialises_as_rfc_6454_says() {
        for (text, expected) in [
            ("https://Relay.Example:443/", "https://relay.example"),
            ("http://127.0.0.1:7443", "http://127.0.0.1:7443"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().as_str(), expected);
        }
        let origin: Origin = "https://relay.example:8443".parse().unwrap();
        assert_eq!(origin.web_socket(), "wss://relay.example:8443");
        for (text, host, port) in [
            ("https://relay.example:8443", "relay.example", 8443),
            ("https://relay.example", "relay.example", 443),
            ("http://[::1]:7443", "[::1]", 7443),
            ("http://[::1]", "[::1]", 80),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!((origin.host(), origin.port()), (host, port));
        }
    }

    #[test]
    fn refuses_what_is_more_or_less_than_an_origin() {
        for (text, expected) in [
            ("relay.example", OriginError::Malformed),
            ("null", OriginError::Malformed),
            ("ftp://relay.example", OriginError::Scheme),
            ("https://relay.example/path", OriginError::MoreThanOrigin),
            ("https://user@relay.example", OriginError::MoreThanOrigin),
            ("https://relay.example?q", OriginError::MoreThanOrigin),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".*") {
            let _ = text.parse::<Origin>();
        }

        #[test]
        fn a_serialised_origin_parses_to_itself(host in "[a-z]{1,20}", port in 1u16..) {
            let origin: Origin = format!("https://{host}.example:{port}").parse().unwrap();
            prop_assert_eq!(&origin.as_str().parse::<Origin>().unwrap(), &origin);
        }
    }
}
