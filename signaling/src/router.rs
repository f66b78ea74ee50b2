//! The HTTP face of the server: the sessions API, the WebSockets and the viewer page.

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, header::CACHE_CONTROL},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};

use crate::{
    api,
    error::{ApiError, ApiErrorKind},
    observer::SignalingEvent,
    page,
    service::Signaling,
};

impl Signaling {
    /// The sessions API, the WebSockets and the viewer page. It wants the peer's address
    /// (`into_make_service_with_connect_info::<SocketAddr>`) for its rate limits.
    pub fn router(&self) -> Router {
        let settings = self.settings();
        let router = api::router(self.clone()).merge(page::router(settings, self.page_source()));
        page::strict_transport(self.for_known_hosts(router), &settings.public_origin)
    }

    /// Has every route of `router` answer only requests for the server's own names.
    pub fn for_known_hosts(&self, router: Router) -> Router {
        let layer = middleware::from_fn_with_state(self.clone(), refuse_unknown_host);
        router.layer(layer)
    }
}

async fn refuse_unknown_host(
    State(signaling): State<Signaling>,
    request: Request,
    next: Next,
) -> Response {
    if signaling.known_hosts().admit_request(&request) {
        return next.run(request).await;
    }
    let refusal = ApiError::new(
        ApiErrorKind::Misdirected,
        "this server has another name; its operator may add this one to `allowed_hosts`",
    );
    signaling.observe(SignalingEvent::HttpRejected(refusal.code()));
    let mut response = refusal.into_response();
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}
