//! Decides who may ask, by the rules by which Chromium guards its own debugging port. Pure.
//!
//! A web page can make a browser send requests to this machine, but cannot choose their `Host`
//! (DNS rebinding leaves the page's own name in it) and cannot hide its `Origin`.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{
    HeaderMap, StatusCode,
    header::{HOST, ORIGIN},
    uri::Authority,
};

/// The `Host` header as the client wrote it, if this request may be answered.
pub(super) fn admit(
    headers: &HeaderMap,
    names: &[String],
) -> Result<String, (StatusCode, &'static str)> {
    if headers.contains_key(ORIGIN) {
        return Err((
            StatusCode::FORBIDDEN,
            "authloop: web pages may not use the gate",
        ));
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    let authority = authority.filter(|authority| !authority.as_str().contains('@'));
    let authority = authority.ok_or((
        StatusCode::BAD_REQUEST,
        "authloop: the request names no host",
    ))?;
    if !is_local(authority.host(), names) {
        let why =
            "authloop: the Host header is neither an address, nor localhost, nor a configured name";
        return Err((StatusCode::FORBIDDEN, why));
    }
    Ok(authority.to_string())
}

/// A literal address, `localhost` (RFC 6761 section 6.3), or one of `names`.
pub(super) fn is_local(host: &str, names: &[String]) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host.parse::<Ipv4Addr>().is_ok()
        || v6.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
        || host == "localhost"
        || host.ends_with(".localhost")
        || names.iter().any(|name| name.eq_ignore_ascii_case(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str, origin: Option<&str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        admit(&headers, &["gate.internal".to_owned()]).ok()
    }

    #[test]
    fn addresses_and_known_names_are_admitted() {
        for host in [
            "127.0.0.1:9222",
            "[::1]:9222",
            "localhost",
            "x.localhost:1",
            "gate.internal:80",
        ] {
            assert_eq!(asked(host, None).as_deref(), Some(host));
        }
    }

    #[test]
    fn rebound_names_and_pages_are_not() {
        for host in [
            "evil.example:9222",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "a@localhost",
            "",
        ] {
            assert_eq!(asked(host, None), None, "{host}");
        }
        assert_eq!(asked("127.0.0.1:9222", Some("http://127.0.0.1:9222")), None);
        assert_eq!(asked("127.0.0.1:9222", Some("null")), None);
    }
}
