//! The true origin of what the user sees, and the epoch that guards keys against it. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde_json::Value;
use url::Url;

/// What the browser says about the connection of the shown page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecurityState {
    /// Not reported (yet).
    #[default]
    Unknown,
    /// Neither good nor bad, for example `about:blank`.
    Neutral,
    /// Plain HTTP, or a form of it.
    Insecure,
    /// Valid HTTPS.
    Secure,
    /// HTTPS with an invalid certificate, or a page the browser warns of.
    Broken,
}

impl SecurityState {
    /// Reads `Security.visibleSecurityStateChanged`.
    pub(super) fn from_cdp(params: &Value) -> Self {
        match params["visibleSecurityState"]["securityState"].as_str() {
            Some("neutral") => Self::Neutral,
            Some("insecure") => Self::Insecure,
            Some("secure") => Self::Secure,
            Some("insecure-broken") => Self::Broken,
            _ => Self::Unknown,
        }
    }
}

/// The certificate that a site presented, as the browser read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it names.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// When it ends, in Unix seconds.
    pub valid_to: u64,
    /// The browser's name for what is wrong with it (`net::ERR_CERT_…`); empty if nothing is.
    pub problem: String,
}

impl Certificate {
    /// Reads `Security.visibleSecurityStateChanged`; none on a page without TLS.
    pub(super) fn from_cdp(params: &Value) -> Option<Self> {
        let found = &params["visibleSecurityState"]["certificateSecurityState"];
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        found["validTo"].as_f64().map(|end| Self {
            subject: text("subjectName"),
            issuer: text("issuer"),
            valid_to: end as u64,
            problem: text("certificateNetworkError"),
        })
    }
}

/// Where the shown page comes from, by the browser process's own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginInfo {
    /// RFC 6454 ASCII serialisation, for example `https://login.example`; `null` for an opaque
    /// origin (`about:blank`, `data:`, an error page).
    pub origin: String,
    /// The page's title; the page chooses it, so never show it as if it were trusted.
    pub title: String,
    /// The connection's security, where the browser tells.
    pub security: SecurityState,
    /// The site's certificate, where the browser tells.
    pub certificate: Option<Certificate>,
    /// Rises by one whenever the shown page's origin changes, and only then.
    pub epoch: u64,
}

/// Turns committed addresses into [`OriginInfo`].
#[derive(Debug)]
pub(super) struct OriginTracker {
    info: OriginInfo,
    /// Two opaque origins are never the same, so these are told apart by address.
    opaque_url: Option<String>,
}

impl OriginTracker {
    pub(super) fn new() -> Self {
        Self {
            info: OriginInfo {
                origin: "null".to_owned(),
                title: String::new(),
                security: SecurityState::Unknown,
                certificate: None,
                epoch: 0,
            },
            opaque_url: None,
        }
    }

    pub(super) fn info(&self) -> &OriginInfo {
        &self.info
    }

    /// Takes the shown page's committed address.
    pub(super) fn observe(&mut self, url: &str, title: &str) {
        let origin = ascii_origin(url);
        let opaque_url = (origin == "null").then(|| url.to_owned());
        if origin != self.info.origin || opaque_url != self.opaque_url {
            self.info.epoch += 1;
        }
        self.info.origin = origin;
        self.opaque_url = opaque_url;
        // An empty title means that it is not known yet.
        if !title.is_empty() {
            title.clone_into(&mut self.info.title);
        }
    }

    /// The page shows another document, whose title is not known yet.
    pub(super) fn forget_title(&mut self) {
        self.info.title.clear();
    }
}

/// RFC 6454 section 6.2.
fn ascii_origin(url: &str) -> String {
    Url::parse(url).map_or_else(|_| "null".to_owned(), |u| u.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_epoch_rises_only_with_the_origin() {
        let mut tracker = OriginTracker::new();

        tracker.observe("https://a.example/login", "A");
        let first = tracker.info().epoch;
        tracker.observe("https://a.example/otp?x=1#y", "A2");
        let same = tracker.info().epoch;
        tracker.observe("https://a.example:444/", "A");
        let port = tracker.info().epoch;

        assert_eq!((first, same, port), (1, 1, 2));
        assert_eq!(tracker.info().origin, "https://a.example:444");
    }

    #[test]
    fn opaque_origins_are_not_each_other() {
        let mut tracker = OriginTracker::new();

        tracker.observe("data:text/html,one", "");
        tracker.observe("data:text/html,two", "");

        assert_eq!(tracker.info().origin, "null");
        assert_eq!(tracker.info().epoch, 2);
    }

    #[test]
    fn the_certificate_is_read_as_the_browser_tells_of_it() {
        let broken = json!({ "visibleSecurityState": {
            "securityState": "insecure-broken",
            "certificateSecurityState": {
                "protocol": "TLS 1.3", "subjectName": "bank.example", "issuer": "Some CA",
                "validFrom": 1_700_000_000.0, "validTo": 1_800_000_000.5,
                "certificateNetworkError": "net::ERR_CERT_DATE_INVALID",
            },
        }});
        let plain = json!({ "visibleSecurityState": { "securityState": "insecure" } });

        let certificate = Certificate::from_cdp(&broken).unwrap();

        assert_eq!(SecurityState::from_cdp(&broken), SecurityState::Broken);
        assert_eq!(certificate.subject, "bank.example");
        assert_eq!(certificate.issuer, "Some CA");
        assert_eq!(certificate.valid_to, 1_800_000_000);
        assert_eq!(certificate.problem, "net::ERR_CERT_DATE_INVALID");
        assert_eq!(Certificate::from_cdp(&plain), None);
    }

    #[test]
    fn international_hosts_are_shown_in_ascii() {
        let mut tracker = OriginTracker::new();

        tracker.observe("https://пример.example/", "");

        assert_eq!(tracker.info().origin, "https://xn--e1afmkfd.example");
    }
}
