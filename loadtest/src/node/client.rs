//! Both ends of a session as a server meets them (`docs/PROTOCOL.md` sections 4 and 5).

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use authloop_protocol::{
    device::claim_message,
    id::{Blob, SessionId},
    invitation::{Fingerprint, Invitation},
    signal::{CreateSession, HostMessage, LegIce, ServerMessage, SessionCreated, ViewerMessage},
};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, header};
use hyper_util::rt::TokioIo;
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use rustls::pki_types::ServerName;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpSocket,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use super::slow::SlowStream;

/// Past this something has failed; the server's own patience is shorter.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections that share a source address: within the server's rates for one address.
const CONNECTIONS_PER_ADDRESS: u64 = 64;
/// What a slow socket's kernel buffers ahead, in bytes.
const SLOW_RECV_BUFFER_BYTES: u32 = 4096;

/// Anything that carries bytes both ways.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A client of one server.
#[derive(Clone)]
pub(crate) struct ServerClient {
    pub addr: SocketAddrV4,
    /// For a server that speaks TLS.
    pub tls: Option<TlsConnector>,
    /// The API key.
    pub key: String,
}

/// A session that was registered.
#[derive(Debug, Clone)]
pub(crate) struct RegisteredSession {
    pub id: SessionId,
    token: [u8; 32],
    host_token: Blob,
}

/// What entitles a client to end a session over HTTP.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EndCredential {
    HostToken,
    ApiKey,
}

/// A viewer's device.
pub(crate) struct ViewerDevice(SigningKey);

/// One end of a WebSocket.
pub(crate) struct SignalSocket(WebSocketStream<Box<dyn ByteStream>>);

/// The `n`th connection's source: all of 127.0.0.0/8 is this machine.
pub(crate) fn source_address(n: u64) -> Ipv4Addr {
    let address = n / CONNECTIONS_PER_ADDRESS;
    let [.., high, mid, low] = (address % (100 << 16)).to_be_bytes();
    Ipv4Addr::new(127, 100 + high, mid, low)
}

impl ServerClient {
    /// Connects from an address; with a pause, the connection is slow.
    pub(crate) async fn connect(
        &self,
        from: Ipv4Addr,
        pause: Option<Duration>,
    ) -> Result<Box<dyn ByteStream>> {
        let socket = TcpSocket::new_v4()?;
        if pause.is_some() {
            socket.set_recv_buffer_size(SLOW_RECV_BUFFER_BYTES)?;
        }
        socket.bind((from, 0).into())?;
        let tcp = timeout(CLIENT_TIMEOUT, socket.connect(SocketAddr::V4(self.addr)))
            .await
            .context("the server did not accept in time")?
            .with_context(|| format!("connecting from {from}"))?;
        tcp.set_nodelay(true)?;
        let wire: Box<dyn ByteStream> = match &self.tls {
            None => Box::new(tcp),
            Some(tls) => {
                let name = ServerName::IpAddress((*self.addr.ip()).into());
                let handshake = timeout(CLIENT_TIMEOUT, tls.connect(name, tcp));
                Box::new(handshake.await.context("TLS did not end in time")??)
            }
        };
        Ok(match pause {
            None => wire,
            Some(pause) => Box::new(SlowStream::new(wire, pause)),
        })
    }

    /// Registers a session that lives for so long.
    pub(crate) async fn register(
        &self,
        from: Ipv4Addr,
        life: Duration,
    ) -> Result<RegisteredSession> {
        let (id, token) = (SessionId(rand::random()), rand::random::<[u8; 32]>());
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let invitation = Invitation {
            v: 1,
            id,
            hpke: Blob::from([4; 65]),
            fingerprint: Fingerprint::of_certificate(b"loadtest"),
            requester: "loadtest".to_owned(),
            reason: "Load that looks like a sign-in.".to_owned(),
            origins: vec!["https://site.example".to_owned()],
            expires: (now + life).as_secs(),
            room: None,
        };
        let body = CreateSession {
            id,
            invitation: Blob::from(invitation.to_bytes()?),
            claim_hash: Blob::from(Sha256::digest(token)),
            device: None,
            wall_type: None,
        };
        let body = serde_json::to_vec(&body)?;
        let (status, answer) = self
            .request(from, Method::POST, "/v1/sessions", &self.key, body)
            .await?;
        ensure!(
            status == StatusCode::CREATED,
            "registering a session: {status} {}",
            String::from_utf8_lossy(&answer)
        );
        let created: SessionCreated = serde_json::from_slice(&answer)?;
        Ok(RegisteredSession {
            id,
            token,
            host_token: created.host_token,
        })
    }

    /// Ends a session over HTTP.
    pub(crate) async fn end_session(
        &self,
        from: Ipv4Addr,
        session: &RegisteredSession,
        credential: EndCredential,
    ) -> Result<()> {
        let path = format!("/v1/sessions/{}", session.id);
        let key = match credential {
            EndCredential::ApiKey => self.key.clone(),
            EndCredential::HostToken => authloop_protocol::id::to_b64u(&session.host_token.0),
        };
        let done = self.request(from, Method::DELETE, &path, &key, Vec::new());
        let (status, _) = done.await?;
        ensure!(
            status == StatusCode::NO_CONTENT,
            "ending a session: {status}"
        );
        Ok(())
    }

    /// Attaches a session's host, up to the server's welcome.
    pub(crate) async fn attach_host(
        &self,
        from: Ipv4Addr,
        session: &RegisteredSession,
        pause: Option<Duration>,
    ) -> Result<SignalSocket> {
        let mut socket = self.open(from, session, "host", pause).await?;
        socket.challenge().await?;
        let host_token = session.host_token.clone();
        socket.send(&HostMessage::Attach { host_token }).await?;
        socket.receive_until(welcome).await?;
        Ok(socket)
    }

