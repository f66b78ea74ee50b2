//! A connection whose owner dawdles: few bytes at a time, with a pause before each.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// The most that is read or written at a time, in bytes.
const MAX_BYTES_PER_PAUSE: usize = 256;

/// Reads and writes a little after each pause.
#[derive(Debug)]
pub(crate) struct SlowStream<S> {
    inner: S,
    pause: Duration,
    read: Option<Pin<Box<Sleep>>>,
    write: Option<Pin<Box<Sleep>>>,
}

impl<S> SlowStream<S> {
    pub(crate) fn new(inner: S, pause: Duration) -> Self {
        Self {
            inner,
            pause,
            read: None,
            write: None,
        }
    }
}

/// Ready once the pause that this call or an earlier one began is over.
fn poll_pause(
    pause: Duration,
    sleeping: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    sleeping
        .get_or_insert_with(|| Box::pin(sleep(pause)))
        .as_mut()
        .poll(cx)
}

impl<S: AsyncRead + Unpin> AsyncRead for SlowStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        ready!(poll_pause(this.pause, &mut this.read, cx));
        let mut few = [0; MAX_BYTES_PER_PAUSE];
        let mut few = ReadBuf::new(&mut few[..MAX_BYTES_PER_PAUSE.min(buf.remaining())]);
        ready!(Pin::new(&mut this.inner).poll_read(cx, &mut few))?;
        this.read = None;
        buf.put_slice(few.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SlowStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(poll_pause(this.pause, &mut this.write, cx));
        let few = &buf[..buf.len().min(MAX_BYTES_PER_PAUSE)];
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, few));
        this.write = None;
        Poll::Ready(written)
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_kilobyte_takes_four_pauses_each_way() {
        let (near, far) = tokio::io::duplex(4096);
        let pause = Duration::from_secs(1);
        let (mut slow, mut echo) = (SlowStream::new(near, pause), far);
        let start = tokio::time::Instant::now();

        slow.write_all(&[7; 1024]).await.unwrap();
        let written = start.elapsed();
        let mut whole = [0; 1024];
        echo.read_exact(&mut whole).await.unwrap();
        echo.write_all(&whole).await.unwrap();
        slow.read_exact(&mut whole).await.unwrap();

        assert_eq!(whole, [7; 1024]);
        assert_eq!((written, start.elapsed()), (pause * 4, pause * 8));
    }
}
