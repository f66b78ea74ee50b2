//! Tells TURN and ICE-TCP from HTTP by a stream's first bytes, before the HTTP server sees it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::{TcpFallback, protocol::StreamProtocol, underlying_tcp::UnderlyingTcp};

/// Bytes that suffice: RFC 4571's length, and STUN's header up to the cookie's end.
const DETECTION_BYTES: usize = 10;
/// RFC 8489 §5.
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// Accepts as `A` does, then takes the streams that do not speak HTTP. It waits without end for a
/// client's first bytes: its caller has to set a limit.
#[derive(Clone, Debug)]
pub(crate) struct ProtocolDetector<A> {
    inner: A,
    /// `None` passes everything on.
    fallback: Option<TcpFallback>,
    last: bool,
}

/// A connection's protocol, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DetectedProtocol {
    /// HTTP, TLS, or an unknown protocol: the HTTP server deals with it.
    Http,
    /// A protocol that the fallback carries.
    Fallback(StreamProtocol),
}

/// A stream whose first bytes were read already.
#[derive(Debug)]
pub(crate) struct PrefixedStream<S> {
    head: [u8; DETECTION_BYTES],
    at: usize,
    len: usize,
    inner: S,
}

impl<A> ProtocolDetector<A> {
    /// In front of HTTP.
    pub(crate) fn new(inner: A, fallback: Option<TcpFallback>) -> Self {
        Self {
            inner,
            fallback,
            last: true,
        }
    }

    /// In front of TLS: browsers speak ICE-TCP plain only, and what is inside is end to end
    /// encrypted anyhow.
    pub(crate) fn before_tls(inner: A, fallback: Option<TcpFallback>) -> Self {
        Self {
            inner,
            fallback,
            last: false,
        }
    }
}

impl<A, I, S> Accept<I, S> for ProtocolDetector<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
    A::Stream: AsyncRead + AsyncWrite + UnderlyingTcp + Unpin + Send + 'static,
    A::Service: Send,
{
    type Stream = PrefixedStream<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, A::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let accepted = self.inner.accept(stream, service);
        let (fallback, last) = (self.fallback.clone(), self.last);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            let mut stream = PrefixedStream {
                head: [0; DETECTION_BYTES],
                at: 0,
                len: 0,
                inner: stream,
            };
            let Some(fallback) = fallback else {
                return Ok((stream, service));
            };
            match stream.detect().await? {
                DetectedProtocol::Http => {
                    if last {
                        fallback.count_http();
                    }
                    Ok((stream, service))
                }
                DetectedProtocol::Fallback(protocol) => {
                    fallback.accept(protocol, stream);
                    // To the HTTP server this connection has ended.
                    Err(io::ErrorKind::ConnectionAborted.into())
                }
            }
        })
    }
}

impl<S: AsyncRead + Unpin> PrefixedStream<S> {
    /// Reads until the protocol is clear.
    async fn detect(&mut self) -> io::Result<DetectedProtocol> {
        loop {
            let head = &self.head[..self.len];
            match classify(head) {
                Some(protocol) => return Ok(protocol),
                // What ends before that is left to HTTP.
                None => match self.inner.read(&mut self.head[self.len..]).await? {
                    0 => return Ok(DetectedProtocol::Http),
                    read => self.len += read,
                },
            }
        }
    }
}

impl<S: UnderlyingTcp> UnderlyingTcp for PrefixedStream<S> {
    fn tcp(&self) -> &tokio::net::TcpStream {
        self.inner.tcp()
    }
}

/// The protocol by its first bytes: `None` until there are enough of them.
fn classify(head: &[u8]) -> Option<DetectedProtocol> {
    match head {
        [] => None,
        // RFC 8489 §5: TURN's methods leave the first bits zero, and no frame is as long as HTTP's
        // letters or TLS' handshake (RFC 8446 §5.1) would say.
        [first, ..] if *first >= 0x10 => Some(DetectedProtocol::Http),
        _ if head.get(4..8) == Some(&MAGIC_COOKIE) => {
            Some(DetectedProtocol::Fallback(StreamProtocol::Turn))
        }
        _ if head.len() < DETECTION_BYTES => None,
        _ if head[6..DETECTION_BYTES] == MAGIC_COOKIE => {
            Some(DetectedProtocol::Fallback(StreamProtocol::IceTcp))
        }
        _ => Some(DetectedProtocol::Http),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PrefixedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.at == self.len {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let end = self.len.min(self.at + buf.remaining());
        buf.put_slice(&self.head[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PrefixedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_is_told_by_its_first_bytes() {
        let stun = [0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4];
        let framed = [0, 28, 0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];

        assert_eq!(
            classify(&stun[..8]),
            Some(DetectedProtocol::Fallback(StreamProtocol::Turn))
        );
        assert_eq!(
            classify(&framed),
            Some(DetectedProtocol::Fallback(StreamProtocol::IceTcp))
        );
        assert_eq!(classify(b"G"), Some(DetectedProtocol::Http));
        assert_eq!(classify(b"PRI * HTTP/2.0"), Some(DetectedProtocol::Http));
        assert_eq!(classify(&[0x16]), Some(DetectedProtocol::Http), "TLS");
        assert_eq!(classify(b"\r\nGET / HT"), Some(DetectedProtocol::Http));
        assert_eq!(classify(&[0; 10]), Some(DetectedProtocol::Http));
        for short in [&stun[..0], &stun[..7], &framed[..9]] {
            assert_eq!(classify(short), None);
        }
    }
}