    /// Claims a session, up to the relay's leg.
    pub(crate) async fn claim_as_viewer(
        &self,
        from: Ipv4Addr,
        session: &RegisteredSession,
        device: &ViewerDevice,
        pause: Option<Duration>,
    ) -> Result<(SignalSocket, LegIce)> {
        let mut socket = self.open(from, session, "viewer", pause).await?;
        let challenge = socket.challenge().await?;
        let claim = device.claim(session, &challenge);
        socket.send(&claim).await?;
        socket.receive_until(welcome).await?;
        let ice = socket.receive_until(ice).await?;
        Ok((socket, ice))
    }

    /// Opens a viewer's WebSocket and lets the server challenge it; it says nothing.
    pub(crate) async fn open_silent(
        &self,
        from: Ipv4Addr,
        session: &RegisteredSession,
    ) -> Result<SignalSocket> {
        let mut socket = self.open(from, session, "viewer", None).await?;
        socket.challenge().await?;
        Ok(socket)
    }

    async fn open(
        &self,
        from: Ipv4Addr,
        session: &RegisteredSession,
        side: &str,
        pause: Option<Duration>,
    ) -> Result<SignalSocket> {
        let wire = self.connect(from, pause).await?;
        // The scheme is for the request's form only: the wire is there already.
        let url = format!("ws://{}/v1/sessions/{}/{side}", self.addr, session.id);
        let config = WebSocketConfig::default()
            .read_buffer_size(1024)
            .write_buffer_size(0);
        let opening = client_async_with_config(url, wire, Some(config));
        let (socket, _) = timeout(CLIENT_TIMEOUT, opening)
            .await
            .context("no WebSocket in time")??;
        Ok(SignalSocket(socket))
    }

    async fn request(
        &self,
        from: Ipv4Addr,
        method: Method,
        path: &str,
        bearer: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes)> {
        let io = TokioIo::new(self.connect(from, None).await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.addr.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {bearer}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        let answer = timeout(CLIENT_TIMEOUT, answer)
            .await
            .context("no answer in time");
        drop(sender);
        // The connection ends with its sender; what it says of its end is no matter.
        let _ended = connection.await;
        Ok(answer??)
    }
}

impl ViewerDevice {
    pub(crate) fn new() -> Result<Self> {
        // A number that is no key is as rare as a guess of one.
        SigningKey::from_slice(&rand::random::<[u8; 32]>())
            .map(Self)
            .context("the random bytes are no key; try again")
    }

    fn claim(&self, session: &RegisteredSession, challenge: &[u8; 32]) -> ViewerMessage {
        let message = claim_message(session.id, challenge, &session.token);
        let signature: Signature = self.0.sign(&message);
        ViewerMessage::Claim {
            token: Blob::from(session.token),
            device: Blob::from(self.0.verifying_key().to_sec1_point(false).as_bytes()),
            signature: Blob::from(signature.to_bytes().as_slice()),
        }
    }
}

impl SignalSocket {
    /// Says something.
    pub(crate) async fn send(&mut self, message: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(message)?;
        let sent = timeout(CLIENT_TIMEOUT, self.0.send(Message::text(text)));
        Ok(sent.await.context("the server did not read in time")??)
    }

    /// Passes over messages until `pick` takes one.
    pub(crate) async fn receive_until<T>(
        &mut self,
        pick: impl Fn(ServerMessage) -> Option<T>,
    ) -> Result<T> {
        loop {
            let frame = timeout(CLIENT_TIMEOUT, self.0.next()).await;
            let frame = frame.context("nothing came in time")?;
            let message = match frame.context("the socket ended")?? {
                Message::Text(text) => serde_json::from_str(&text)?,
                Message::Close(frame) => bail!("the server closed: {frame:?}"),
                _ => continue,
            };
            if let ServerMessage::Error { code, message } = &message {
                bail!("the server refused: {code:?}, {message}");
            }
            if let Some(picked) = pick(message) {
                return Ok(picked);
            }
        }
    }

    /// Reads on, which answers pings, until the socket ends.
    pub(crate) async fn read_until_closed(&mut self) {
        while let Some(Ok(_)) = self.0.next().await {}
    }

    /// Closes as RFC 6455 section 7 asks, and waits for the other half.
    pub(crate) async fn close(mut self) {
        if self.0.close(None).await.is_ok() {
            let _gone = timeout(CLIENT_TIMEOUT, self.read_until_closed()).await;
        }
    }

    async fn challenge(&mut self) -> Result<[u8; 32]> {
        let nonce = self.receive_until(|message| match message {
            ServerMessage::Challenge { nonce } => Some(nonce),
            _ => None,
        });
        nonce.await?.array().context("a challenge is 32 bytes")
    }
}

/// Takes the relay's leg from a message.
pub(crate) fn ice(message: ServerMessage) -> Option<LegIce> {
    match message {
        ServerMessage::Ice(ice) => Some(ice),
        _ => None,
    }
}

fn welcome(message: ServerMessage) -> Option<()> {
    matches!(message, ServerMessage::Welcome { .. }).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_loopback_and_shared_by_few() {
        let far = (0..10_000_000).step_by(9_973).map(source_address);

        assert!(far.into_iter().all(|source| source.is_loopback()));
        assert_eq!(
            source_address(0),
            source_address(CONNECTIONS_PER_ADDRESS - 1)
        );
        assert_ne!(source_address(0), source_address(CONNECTIONS_PER_ADDRESS));
    }
}
