//! A listener that holds at most N connections open; further ones wait in the accept queue.

use std::io;

use axum::serve::Listener;

use crate::{
    connection_limiter::{ConnectionLimiter, ConnectionPermit},
    guarded_stream::GuardedStream,
};

/// Accepts a connection only while fewer than the limit are open.
#[derive(Debug)]
pub struct LimitedListener<L> {
    listener: L,
    limiter: ConnectionLimiter,
}

impl<L> LimitedListener<L> {
    /// Bounds `listener` to `max_connections` open connections.
    pub fn new(listener: L, max_connections: usize) -> Self {
        Self {
            listener,
            limiter: ConnectionLimiter::new(max_connections),
        }
    }
}

impl<L: Listener> Listener for LimitedListener<L>
where
    L::Io: Unpin,
{
    type Io = GuardedStream<L::Io, ConnectionPermit>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let permit = self.limiter.acquire().await;
        let (io, address) = self.listener.accept().await;
        (GuardedStream::new(io, permit), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn the_next_one_waits_until_one_has_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut limited = LimitedListener::new(listener, 1);
        let _clients = [
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
        ];

        let (first, _) = limited.accept().await;
        let mut second = Box::pin(limited.accept());
        let waits = futures_util::poll!(&mut second).is_pending();
        drop(first);

        assert!(waits);
        second.await;
    }
}
