//! What a request presents.

use http::{HeaderMap, header::AUTHORIZATION};

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
#[must_use]
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_token_follows_the_scheme() {
        let token = |value| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer_token(&headers).map(str::to_owned)
        };
        for good in ["Bearer token", "bearer token", "BEARER  token "] {
            assert_eq!(token(good).as_deref(), Some("token"), "{good}");
        }
        for bad in ["", "Bearer", "Basic token", "token", "Bearertoken"] {
            assert_eq!(token(bad), None, "{bad}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), None);
    }
}
