//! The HTTP face of the server: the sessions API, the WebSockets and the viewer page.

use axum::Router;

use crate::{api, page, service::Signaling};

impl Signaling {
    /// The sessions API, the WebSockets and the viewer page. It wants the peer's address
    /// (`into_make_service_with_connect_info::<SocketAddr>`) for its rate limits.
    pub fn router(&self) -> Router {
        let settings = self.settings();
        let router = api::router(self.clone()).merge(page::router(settings, self.page_source()));
        page::strict_transport(router, &settings.public_origin)
    }
}
