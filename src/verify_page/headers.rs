//! The headers that the page's files come with: a server's own, and none that makes a browser do more.
//! Pure.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;

use authloop_signaling::{
    origin::Origin,
    page::{HSTS_POLICY, page_headers},
};
use reqwest::header::{CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, STRICT_TRANSPORT_SECURITY};

use crate::finding::Finding;

/// By each of these a browser goes elsewhere, loads something else, or keeps something.
const ACTIVE_HEADERS: [&str; 5] = [
    "refresh",
    "link",
    "set-cookie",
    "speculation-rules",
    "clear-site-data",
];

/// Judges the headers of all files, told by path. `embed` are the page's parents, if the server says
/// which.
pub(super) fn judge(
    origin: &Origin,
    embed: Option<&[Origin]>,
    served: &[(String, HeaderMap)],
) -> Vec<Finding> {
    let mut wanted = page_headers(origin, embed.unwrap_or_default());
    if origin.is_secure() {
        let policy = HeaderValue::from_static(HSTS_POLICY);
        wanted.insert(STRICT_TRANSPORT_SECURITY, policy);
    }
    if embed.is_none() {
        wanted.remove(CONTENT_SECURITY_POLICY);
    }
    // Most often all files have the same: each flaw is told once, with the first file that has it.
    let mut flaws: BTreeMap<String, &str> = BTreeMap::new();
    for (path, headers) in served {
        for flaw in flaws_of(&wanted, headers) {
            flaws.entry(flaw).or_insert(path);
        }
    }
    if flaws.is_empty() && embed.is_some() {
        return vec![Finding::good(
            "the page's headers are a server's own: its policy lets no other code in",
        )];
    }
    let told = flaws.into_iter().map(|(flaw, path)| {
        Finding::bad(format!(
            "{path}: {flaw}; fix: let proxies leave headers alone, and verify --public-origin itself"
        ))
    });
    told.collect()
}

fn flaws_of(wanted: &HeaderMap, headers: &HeaderMap) -> Vec<String> {
    let shown = |name: &str| {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        match values.as_slice() {
            [] => "missing".to_owned(),
            values => format!("{:?}", values.join(", ")),
        }
    };
    let other = wanted.iter().filter(|(name, value)| {
        let found = headers.get_all(*name).iter();
        // A second one counts, too: browsers apply two policies, and some take the last of two others.
        !found.eq([*value])
    });
    let other = other.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("`{name}` is {}, not {value:?}", shown(name.as_str()))
    });
    let active = ACTIVE_HEADERS
        .iter()
        .filter(|name| headers.contains_key(**name))
        .map(|name| format!("`{name}` is {}, which no server sends", shown(name)));
    other.chain(active).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::FindingStatus;

    fn secure() -> Origin {
        "https://relay.example".parse().unwrap()
    }

    fn good() -> HeaderMap {
        let mut headers = page_headers(&secure(), &[]);
        let policy = HeaderValue::from_static(HSTS_POLICY);
        headers.insert(STRICT_TRANSPORT_SECURITY, policy);
        headers
    }

    fn is_good(headers: HeaderMap) -> bool {
        let served = [
            ("index.html".to_owned(), good()),
            ("js/main.js".to_owned(), headers),
        ];
        let findings = judge(&secure(), Some(&[]), &served);
        findings
            .iter()
            .all(|finding| finding.status != FindingStatus::Bad)
    }

    #[test]
    fn a_servers_own_headers_are_good() {
        let mut more = good();
        more.insert("x-request-id", HeaderValue::from_static("1"));
        assert!(is_good(good()) && is_good(more));
    }

    #[test]
    fn a_header_that_is_missing_or_another_or_there_twice_is_told() {
        for (name, value) in &good() {
            let mut without = good();
            without.remove(name);
            assert!(!is_good(without), "{name} is missing");
            let mut other = good();
            other.insert(name, HeaderValue::from_static("unsafe-none"));
            assert!(!is_good(other), "{name} is another");
            let mut twice = good();
            twice.append(name, value.clone());
            assert!(!is_good(twice), "{name} is there twice");
        }
    }

    #[test]
    fn a_header_that_makes_a_browser_act_is_told() {
        for name in ACTIVE_HEADERS {
            let mut headers = good();
            headers.insert(
                name,
                HeaderValue::from_static("5; url=https://evil.example/"),
            );
            assert!(!is_good(headers), "{name}");
        }
    }

    #[test]
    fn each_flaw_is_told_once() {
        let mut bad = good();
        bad.insert("refresh", HeaderValue::from_static("1"));
        let served = ["index.html", "js/a.js"].map(|path| (path.to_owned(), bad.clone()));

        let findings = judge(&secure(), Some(&[]), &served);

        assert_eq!(findings.len(), 1);
        let text = findings[0].to_string();
        assert!(text.contains("index.html: `refresh` is \"1\""), "{text}");
    }
}
