//! What a grant covers is exactly what is under its sites, whatever the names.

use authloop_rooms::{Grant, HistoryEntry, Site, as_is_address, fresh_address};
use proptest::{collection::vec, prelude::*, sample::select};
use url::Url;

/// Hosts near the borders: under public suffixes of both sections and none, addresses, look-alikes.
fn any_host() -> impl Strategy<Value = String> {
    let end = select(vec![
        "bank.example",
        "notbank.example",
        "example",
        "bank.co.uk",
        "co.uk",
        "github.io",
        "alice.github.io",
        "amazonaws.com",
        "s3.amazonaws.com",
        "city.kawasaki.jp",
        "kawasaki.jp",
        "localhost",
        "bank.example.evil.test",
        "xn--bcher-kva.example",
    ]);
    let address = select(vec!["127.0.0.1", "192.0.2.1", "[::1]", "[2001:db8::1]"]);
    let name = (
        vec(select(vec!["www", "a", "bank", "s3", "evil_1"]), 0..3),
        end,
    )
        .prop_map(|(labels, end)| labels.iter().map(|l| format!("{l}.")).collect::<String>() + end);
    prop_oneof![8 => name, 2 => address.prop_map(str::to_owned), 1 => "[a-z.:\\[\\]0-9-]{0,12}"]
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let sites = vec(
        any_host().prop_filter_map("has no site", |h| Site::of_host(&h)),
        1..8,
    );
    sites.prop_filter_map("no grant", |sites| Grant::new(sites).ok())
}

/// The rule again, by the text alone: what is covered must at least end with a granted name.
fn ends_with_granted(host: &str, grant: &Grant) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_under = |site: &Site| host == site.as_str() || host.ends_with(&format!(".{site}"));
    grant.sites().iter().any(is_under)
}

proptest! {
    #[test]
    fn a_host_is_covered_exactly_if_its_site_is_granted(host in any_host(), grant in any_grant()) {
        let expected = Site::of_host(&host).is_some_and(|site| grant.sites().contains(&site));
        prop_assert_eq!(grant.covers_host(&host), expected);
        prop_assert_eq!(grant.sites().iter().any(|site| site.contains_host(&host)), expected);
        if expected {
            prop_assert!(ends_with_granted(&host, &grant));
        } else if ends_with_granted(&host, &grant) {
            // Then only because it is under a public suffix of its own, or is not a host at all.
            let site = Site::of_host(&host);
            prop_assert!(site.is_none_or(|s| !ends_with_granted(s.as_str(), &grant) || !grant.sites().contains(&s)));
        }
    }

    #[test]
    fn everything_under_a_granted_domain_is_covered(
        name in select(vec!["bank.example", "bank.co.uk", "alice.github.io", "app.localhost", "city.kawasaki.jp"]),
        labels in vec("[a-z]([a-z0-9-]{0,5}[a-z0-9])?", 0..4).prop_filter("punycode", |l| !l.iter().any(|l| l.contains("--"))),
    ) {
        let grant = Grant::new(vec![Site::parse(name)?])?;
        let host = labels.iter().map(|l| format!("{l}.")).collect::<String>() + name;
        prop_assert!(grant.covers_host(&host), "{host}");
        prop_assert!(grant.covers_cookie_domain(&format!(".{host}")), "{host}");
    }

    #[test]
    fn an_address_covers_itself_alone(
        name in select(vec!["127.0.0.1", "192.0.2.1", "[::1]", "localhost"]), label in "[a-z]{1,5}",
    ) {
        let grant = Grant::new(vec![Site::parse(name)?])?;
        prop_assert!(grant.covers_host(name));
        let below = format!("{label}.{name}");
        prop_assert!(!grant.covers_host(&below), "{below}");
    }

    #[test]
    fn cookies_addresses_and_origins_go_by_their_host(host in any_host(), grant in any_grant()) {
        let covered = grant.covers_host(&host);
        prop_assert_eq!(grant.covers_cookie_domain(&host), covered);
        if !host.starts_with('.') {
            prop_assert_eq!(grant.covers_cookie_domain(&format!(".{host}")), covered);
        }
        for origin in [format!("https://{host}"), format!("http://{host}:8080")] {
            if let Ok(url) = Url::parse(&origin) {
                prop_assert_eq!(grant.covers_url(&url), grant.covers_host(url.host_str().unwrap_or_default()));
                prop_assert_eq!(grant.covers_origin(&origin), grant.covers_url(&url));
                prop_assert_eq!(grant.covers_partition(&origin), grant.covers_url(&url));
            } else {
                prop_assert!(!grant.covers_origin(&origin));
            }
        }
    }

    #[test]
    fn nothing_is_covered_that_is_not_a_host(text in "\\PC{0,40}", grant in any_grant()) {
        if grant.covers_host(&text) || grant.covers_cookie_domain(&text) {
            prop_assert!(Site::of_host(text.trim_start_matches('.')).is_some(), "{text}");
        }
    }

    #[test]
    fn a_room_begins_at_a_granted_site_and_without_secrets(
        hosts in vec((any_host(), any_host()), 0..6), current in 0_usize..7, grant in any_grant(), keep_query: bool,
    ) {
        let address = |host: &str| format!("http://u:p@{host}/path?query=1#fragment");
        let history: Vec<_> = hosts
            .iter()
            .map(|(url, typed)| HistoryEntry { url: address(url), user_typed_url: address(typed) })
            .collect();
        let url = fresh_address(None, &history, current, &grant, keep_query).unwrap();
        prop_assert!(grant.covers_url(&url), "{url}");
        prop_assert!(url.fragment().is_none() && url.username().is_empty() && url.password().is_none());
        prop_assert!(keep_query || url.query().is_none());
        let is_local = |url: &Url| url.host_str().is_some_and(|h| h.ends_with("localhost") || h == "127.0.0.1" || h == "[::1]");
        prop_assert_eq!(url.scheme() == "https", !is_local(&url));
        if let Some(Ok(url)) = history.first().map(|entry| as_is_address(&entry.url, &grant)) {
            prop_assert!(grant.covers_url(&url) && is_local(&url) && url.username().is_empty());
            prop_assert_eq!(url.fragment(), Some("fragment"));
        }
    }
}
