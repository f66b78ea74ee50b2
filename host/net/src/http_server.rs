//! Serves HTTP to clients that may be slow on purpose: one that says nothing does not keep its place.

use std::{pin::pin, time::Duration};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1::Builder;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::LimitedListener;

/// How long a client may take for a request's head (RFC 9112 section 2.1), also between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Memory that one connection's head may take.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Serves `router` by HTTP/1.1, WebSockets included, until `stop`: then no connection is accepted any
/// more, requests that are open are answered, and it returns once their connections have ended.
/// Connections that have become WebSockets are not ended by it, nor waited for.
pub async fn serve_http<L>(listener: LimitedListener<L>, router: Router, stop: CancellationToken)
where
    L: Listener,
    L::Io: Unpin + 'static,
{
    serve_within(HEADER_TIMEOUT, listener, router, stop).await;
}

async fn serve_within<L>(
    header_timeout: Duration,
    mut listener: LimitedListener<L>,
    router: Router,
    stop: CancellationToken,
) where
    L: Listener,
    L::Io: Unpin + 'static,
{
    let mut builder = Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEADER_BYTES);
    let connections = TaskTracker::new();
    loop {
        let (io, _) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let service = TowerToHyperService::new(router.clone());
        let served = builder
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        let stop = stop.clone();
        connections.spawn(async move {
            let mut served = pin!(served);
            tokio::select! {
                // A client that breaks off is no news.
                _ended = served.as_mut() => {}
                () = stop.cancelled() => {
                    served.as_mut().graceful_shutdown();
                    let _ended = served.await;
                }
            }
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    async fn ask(stream: &mut TcpStream) -> String {
        let request = b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_loses_its_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let stop = CancellationToken::new();
        let limited = LimitedListener::new(listener, 1);
        let serving = tokio::spawn(serve_within(
            Duration::from_millis(100),
            limited,
            router,
            stop.clone(),
        ));
        let mut silent = TcpStream::connect(address).await.unwrap();

        let mut next = TcpStream::connect(address).await.unwrap();
        let answer = ask(&mut next).await;
        let mut rest = Vec::new();
        let read = silent.read_to_end(&mut rest).await;
        stop.cancel();
        serving.await.unwrap();

        assert!(answer.ends_with("here"), "{answer}");
        assert!(read.is_err() || !rest.ends_with(b"here"));
    }

    #[tokio::test]
    async fn an_open_request_is_answered_after_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let router = Router::new().route(
            "/",
            get(async move || {
                stopping.cancel();
                // The server goes on until this is answered.
                tokio::task::yield_now().await;
                "late"
            }),
        );
        let listener = LimitedListener::new(listener, 8);
        let serving = tokio::spawn(serve_http(listener, router, stop));

        let answer = ask(&mut TcpStream::connect(address).await.unwrap()).await;

        assert!(answer.ends_with("late"), "{answer}");
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
