//! The TCP connection below a stream, plain or under TLS.

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream that runs over TCP.
pub(crate) trait UnderlyingTcp {
    /// The TCP connection below.
    fn tcp(&self) -> &TcpStream;
}

impl UnderlyingTcp for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl<S: UnderlyingTcp> UnderlyingTcp for TlsStream<S> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0.tcp()
    }
}
