//! A TLS proxy for phones: browsers allow WebCrypto on https pages only, loopback excepted.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
};

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer},
};

/// Accepts TLS with a certificate of its own and forwards to the server on loopback.
pub(super) struct LanProxy {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ip: IpAddr,
    origin: String,
}

impl LanProxy {
    pub(super) async fn open() -> anyhow::Result<Self> {
        let ip = own_address().context("this machine has no network; run without --lan")?;
        let listener = TcpListener::bind(SocketAddr::new(ip, 0)).await;
        let listener = listener.with_context(|| format!("cannot listen at {ip}"))?;
        let made = rcgen::generate_simple_self_signed([ip.to_string()])?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())?;
        Ok(Self {
            origin: format!("https://{}", listener.local_addr()?),
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            listener,
            ip,
        })
    }

    /// The address in the local network.
    pub(super) fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The origin that the link begins with.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Serves until the process ends.
    pub(super) fn serve(self, server: SocketAddr) {
        tokio::spawn(async move {
            loop {
                let Ok((phone, _)) = self.listener.accept().await else {
                    // Out of descriptors, most likely: others must end first.
                    tokio::task::yield_now().await;
                    continue;
                };
                let acceptor = self.acceptor.clone();
                // A phone that refuses the certificate or leaves is no concern of the demo's.
                tokio::spawn(async move {
                    let mut phone = acceptor.accept(phone).await?;
                    let mut server = TcpStream::connect(server).await?;
                    tokio::io::copy_bidirectional(&mut phone, &mut server).await
                });
            }
        });
    }
}

/// The address from which this machine would speak to the world; nothing is sent.
fn own_address() -> std::io::Result<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // TEST-NET-1 (RFC 5737): routed like the internet, and nobody's.
    socket.connect("192.0.2.1:9")?;
    Ok(socket.local_addr()?.ip())
}
