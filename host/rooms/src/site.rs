//! What a grant names: a site, which is one registrable domain with all of its hosts. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use url::{Host, Url};

/// The longest host name, in bytes (RFC 1035 section 2.3.4, without the root's dot).
const MAX_HOST_BYTES: usize = 253;
/// The longest part of a host name between dots, in bytes (RFC 1035 section 2.3.4).
const MAX_LABEL_BYTES: usize = 63;
/// How much of a wrong name an error repeats, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// One registrable domain (`bank.example`) by the public suffix list with its private section, or an
/// IP address (`192.0.2.1`, `[2001:db8::1]`), or `localhost`; in lower-case ASCII.
///
/// Two hosts are of one site if the list gives them the same registrable domain. A host under a public
/// suffix of its own is therefore not of the site above that: `shop.s3.amazonaws.com` is not of
/// `amazonaws.com`, because they have different owners.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site(String);

/// Why a text does not name a site.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiteError {
    /// The text is not a host name.
    #[error("`{}` is not a site: give the name alone, such as `bank.example`", shown(.0))]
    NotHost(String),
    /// The name is one under which many register names of their own.
    #[error(
        "`{}` is a public suffix and not a site: give a name under it, as `bank.example` is under `example`",
        shown(.0)
    )]
    PublicSuffix(String),
    /// The name is of a host within a site.
    #[error("`{}` is not a site; `{site}` is", shown(.name))]
    WithinSite {
        /// What was given, in lower-case ASCII.
        name: String,
        /// What was probably meant.
        site: Site,
    },
}

impl Site {
    /// Parses a site's own name, in any case; a name beyond ASCII becomes punycode.
    ///
    /// # Errors
    /// [`SiteError`] if `name` is not a host name, a public suffix, or a host within a site.
    pub fn parse(name: &str) -> Result<Self, SiteError> {
        let host = HostName::parse(name).ok_or_else(|| SiteError::NotHost(name.to_owned()))?;
        match host.site() {
            None => Err(SiteError::PublicSuffix(host.0)),
            Some(site) if site.0 == host.0 => Ok(site),
            Some(site) => Err(SiteError::WithinSite { name: host.0, site }),
        }
    }

    /// Returns the site of a host (`www.bank.example`), if it has one: a public suffix has not.
    #[must_use]
    pub fn of_host(host: &str) -> Option<Self> {
        HostName::parse(host)?.site()
    }

    /// Returns the site of an `http` or `https` address.
    #[must_use]
    pub fn of_url(url: &Url) -> Option<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        Self::of_host(url.host_str()?)
    }

    /// Returns the site of an `http` or `https` origin (`https://www.bank.example:8443`); what has more than an
    /// origin's parts is not one.
    #[must_use]
    pub fn of_origin(origin: &str) -> Option<Self> {
        let url = Url::parse(origin).ok()?;
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        bare.then(|| Self::of_url(&url)).flatten()
    }

    /// Returns whether a host is this site's: its own name or one under it. An IP address has only itself.
    #[must_use]
    pub fn contains_host(&self, host: &str) -> bool {
        Self::of_host(host).is_some_and(|site| site == *self)
    }

    /// Returns whether the host is this machine, so that plain `http` to it does not leave the machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.address() {
            Some(address) => address.is_loopback(),
            None => self.0 == "localhost" || self.0.ends_with(".localhost"),
        }
    }

    /// The name, as it stands in an address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn address(&self) -> Option<IpAddr> {
        match self.0.strip_prefix('[').and_then(|s| s.strip_suffix(']')) {
            Some(v6) => v6.parse().ok().map(IpAddr::V6),
            None => self.0.parse().ok().map(IpAddr::V4),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host in the form that addresses have, without a dot at its end.
struct HostName(String);

impl HostName {
    fn parse(text: &str) -> Option<Self> {
        // `Host::parse` would decode what is percent-encoded: nobody writes a host so who means well.
        if text.contains('%') {
            return None;
        }
        match Host::parse(text).ok()? {
            Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                let right = name.len() <= MAX_HOST_BYTES && name.split('.').all(is_label);
                right.then(|| Self(name.to_owned()))
            }
            address => Some(Self(address.to_string())),
        }
    }

    fn site(&self) -> Option<Site> {
        let is_address = self.0.starts_with('[') || self.0.parse::<std::net::Ipv4Addr>().is_ok();
        if is_address || self.0 == "localhost" {
            return Some(Site(self.0.clone()));
        }
        psl::domain_str(&self.0).map(|name| Site(name.to_owned()))
    }
}

/// Underscores are not for host names, but some have them (`my_shop.s3.amazonaws.com`).
fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Returns a host in the brackets that an address has around IPv6; cookies may be without.
pub(crate) fn with_brackets(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.to_owned(),
    }
}

