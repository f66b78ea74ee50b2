//! A server inside the test, with short timeouts, and clients that see its TLS.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use authloop::{
    config::{Config, RawConfig, ServeArgs},
    server::{self, Ready},
};
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Past this a test has failed; nothing waits for it to pass.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A server that ends with the test.
pub(crate) struct Server {
    pub(crate) ready: Ready,
    pub(crate) hangup: Arc<Notify>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<anyhow::Result<()>>,
}

pub(crate) fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

/// The configuration on free ports.
pub(crate) fn config(options: RawConfig) -> Config {
    let free = || text("127.0.0.1:0");
    let args = ServeArgs {
        options: RawConfig {
            listen: options.listen.clone().or_else(free),
            relay_listen: free(),
            // The tests' clients ask for this one, whatever the public origin.
            allowed_hosts: options
                .allowed_hosts
                .clone()
                .or_else(|| Some(vec!["relay.example".to_owned()])),
            ..options
        },
        ..ServeArgs::default()
    };
    Config::load(&args, []).unwrap()
}

impl Server {
    pub(crate) async fn start(config: Config) -> Self {
        let hangup = Arc::new(Notify::new());
        let server = timeout(TEST_TIMEOUT, server::Server::bind(config, hangup.clone()));
        let mut server = match server.await.expect("never ready") {
            Ok(server) => server,
            Err(error) => panic!("{error:#}"),
        };
        let ready = server.ready().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stop = async {
                let _ = stopped.await;
            };
            server.run(stop).await?;
            server.shut_down().await
        });
        Self {
            ready,
            hangup,
            stop: Some(stop),
            task,
        }
    }

    pub(crate) async fn end(mut self) {
        drop(self.stop.take());
        timeout(TEST_TIMEOUT, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.ready.listen).await.unwrap()
    }

    /// A metric's value; `name` with its labels.
    pub(crate) async fn metric(&self, roots: &RootCertStore, name: &str) -> Option<i64> {
        let answer = get(tls(self, roots, &[]).await.unwrap(), "/metrics").await;
        let value = answer.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().parse().ok()
    }
}

/// A self-signed certificate for `relay.example`, and its key, in PEM.
pub(crate) struct TestCertificate {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl TestCertificate {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["relay.example".to_owned()]).unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

/// A folder with `cert.pem` and `key.pem`.
pub(crate) struct CertificateFolder(TempDir);

impl CertificateFolder {
    pub(crate) fn holding(made: &TestCertificate) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write(&made.certificate, &made.key);
        files
    }

    pub(crate) fn write(&self, certificate: &str, key: &str) {
        std::fs::write(self.path("cert.pem"), certificate).unwrap();
        std::fs::write(self.path("key.pem"), key).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A configuration with these files.
    pub(crate) fn config(&self) -> Config {
        let path = |name| text(self.path(name).to_str().unwrap());
        config(RawConfig {
            public_origin: text("https://relay.example"),
            tls_cert: path("cert.pem"),
            tls_key: path("key.pem"),
            ..RawConfig::default()
        })
    }
}

/// Trust in certificates given in PEM.
pub(crate) fn roots(pems: &[&str]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for pem in pems {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        roots.add(der).unwrap();
    }
    roots
}

/// A TLS connection to `relay.example` that offers these protocols.
pub(crate) async fn tls(
    server: &Server,
    roots: &RootCertStore,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    tls_to(server.ready.listen, roots, alpn).await
}

pub(crate) async fn tls_to(
    at: SocketAddr,
    roots: &RootCertStore,
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    client.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("relay.example").unwrap();
    let tcp = TcpStream::connect(at).await?;
    let connect = TlsConnector::from(Arc::new(client)).connect(name, tcp);
    timeout(TEST_TIMEOUT, connect).await.expect("no handshake")
}

/// The certificate that the server showed.
pub(crate) fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].clone().into_owned()
}

/// One request on a connection that ends with it; the whole answer.
pub(crate) async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: relay.example\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(stream).await
}

/// All that comes until the server ends the connection, however it does.
pub(crate) async fn rest(mut stream: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    // Whoever is cut may see a reset, or TLS without a farewell.
    let _ = timeout(TEST_TIMEOUT, stream.read_to_end(&mut bytes))
        .await
        .expect("the connection stays");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Asks again and again until the answer is there.
pub(crate) async fn wait_for<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TEST_TIMEOUT, asking).await.expect("it never came")
}
