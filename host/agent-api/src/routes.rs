//! The paths, and the document that describes them, from one source.

mod body;
mod manage;
mod start;
mod watch;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::get,
};
use utoipa::{
    Modify, OpenApi as _,
    openapi::{
        OpenApi,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{app::App, auth, error::ApiError};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "authloop agent API",
        description = "Hands a browser that an agent drives to its user, and back. See docs/AGENT_API.md."
    ),
    security(("key" = [])),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        components.add_security_scheme("key", scheme);
    }
}

/// The OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    let (_, mut document) = keyed().split_for_parts();
    let (_, open) = open().split_for_parts();
    document.merge(open);
    document
}

fn keyed() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(start::create))
        .routes(routes!(manage::get, manage::cancel))
        .routes(routes!(manage::resolve))
        .routes(routes!(manage::list))
        .routes(routes!(manage::storage_state))
        .routes(routes!(manage::audit))
}

/// Paths that check for themselves who asks, or do not care.
fn open() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(watch::events))
        .routes(routes!(manage::health))
}

pub(super) fn router(app: Arc<App>) -> Router {
    let document = Arc::new(openapi());
    let serve_document = move || {
        let document = Arc::clone(&document);
        async move { axum::Json(document.as_ref()).into_response() }
    };
    let (keyed, _) = keyed().split_for_parts();
    let (open, _) = open().split_for_parts();
    keyed
        .route_layer(from_fn_with_state(Arc::clone(&app), auth::with_key))
        .merge(open)
        .route("/openapi.json", get(serve_document))
        .fallback(async || ApiError::NoPath)
        .method_not_allowed_fallback(async || ApiError::Method)
        .layer(from_fn_with_state(Arc::clone(&app), auth::same_machine))
        .layer(from_fn(no_store))
        .with_state(app)
}

/// Answers hold links and tokens.
async fn no_store(request: Request, next: axum::middleware::Next) -> Response {
    use axum::http::{HeaderValue, header};
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
