//! A connection that was admitted: it holds its permit as long as it lives, and may end when its
//! client stops reading.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use crate::connection_limiter::ConnectionPermit;

/// Hears that a connection ended because its client did not read.
pub trait WriteStallObserver {
    /// The client read nothing for as long as it may.
    fn write_stalled(&self);
}

/// A bare permit counts connections, not how they end.
impl WriteStallObserver for ConnectionPermit {
    fn write_stalled(&self) {}
}

/// A connection with its permit, also once it is a WebSocket.
#[derive(Debug)]
pub struct GuardedStream<S, P> {
    inner: S,
    permit: P,
    /// How long a client may read nothing of what waits for it; `None` for as long as it likes.
    write_stall_timeout: Option<Duration>,
    /// Runs while something waits.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S, P> GuardedStream<S, P> {
    /// Holds `permit` until the connection is dropped.
    pub fn new(inner: S, permit: P) -> Self {
        Self {
            inner,
            permit,
            write_stall_timeout: None,
            stall: None,
        }
    }

    /// Ends the connection when its client has read nothing of what waits for it for so long.
    #[must_use]
    pub fn with_write_stall_timeout(self, timeout: Duration) -> Self {
        Self {
            write_stall_timeout: Some(timeout),
            ..self
        }
    }
}

impl<S, P: WriteStallObserver> GuardedStream<S, P> {
    /// Passes on the outcome of a write, unless it has been pending for too long.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let Some(timeout) = self.write_stall_timeout else {
            return written;
        };
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stall.as_mut().poll(cx));
        self.stall = None;
        self.permit.write_stalled();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S, P> AsyncRead for GuardedStream<S, P>
where
    S: AsyncRead + Unpin,
    P: Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S, P> AsyncWrite for GuardedStream<S, P>
where
    S: AsyncWrite + Unpin,
    P: WriteStallObserver + Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncWriteExt as _, duplex},
        time::timeout,
    };

    use super::*;
    use crate::connection_limiter::ConnectionLimiter;

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_with_a_timeout_ends_when_its_client_does_not_read() {
        let limiter = ConnectionLimiter::new(2);
        let write_stall = Duration::from_secs(10);
        let (near, _unread) = duplex(4);
        let mut ending =
            GuardedStream::new(near, limiter.acquire().await).with_write_stall_timeout(write_stall);
        let (near, _unread_either) = duplex(4);
        let mut waiting = GuardedStream::new(near, limiter.acquire().await);

        let ended = timeout(write_stall * 2, ending.write_all(&[0; 8])).await;
        let waited = timeout(write_stall * 2, waiting.write_all(&[0; 8])).await;

        let ended = ended.unwrap().unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        assert!(waited.is_err());
    }
}
