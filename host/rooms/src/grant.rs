//! Which sites' sessions the agent gets. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;

use url::Url;

use crate::site::{Site, SiteError, shown, with_brackets};

/// The most sites that one handoff may grant: each is shown to the user in full.
pub const MAX_GRANTED_SITES: usize = 8;

/// From 1 to [`MAX_GRANTED_SITES`] different sites, in the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant(Vec<Site>);

/// Why there is no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// No site is named, and none follows from the addresses.
    #[error(
        "no site is named whose session the agent would get: give `grants`, such as [\"bank.example\"], or \
         `expected_origins` or `context.url`"
    )]
    Empty,
    /// There are more sites than a user would read.
    #[error("{0} sites are too many: name at most {MAX_GRANTED_SITES} in `grants`")]
    TooMany(usize),
    /// One of `grants` is not a site.
    #[error("{0}")]
    Site(#[from] SiteError),
    /// An address has a host that is not of a site.
    #[error("`{}` is not an address at a site: give one such as https://bank.example, or name the sites in `grants`", shown(.0))]
    NoSite(String),
    /// One of `grants` is not where the user is expected.
    #[error(
        "`{site}` is not among the sites of `expected_origins` and `context.url` ({expected}): add its origin there, or leave it out of `grants`"
    )]
    Unexpected {
        /// What `grants` names.
        site: Site,
        /// The sites of the addresses.
        expected: String,
    },
}

impl Grant {
    /// Grants these sites; the same one twice counts once.
    ///
    /// # Errors
    /// [`GrantError::Empty`] and [`GrantError::TooMany`].
    pub fn new(sites: Vec<Site>) -> Result<Self, GrantError> {
        let mut seen = BTreeSet::new();
        let sites: Vec<Site> = sites
            .into_iter()
            .filter(|site| seen.insert(site.clone()))
            .collect();
        match sites.len() {
            0 => Err(GrantError::Empty),
            1..=MAX_GRANTED_SITES => Ok(Self(sites)),
            n => Err(GrantError::TooMany(n)),
        }
    }

    /// Grants the sites that `grants` names, or else those of the expected origins, or else that of `url`,
    /// or else that of the page shown. Where there are expected origins or `url`, `grants` names sites of
    /// these only: the user reads those addresses, and nothing beyond them moves.
    ///
    /// # Errors
    /// [`GrantError`], in a sentence that says what to do.
    pub fn choose(
        grants: &[String],
        expected_origins: &[String],
        url: Option<&str>,
        shown: Option<&str>,
    ) -> Result<Self, GrantError> {
        let origins = expected_origins.iter().map(|origin| {
            Site::of_origin(origin).ok_or_else(|| GrantError::NoSite(origin.clone()))
        });
        if grants.is_empty() {
            if !expected_origins.is_empty() {
                return Self::new(origins.collect::<Result<_, _>>()?);
            }
            return match (url, shown.and_then(site_of_address)) {
                (Some(url), _) => {
                    let site = site_of_address(url);
                    Self::new(vec![
                        site.ok_or_else(|| GrantError::NoSite(url.to_owned()))?,
                    ])
                }
                (None, Some(site)) => Self::new(vec![site]),
                (None, None) => Err(GrantError::Empty),
            };
        }
        let sites = grants.iter().map(|name| Ok(Site::parse(name)?));
        let sites = sites.collect::<Result<Vec<_>, GrantError>>()?;
        if !expected_origins.is_empty() || url.is_some() {
            // One that is of no site is no reason to refuse others: it only allows nothing.
            let expected: BTreeSet<Site> = origins
                .flatten()
                .chain(url.and_then(site_of_address))
                .collect();
            if let Some(site) = sites.iter().find(|site| !expected.contains(*site)) {
                let names: Vec<&str> = expected.iter().map(Site::as_str).collect();
                return Err(GrantError::Unexpected {
                    site: site.clone(),
                    expected: match names.as_slice() {
                        [] => "there is none".to_owned(),
                        names => names.join(", "),
                    },
                });
            }
        }
        Self::new(sites)
    }

