//! Closes the connections of an authority's challenge: it wants the handshake only.

use std::{io, pin::Pin};

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::server::TlsStream;

/// The protocol of such connections (RFC 8737 §6.2).
pub(crate) const ACME_TLS: &[u8] = b"acme-tls/1";

/// Accepts as `A` does, but for challenges.
#[derive(Clone, Debug)]
pub(crate) struct ChallengeCloser<A>(pub(crate) A);

impl<A, I, S, T> Accept<I, S> for ChallengeCloser<A>
where
    A: Accept<I, S, Stream = TlsStream<T>>,
    A::Future: Send + 'static,
    A::Service: Send,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = TlsStream<T>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(TlsStream<T>, A::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepted = self.0.accept(stream, service);
        Box::pin(async move {
            let (mut stream, service) = accepted.await?;
            if stream.get_ref().1.alpn_protocol() == Some(ACME_TLS) {
                let _ = stream.shutdown().await;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Ok((stream, service))
        })
    }
}