/// Returns a text that came from outside as an error may show it: in one line, and not long.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.replace(|c: char| c.is_control() || c == '`', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> Site {
        Site::parse(name).unwrap()
    }

    #[test]
    fn a_site_is_a_registrable_domain_an_address_or_localhost() {
        for (given, name) in [
            ("bank.example", "bank.example"),
            ("BANK.Example", "bank.example"),
            ("bank.example.", "bank.example"),
            ("bank.co.uk", "bank.co.uk"),
            ("alice.github.io", "alice.github.io"),
            ("my_shop.s3.amazonaws.com", "my_shop.s3.amazonaws.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("食狮.公司.cn", "xn--85x722f.xn--55qx5d.cn"),
            ("city.kawasaki.jp", "city.kawasaki.jp"),
            ("localhost", "localhost"),
            ("LOCALHOST.", "localhost"),
            ("app.localhost", "app.localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(site(given).as_str(), name, "{given}");
            assert_eq!(site(name).to_string(), name);
        }
    }

    #[test]
    fn what_is_within_a_site_names_the_site() {
        for (given, meant) in [
            ("www.bank.example", "bank.example"),
            ("a.b.alice.github.io", "alice.github.io"),
            ("api.app.localhost", "app.localhost"),
        ] {
            let error = Site::parse(given).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("`{given}` is not a site; `{meant}` is")
            );
        }
    }

    #[test]
    fn public_suffixes_are_no_sites() {
        for given in [
            "com",
            "co.uk",
            "github.io",
            "公司.cn",
            "s3.amazonaws.com",
            "intranet",
        ] {
            let error = Site::parse(given).unwrap_err();
            assert!(
                matches!(error, SiteError::PublicSuffix(_)),
                "{given}: {error}"
            );
            assert_eq!(Site::of_host(given), None, "{given}");
        }
    }

    #[test]
    fn what_is_not_a_host_name_is_refused() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = format!("{}bank.example", "a.".repeat(200));
        for given in [
            "",
            ".",
            "..",
            ".bank.example",
            "a..example",
            "bank.example..",
            "*.bank.example",
            "https://bank.example",
            "bank.example/",
            "bank.example:443",
            "bank%2eexample",
            "a@bank.example",
            "::1",
            "[::1",
            "bank example",
            "bank.example\n",
            "a'b.example",
            "1.2.3.4.5",
            &long,
            &longer,
        ] {
            let error = Site::parse(given).unwrap_err();
            assert!(matches!(error, SiteError::NotHost(_)), "{given}: {error}");
            assert!(error.to_string().len() < 400);
        }
    }

    #[test]
    fn a_site_contains_its_own_hosts_alone() {
        for (name, host, contains) in [
            ("bank.example", "bank.example", true),
            ("bank.example", "WWW.bank.example.", true),
            ("bank.example", "a.b.bank.example", true),
            ("bank.example", "notbank.example", false),
            ("bank.example", "bank.example.evil.test", false),
            ("bank.example", "example", false),
            ("bank.example", "", false),
            // Another's, although it is a subdomain.
            ("amazonaws.com", "shop.s3.amazonaws.com", false),
            ("amazonaws.com", "s3.amazonaws.com", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "a.192.0.2.1", false),
            ("127.0.0.1", "localhost", false),
            ("[::1]", "[::1]", true),
            ("localhost", "localhost.", true),
            ("localhost", "app.localhost", false),
            ("app.localhost", "api.app.localhost", true),
        ] {
            assert_eq!(site(name).contains_host(host), contains, "{name} {host}");
        }
    }

    #[test]
    fn addresses_and_origins_have_the_site_of_their_host() {
        let of_url = |text: &str| Site::of_url(&Url::parse(text).unwrap());
        assert_eq!(
            of_url("https://www.bank.example/a?b#c"),
            Some(site("bank.example"))
        );
        assert_eq!(of_url("http://[::1]:8080/"), Some(site("[::1]")));
        for other in [
            "about:blank",
            "file:///etc/passwd",
            "ftp://bank.example/",
            "chrome://settings/",
            "data:,x",
        ] {
            assert_eq!(of_url(other), None, "{other}");
        }
        for origin in [
            "https://www.bank.example",
            "https://bank.example:8443",
            "http://bank.example/",
        ] {
            assert_eq!(
                Site::of_origin(origin),
                Some(site("bank.example")),
                "{origin}"
            );
        }
        for other in [
            "null",
            "",
            "bank.example",
            "https://bank.example/a",
            "https://a@bank.example",
            "https://github.io",
        ] {
            assert_eq!(Site::of_origin(other), None, "{other}");
        }
    }

    #[test]
    fn loopback_is_this_machine_alone() {
        for name in [
            "localhost",
            "app.localhost",
            "127.0.0.1",
            "127.1.2.3",
            "[::1]",
        ] {
            assert!(site(name).is_loopback(), "{name}");
        }
        for name in [
            "bank.example",
            "10.0.0.1",
            "[::2]",
            "[::ffff:7f00:1]",
            "localhost.example",
        ] {
            assert!(!site(name).is_loopback(), "{name}");
        }
    }
}
