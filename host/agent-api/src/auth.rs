//! Who may ask: holders of a key, by a name of this machine, and not from a web page.

use std::{net::IpAddr, sync::Arc};

use authloop_bearer::bearer_token;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Uri, header, uri::Authority},
    middleware::Next,
    response::Response,
};

use super::{app::App, error::ApiError};

/// Refuses what a web page could send: the agent API has no business in browsers. A name that an
/// attacker points here (DNS rebinding) is none that we listen to; an address cannot be pointed.
pub(super) async fn same_machine(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return Err(ApiError::Forbidden("web pages may not use the agent API"));
    }
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| site != b"none") {
        return Err(ApiError::Forbidden("web pages may not use the agent API"));
    }
    if !is_ours(headers, request.uri(), &app.allow_hosts) {
        return Err(ApiError::Forbidden(
            "the Host header names another machine; see --allow-host",
        ));
    }
    Ok(next.run(request).await)
}

/// Only holders of a key go on, and not too often.
pub(super) async fn with_key(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let owner = app.keys.owner(bearer_token(request.headers()));
    let owner = owner.ok_or(ApiError::Unauthorized)?;
    app.rates.check(owner)?;
    request.extensions_mut().insert(owner);
    Ok(next.run(request).await)
}

fn is_ours(headers: &HeaderMap, uri: &Uri, allowed: &[String]) -> bool {
    let named = match headers.get(header::HOST) {
        Some(host) => host.to_str().ok().and_then(|host| host.parse().ok()),
        None => uri.authority().cloned(),
    };
    let Some(authority) = named else {
        return false;
    };
    let authority: Authority = authority;
    let host = authority.host().to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok() || allowed.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_ours() {
        let allowed = ["agents.internal".to_owned()];
        let ours = |host: &str| {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            is_ours(&headers, &Uri::from_static("/"), &allowed)
        };
        for good in [
            "localhost:7300",
            "127.0.0.1:7300",
            "[::1]:7300",
            "Agents.Internal",
            "10.0.0.1",
        ] {
            assert!(ours(good), "{good}");
        }
        for bad in [
            "evil.example:7300",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "u@",
            "",
        ] {
            assert!(!ours(bad), "{bad}");
        }
        assert!(!is_ours(
            &HeaderMap::new(),
            &Uri::from_static("/"),
            &allowed
        ));
    }
}
