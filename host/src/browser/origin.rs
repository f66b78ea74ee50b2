//! The true origin of what the user sees, and the epoch that guards keys against it.

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
    /// Rises by one whenever the shown page's origin changes, and only then.
    pub epoch: u64,
}

/// Turns committed addresses into [`OriginInfo`]; pure.
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
    fn international_hosts_are_shown_in_ascii() {
        let mut tracker = OriginTracker::new();

        tracker.observe("https://пример.example/", "");

        assert_eq!(tracker.info().origin, "https://xn--e1afmkfd.example");
    }
}