    /// The sites.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.0
    }

    /// The sites' names, as the invitation has them.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|site| site.as_str().to_owned()).collect()
    }

    /// Returns whether a host is of a granted site.
    #[must_use]
    pub fn covers_host(&self, host: &str) -> bool {
        Site::of_host(host).is_some_and(|site| self.0.contains(&site))
    }

    /// Returns whether an `http` or `https` address is of a granted site.
    #[must_use]
    pub fn covers_url(&self, url: &Url) -> bool {
        Site::of_url(url).is_some_and(|site| self.0.contains(&site))
    }

    /// Returns whether an `http` or `https` origin (`https://www.bank.example`) is of a granted site.
    #[must_use]
    pub fn covers_origin(&self, origin: &str) -> bool {
        Site::of_origin(origin).is_some_and(|site| self.0.contains(&site))
    }

    /// Returns whether a cookie's domain is of a granted site: `.bank.example` for all hosts under it,
    /// `www.bank.example` for that host alone.
    #[must_use]
    pub fn covers_cookie_domain(&self, domain: &str) -> bool {
        let host = domain.strip_prefix('.').unwrap_or(domain);
        self.covers_host(&with_brackets(host))
    }

    /// Returns whether a cookie's or a storage's partition (`https://bank.example`, the top-level site) is of
    /// a granted site. What a site keeps within another's pages is not covered by its own grant.
    #[must_use]
    pub fn covers_partition(&self, top_level_site: &str) -> bool {
        self.covers_origin(top_level_site)
    }
}

fn site_of_address(address: &str) -> Option<Site> {
    Site::of_url(&Url::parse(address).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(
        grants: &[&str],
        origins: &[&str],
        url: Option<&str>,
        shown: Option<&str>,
    ) -> Result<Vec<String>, String> {
        let owned = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
        Grant::choose(&owned(grants), &owned(origins), url, shown)
            .map(|grant| grant.names())
            .map_err(|e| e.to_string())
    }

    fn grant(names: &[&str]) -> Grant {
        Grant::new(names.iter().map(|n| Site::parse(n).unwrap()).collect()).unwrap()
    }

    #[test]
    fn the_first_that_is_given_decides() {
        let origins = [
            "https://www.bank.example",
            "https://login.bank.example",
            "https://sso.test",
        ];
        let (url, shown) = (
            Some("https://shop.example/cart"),
            Some("https://shown.example/x?y"),
        );
        for (grants, origins, url, shown, sites) in [
            (
                &["bank.example"][..],
                &origins[..],
                url,
                shown,
                vec!["bank.example"],
            ),
            (
                &["shop.example", "Sso.test", "sso.test"],
                &origins,
                url,
                shown,
                vec!["shop.example", "sso.test"],
            ),
            (&[], &origins, url, shown, vec!["bank.example", "sso.test"]),
            (&[], &[], url, shown, vec!["shop.example"]),
            (&[], &[], None, shown, vec!["shown.example"]),
            (&["any.example"], &[], None, shown, vec!["any.example"]),
        ] {
            assert_eq!(choose(grants, origins, url, shown).unwrap(), sites);
        }
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let nine: Vec<String> = (0..9).map(|i| format!("s{i}.example")).collect();
        let nine: Vec<&str> = nine.iter().map(String::as_str).collect();
        let bank = &["https://www.bank.example"][..];
        for (result, says) in [
            (choose(&[], &[], None, None), "give `grants`"),
            (choose(&[], &[], None, Some("about:blank")), "give `grants`"),
            (
                choose(&[], &["https://github.io"], None, None),
                "`https://github.io` is not an address at a site",
            ),
            (
                choose(&[], &[], Some("about:blank"), None),
                "`about:blank` is not an address at a site",
            ),
            (
                choose(&nine, &[], None, None),
                "9 sites are too many: name at most 8",
            ),
            (
                choose(&["www.bank.example"], bank, None, None),
                "`bank.example` is",
            ),
            (choose(&["co.uk"], &[], None, None), "public suffix"),
            (
                choose(&["evil.test"], bank, Some("https://shop.example/"), None),
                "(bank.example, shop.example)",
            ),
            (
                choose(&["evil.test"], &[], Some("about:blank"), None),
                "(there is none)",
            ),
        ] {
            let error = result.unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_grant_covers_its_sites_and_nothing_else() {
        let grant = grant(&["bank.example", "127.0.0.1", "[::1]"]);
        let url = |text: &str| Url::parse(text).unwrap();
        assert!(grant.covers_host("www.bank.example."));
        assert!(!grant.covers_host("bank.test"));
        assert!(grant.covers_url(&url("http://127.0.0.1:8080/")));
        assert!(!grant.covers_url(&url("ftp://bank.example/")));
        assert!(grant.covers_origin("https://a.bank.example:8443"));
        assert!(!grant.covers_origin("null"));
        for domain in [
            ".bank.example",
            "bank.example",
            "www.bank.example",
            "127.0.0.1",
            "[::1]",
            "::1",
        ] {
            assert!(grant.covers_cookie_domain(domain), "{domain}");
        }
        for domain in [
            "",
            ".",
            "..bank.example",
            ".example",
            "notbank.example",
            ".localhost",
            "::2",
        ] {
            assert!(!grant.covers_cookie_domain(domain), "{domain}");
        }
        assert!(grant.covers_partition("https://bank.example"));
        assert!(!grant.covers_partition("https://evil.test"));
        assert!(!grant.covers_partition(""));
    }
}
