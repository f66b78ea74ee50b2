//! Where a private room begins. An agent chooses what its page shows, and a site's scripts read its
//! address: so a fresh room takes as little of one as leads to the sign-in. Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use url::Url;

use crate::{
    grant::Grant,
    site::{Site, shown},
};

/// One entry of a page's history, as `Page.getNavigationHistory` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Where the page is, after redirects.
    pub url: String,
    /// Where it was sent, before redirects.
    pub user_typed_url: String,
}

/// Why a room has no address to begin at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The address cannot be read.
    #[error(
        "the page's address is not one of http or https: open the site's sign-in page first, or begin with `start: \"fresh\"`"
    )]
    NotAddress,
    /// The address is of a site that is not granted.
    #[error("the page is at `{}`, which is not of a granted site: name its site in `grants`, or begin with `start: \"fresh\"`", shown(.0))]
    NotGranted(String),
    /// Whoever is between could read and change what is at this address.
    #[error("`{}` is not encrypted: a private room opens https only, and http on this machine", shown(.0))]
    NotEncrypted(String),
}

/// Returns the address at which a fresh room begins: origin and path, with the query if `keep_query`, and
/// never a fragment, user name or password; `https`, unless it is on this machine.
///
/// It is that of `context_url` if this is of a granted site. Otherwise it is the one with which the agent's
/// page came to the granted site, by this rule:
///
/// 1. From the `current` entry back, the first entry decides whose typed address or else whose page is of
///    a granted site. Its *address* is the typed one, before redirects, if that is granted, else the page's.
/// 2. If the page is still at that site, or nothing of that site stands directly before: that address. A
///    page deep in a site is where the agent met the wall, and a typed address that ended at an identity
///    provider is what the agent wanted.
/// 3. If the page has left the site by redirects and an entry of the same site stands directly before, then a
///    page of that site (its script, or a link in it) led on, and the typed address is only a step within the
///    sign-in (`/sso/start`, meaningless without its query). The first entry of that site's run decides:
///    all entries directly before one another whose typed address or page is of that site.
///
/// If there is no such entry, it is the root of the first granted site.
///
/// # Errors
/// [`StartError::NotEncrypted`] if the address is plain `http` with a port of its own, so that the same under
/// `https` cannot be guessed.
pub fn fresh_address(
    context_url: Option<&str>,
    history: &[HistoryEntry],
    current: usize,
    grant: &Grant,
    keep_query: bool,
) -> Result<Url, StartError> {
    let granted = context_url.and_then(|url| granted_address(url, grant));
    let Some((_, url)) = granted.or_else(|| arrival(history, current, grant)) else {
        return root(grant);
    };
    let mut url = encrypted(without_credentials(url))?;
    url.set_fragment(None);
    if !keep_query {
        url.set_query(None);
    }
    Ok(url)
}

/// Returns the address at which a room begins that goes on where the agent's page is: the whole of it, but
/// for user name and password.
///
/// # Errors
/// [`StartError`] if it is not of a granted site, or neither `https` nor on this machine.
pub fn as_is_address(current: &str, grant: &Grant) -> Result<Url, StartError> {
    let url = Url::parse(current).map_err(|_| StartError::NotAddress)?;
    let url = without_credentials(url);
    if !matches!(url.scheme(), "http" | "https") {
        return Err(StartError::NotAddress);
    }
    if !grant.covers_url(&url) {
        return Err(StartError::NotGranted(url.origin().ascii_serialization()));
    }
    if !is_safe(&url) {
        return Err(StartError::NotEncrypted(url.origin().ascii_serialization()));
    }
    Ok(url)
}

/// How the page came to the granted site where it is or was last; see [`fresh_address`].
fn arrival(history: &[HistoryEntry], current: usize, grant: &Grant) -> Option<(Site, Url)> {
    let entries = history.get(..=current).unwrap_or(history);
    let (at, (site, address)) = entries
        .iter()
        .enumerate()
        .rev()
        .find_map(|(at, entry)| Some((at, entry_address(entry, grant)?)))?;
    let is_still_there = granted_address(&entries[at].url, grant).is_some_and(|(s, _)| s == site);
    if is_still_there {
        return Some((site, address));
    }
    let run = entries[..at]
        .iter()
        .rev()
        .map_while(|entry| address_within(entry, &site));
    let first = run.last().unwrap_or(address);
    Some((site, first))
}

