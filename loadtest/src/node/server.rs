//! The real server, `authloop serve`, with options that its operator could give.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use serde::Deserialize;
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use super::client::ServerClient;
use crate::{
    net::loopback_only,
    proc::{self, ProcessUsage},
};

/// Requests a minute with the one API key: the load is bounded elsewhere.
const API_KEY_REQUESTS_PER_MINUTE: &str = "10000000";
/// Connections beyond the planned ones, so that the descriptors' limit is met before this one.
const SPARE_CONNECTIONS: u64 = 4096;

/// What to allow.
#[derive(Debug, Clone)]
pub(crate) struct ServerLimits {
    /// Sessions that may be open at once.
    pub sessions: u64,
    /// Connections, and WebSockets among them.
    pub connections: u64,
    /// How long an ended session is remembered.
    pub remember_ended: Duration,
    /// Whether HTTP is in TLS.
    pub tls: bool,
}

/// A running server; it ends with this.
pub(crate) struct ServerProcess {
    child: Child,
    client: ServerClient,
    _folder: TempDir,
}

#[derive(Deserialize)]
struct Ready {
    listen: SocketAddr,
}

impl ServerProcess {
    /// Starts one on free loopback ports.
    ///
    /// # Errors
    /// When the binary is none, or does not start.
    pub(crate) fn start(binary: &Path, limits: &ServerLimits) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (key, line) = new_key(binary)?;
        let keys = write(&folder, "keys", &line)?;
        let connections = (limits.connections + SPARE_CONNECTIONS).to_string();
        let mut command = Command::new(binary);
        command
            .args(["serve", "--json", "--log", "warn"])
            .args(["--listen", "127.0.0.1:0", "--relay-listen", "127.0.0.1:0"])
            .arg("--api-keys-file")
            .arg(&keys)
            .args(["--max-sessions", &limits.sessions.to_string()])
            .args(["--max-connections", &connections])
            .args(["--max-sockets", &connections])
            .arg("--remember-ended")
            .arg(limits.remember_ended.as_secs().to_string());
        let mut tls = None;
        if limits.tls {
            let (connector, cert, private) = certificate(&folder)?;
            command.args(["--tls", "files", "--tls-cert"]).arg(cert);
            command.arg("--tls-key").arg(private);
            tls = Some(connector);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        // An end of the server would have closed its output; it has said why on its standard error.
        let ready: Ready = serde_json::from_str(&line).context("the server did not start")?;
        let client = ServerClient {
            addr: loopback_only(ready.listen)?,
            tls,
            key,
        };
        Ok(Self {
            child,
            client,
            _folder: folder,
        })
    }

    /// The way in.
    pub(crate) fn client(&self) -> &ServerClient {
        &self.client
    }

    /// What the process holds and has spent.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn usage(&self) -> Result<ProcessUsage> {
        proc::usage(self.child.id()).context("the server has ended")
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A key, and its line for the keys file.
fn new_key(binary: &Path) -> Result<(String, String)> {
    let output = Command::new(binary)
        .args([
            "keys",
            "new",
            "--name",
            "loadtest",
            "--rate",
            API_KEY_REQUESTS_PER_MINUTE,
        ])
        .args(["--scope", "sessions:create", "--scope", "sessions:end"])
        .output()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    ensure!(output.status.success(), "`authloop keys new` failed");
    let text = String::from_utf8(output.stdout)?;
    let (key, line) = text.split_once('\n').context("no key and line")?;
    Ok((key.to_owned(), line.to_owned()))
}

/// A certificate for loopback in files, and a client that trusts nothing else.
fn certificate(folder: &TempDir) -> Result<(TlsConnector, PathBuf, PathBuf)> {
    let key = KeyPair::generate()?;
    let cert = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(cert.der().to_vec()))?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((
        TlsConnector::from(Arc::new(config)),
        write(folder, "cert.pem", &cert.pem())?,
        write(folder, "key.pem", &key.serialize_pem())?,
    ))
}

fn write(folder: &TempDir, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.path().join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

/// The server's binary: the one given, or the one beside this binary, as cargo builds both.
///
/// # Errors
/// When it is not there.
pub(crate) fn binary(given: Option<&Path>) -> Result<PathBuf> {
    let binary = match given {
        Some(given) => given.to_owned(),
        None => std::env::current_exe()?.with_file_name("authloop"),
    };
    ensure!(
        binary.is_file(),
        "there is no {}: build it with `cargo build --release --bin authloop`, or say where it is \
         with `--authloop`",
        binary.display()
    );
    Ok(binary)
}
