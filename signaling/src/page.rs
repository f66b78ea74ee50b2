//! The viewer page: the same bytes for everyone, under a strict policy.

mod files;
mod manifest;

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
            REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest as _, Sha256};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::{
    error::{ApiError, ApiErrorKind},
    origin::Origin,
    settings::Settings,
};

pub use files::{PageSource, content_type};
pub use manifest::{Manifest, ManifestError};

/// Clipboard access is for paste; the rest of what a browser may grant, the page does without.
const PERMISSIONS_POLICY: &str = "clipboard-read=(self), clipboard-write=(self), accelerometer=(), \
    camera=(), display-capture=(), encrypted-media=(), geolocation=(), gyroscope=(), hid=(), \
    idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), midi=(), payment=(), \
    picture-in-picture=(), publickey-credentials-create=(), publickey-credentials-get=(), \
    serial=(), storage-access=(), usb=(), xr-spatial-tracking=()";

/// `Strict-Transport-Security` of every answer of a secure origin: two years.
pub const HSTS_POLICY: &str = "max-age=63072000";

struct Page {
    source: PageSource,
    /// Files that the configuration puts in the place of the page's own, with their SHA-256.
    brand: HashMap<&'static str, (Bytes, [u8; 32])>,
    headers: HeaderMap,
}

impl Page {
    async fn file(&self, path: &str) -> Option<(Bytes, [u8; 32])> {
        match self.brand.get(path) {
            Some(branded) => Some(branded.clone()),
            None => self.source.file(path).await,
        }
    }
}

pub(crate) fn router(settings: &Settings, source: &PageSource) -> Router {
    let branded = settings.brand.files(&settings.embed_origins);
    let hashed = |bytes: Vec<u8>| {
        let hash = Sha256::digest(&bytes).into();
        (Bytes::from(bytes), hash)
    };
    let page = Page {
        source: source.clone(),
        brand: branded
            .into_iter()
            .map(|file| (file.path, hashed(file.bytes)))
            .collect(),
        headers: page_headers(&settings.public_origin, &settings.embed_origins),
    };
    Router::new().fallback_service(get(serve).with_state(Arc::new(page)))
}

/// Has browsers come by TLS only (RFC 6797), if that is how the world sees the server: every
/// answer says so, since any may be a browser's first.
pub fn strict_transport(router: Router, origin: &Origin) -> Router {
    if !origin.is_secure() {
        // RFC 6797 §7.2: not over plain HTTP.
        return router;
    }
    let header = STRICT_TRANSPORT_SECURITY;
    let policy = HeaderValue::from_static(HSTS_POLICY);
    router.layer(SetResponseHeaderLayer::overriding(header, policy))
}

async fn serve(State(page): State<Arc<Page>>, request: Request) -> Response {
    let path = match request.uri().path() {
        "/" => "index.html",
        path => path.trim_start_matches('/'),
    };
    let not_found =
        || ApiError::new(ApiErrorKind::NotFound, "there is no such page").into_response();
    let mut response = match content_type(path) {
        None => not_found(),
        Some(content_type) => match page.file(path).await {
            None => not_found(),
            Some((bytes, hash)) => file_response(request.headers(), content_type, bytes, hash),
        },
    };
    response.headers_mut().extend(page.headers.clone());
    response
}

fn file_response(
    request: &HeaderMap,
    content_type: &'static str,
    bytes: Bytes,
    hash: [u8; 32],
) -> Response {
    let etag = format!("\"{}\"", hex::encode(hash));
    let unchanged = request
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| tag.trim().trim_start_matches("W/") == etag);
    let headers = [
        (CONTENT_TYPE, content_type.to_owned()),
        (ETAG, etag),
        (CACHE_CONTROL, "no-cache".to_owned()),
    ];
    if unchanged {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, bytes).into_response()
    }
}

/// What all of the page's files come with at this origin, with these parents, beside their own headers.
#[must_use]
pub fn page_headers(public_origin: &Origin, embed_origins: &[Origin]) -> HeaderMap {
    let policy = content_security_policy(public_origin, embed_origins);
    let fixed = [
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            PERMISSIONS_POLICY,
        ),
    ];
    let mut headers: HeaderMap = fixed
        .into_iter()
        .map(|(name, value)| (name, HeaderValue::from_static(value)))
        .collect();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers
}

/// W3C CSP Level 3.
fn content_security_policy(public_origin: &Origin, embed_origins: &[Origin]) -> String {
    let parents: Vec<&str> = embed_origins.iter().map(Origin::as_str).collect();
    let parents = match parents.as_slice() {
        [] => "'none'".to_owned(),
        parents => parents.join(" "),
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         media-src 'self' blob: mediastream:; connect-src 'self' {}; font-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {parents}; \
         require-trusted-types-for 'script'",
        public_origin.web_socket()
    )
}