fn entry_address(entry: &HistoryEntry, grant: &Grant) -> Option<(Site, Url)> {
    granted_address(&entry.user_typed_url, grant).or_else(|| granted_address(&entry.url, grant))
}

fn address_within(entry: &HistoryEntry, site: &Site) -> Option<Url> {
    [&entry.user_typed_url, &entry.url]
        .into_iter()
        .filter_map(|url| Url::parse(url).ok())
        .find(|url| Site::of_url(url).as_ref() == Some(site))
}

fn granted_address(address: &str, grant: &Grant) -> Option<(Site, Url)> {
    let url = Url::parse(address).ok()?;
    let site = Site::of_url(&url)?;
    grant.sites().contains(&site).then_some((site, url))
}

fn root(grant: &Grant) -> Result<Url, StartError> {
    let site = &grant.sites()[0];
    let scheme = if site.is_loopback() { "http" } else { "https" };
    Url::parse(&format!("{scheme}://{site}/")).map_err(|_| StartError::NotAddress)
}

fn without_credentials(mut url: Url) -> Url {
    // Both fail only for an address without a host, which has no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// The same address under `https`, as most sites have it: people and agents leave the `s` out.
fn encrypted(mut url: Url) -> Result<Url, StartError> {
    if is_safe(&url) {
        return Ok(url);
    }
    let has_own_port = url.port().is_some();
    if has_own_port || url.set_scheme("https").is_err() {
        return Err(StartError::NotEncrypted(url.origin().ascii_serialization()));
    }
    Ok(url)
}

fn is_safe(url: &Url) -> bool {
    url.scheme() == "https" || Site::of_url(url).is_some_and(|site| site.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDP: &str = "https://idp.example/authorize?client_id=a&state=x";

    fn grant(names: &[&str]) -> Grant {
        Grant::new(names.iter().map(|n| Site::parse(n).unwrap()).collect()).unwrap()
    }

    /// Entries as (address before redirects, address of the page).
    fn history(entries: &[(&str, &str)]) -> Vec<HistoryEntry> {
        let entry = |&(typed, url): &(&str, &str)| HistoryEntry {
            url: url.to_owned(),
            user_typed_url: typed.to_owned(),
        };
        entries.iter().map(entry).collect()
    }

    fn fresh(context_url: Option<&str>, entries: &[(&str, &str)]) -> String {
        let entries = history(entries);
        let current = entries.len().saturating_sub(1);
        fresh_address(
            context_url,
            &entries,
            current,
            &grant(&["bank.example"]),
            false,
        )
        .unwrap()
        .into()
    }

    #[test]
    fn the_agents_address_is_first_if_it_is_granted() {
        let entries = [("https://bank.example/b", "https://bank.example/b")];
        let context = Some("https://u:p@www.bank.example:8443/a?q=1#f");
        assert_eq!(fresh(context, &entries), "https://www.bank.example:8443/a");
        assert_eq!(fresh(Some(IDP), &entries), "https://bank.example/b");
        assert_eq!(fresh(Some("nonsense"), &entries), "https://bank.example/b");
    }

    #[test]
    fn an_address_before_redirects_to_an_identity_provider_is_the_one_typed() {
        let invoices = ("https://bank.example/invoices?id=3", IDP);
        let further = (
            "https://idp.example/password",
            "https://idp.example/password",
        );
        let blank = ("about:blank", "about:blank");
        for entries in [
            &[invoices][..],
            &[blank, invoices],
            &[invoices, further],
            &[blank, invoices, further, further],
        ] {
            assert_eq!(fresh(None, entries), "https://bank.example/invoices");
        }
    }

    #[test]
    fn a_redirect_by_a_script_leads_back_to_the_first_page_of_the_site() {
        let app = ("https://bank.example/app", "https://bank.example/app#/");
        let login = (
            "https://bank.example/app/login",
            "https://bank.example/app/login?next=1",
        );
        let sso = ("https://bank.example/sso/start?state=1", IDP);
        let further = (
            "https://idp.example/password",
            "https://idp.example/password",
        );
        let other = ("https://other.example/", "https://other.example/");
        for entries in [
            &[app, sso][..],
            &[app, login, sso],
            &[other, app, login, sso, further],
            // An earlier run of the same site is another matter.
            &[login, other, app, sso],
        ] {
            assert_eq!(fresh(None, entries), "https://bank.example/app");
        }
        // Straight to the provider, so that no step stands between.
        assert_eq!(fresh(None, &[app, (IDP, IDP)]), "https://bank.example/app");
    }

    #[test]
    fn a_page_still_at_the_site_is_where_the_room_begins() {
        let home = ("https://bank.example/", "https://bank.example/");
        let list = (
            "https://bank.example/accounts",
            "https://bank.example/accounts",
        );
        let deep = (
            "https://bank.example/accounts/7?tab=2",
            "https://bank.example/login?next=%2Faccounts%2F7",
        );
        assert_eq!(
            fresh(None, &[home, list, deep]),
            "https://bank.example/accounts/7"
        );
        // From a short link: the page itself.
        let short = ("https://t.example/x", "https://bank.example/login?ref=x");
        assert_eq!(fresh(None, &[home, short]), "https://bank.example/login");
    }

    #[test]
    fn with_nothing_granted_the_room_begins_at_the_root() {
        assert_eq!(fresh(None, &[]), "https://bank.example/");
        assert_eq!(
            fresh(
                None,
                &[("about:blank", "about:blank"), (IDP, IDP), ("", "")]
            ),
            "https://bank.example/"
        );
        for (name, address) in [
            ("localhost", "http://localhost/"),
            ("[::1]", "http://[::1]/"),
            ("[2001:db8::1]", "https://[2001:db8::1]/"),
        ] {
            let address_at =
                fresh_address(None, &[], 0, &grant(&[name, "bank.example"]), true).unwrap();
            assert_eq!(address_at.as_str(), address);
        }
    }

    #[test]
    fn what_comes_after_the_current_entry_does_not_count() {
        let entries = history(&[
            ("https://bank.example/a", "https://bank.example/a"),
            ("https://bank.example/b", "https://bank.example/b"),
        ]);
        let at = |current| fresh_address(None, &entries, current, &grant(&["bank.example"]), false);
        assert_eq!(at(0).unwrap().path(), "/a");
        assert_eq!(at(1).unwrap().path(), "/b");
        assert_eq!(at(9).unwrap().path(), "/b");
    }

    #[test]
    fn the_query_stays_only_if_asked_for() {
        let context = Some("https://bank.example/a?q=1#f");
        let address = fresh_address(context, &[], 0, &grant(&["bank.example"]), true).unwrap();
        assert_eq!(address.as_str(), "https://bank.example/a?q=1");
    }

    #[test]
    fn plain_http_becomes_https_but_on_this_machine() {
        let at = |context, name| fresh_address(Some(context), &[], 0, &grant(&[name]), false);
        assert_eq!(
            at("http://bank.example/a", "bank.example")
                .unwrap()
                .as_str(),
            "https://bank.example/a"
        );
        for (context, name) in [
            ("http://localhost:8080/a", "localhost"),
            ("http://app.localhost/a", "app.localhost"),
            ("http://127.0.0.1:3000/a", "127.0.0.1"),
            ("http://[::1]:3000/a", "[::1]"),
        ] {
            assert_eq!(at(context, name).unwrap().as_str(), context);
        }
        let error = at("http://10.0.0.1:8080/a", "10.0.0.1").unwrap_err();
        assert_eq!(
            error,
            StartError::NotEncrypted("http://10.0.0.1:8080".to_owned())
        );
    }

    #[test]
    fn as_is_keeps_the_whole_address_but_credentials() {
        let granted = grant(&["bank.example", "localhost"]);
        let at = |current| as_is_address(current, &granted);
        for (current, address) in [
            (
                "https://u:p@bank.example/otp?s=1#step-2",
                "https://bank.example/otp?s=1#step-2",
            ),
            (
                "http://localhost:3000/otp?s=1",
                "http://localhost:3000/otp?s=1",
            ),
        ] {
            assert_eq!(at(current).unwrap().as_str(), address);
        }
        assert_eq!(at("about:blank"), Err(StartError::NotAddress));
        assert_eq!(at("nonsense"), Err(StartError::NotAddress));
        let not_granted = StartError::NotGranted("https://idp.example".to_owned());
        assert_eq!(at(IDP), Err(not_granted));
        let not_encrypted = StartError::NotEncrypted("http://bank.example".to_owned());
        assert_eq!(at("http://bank.example/otp"), Err(not_encrypted));
    }
}
