//! The command line of `authloop-host`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use authloop_host::gate::{HandoffGate, RemoteGate};
use authloop_host::{
    handoff::{HandoffConfig, Verify},
    signal::Server,
};
use clap::{Parser, Subcommand};
use secrecy::SecretString;
use url::Url;

use crate::launch::LaunchArgs;
use crate::serve::ServeArgs;
use crate::serve_mcp::McpArgs;

/// Hands a browser that an agent drives to its user, and back.
#[derive(Debug, Parser)]
#[command(name = "authloop-host", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Hand one browser over and wait until its user is done.
    ///
    /// Exits 0 when the user signed in and pressed Done, 3 when the user declined, 4 when the time
    /// ran out, 5 when interrupted, 1 on failure, 2 on bad usage.
    Handoff(HandoffArgs),
    /// Serve the agent API (docs/AGENT_API.md) until interrupted.
    Serve(ServeArgs),
    /// Start a browser that agents reach through the gate only (docs/GATE.md).
    Launch(LaunchArgs),
    /// Serve MCP tools that ask for a sign-in by the agent API (docs/MCP.md).
    Mcp(McpArgs),
}

/// Which authloop server, and how users reach it.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// The authloop server.
    #[arg(long, env = "AUTHLOOP_HOST_SERVER")]
    server: String,
    /// The server's origin as the user's device reaches it; the server's own if not given.
    #[arg(long, env = "AUTHLOOP_HOST_PUBLIC_ORIGIN")]
    public_origin: Option<String>,
    /// Where the viewer page is served, if not at the public origin.
    #[arg(long, env = "AUTHLOOP_HOST_VIEWER_ORIGIN")]
    viewer_origin: Option<String>,
    /// A file holding the server's API key.
    #[arg(long, env = "AUTHLOOP_HOST_API_KEY_FILE")]
    api_key_file: Option<PathBuf>,
    /// A PEM file of certificates to trust besides the system's, for a self-signed server.
    #[arg(long, env = "AUTHLOOP_HOST_SERVER_CA")]
    server_ca: Option<PathBuf>,
}

impl ServerArgs {
    /// The server; nothing has been connected yet.
    ///
    /// # Errors
    /// One sentence on what is wrong.
    pub fn server(&self) -> anyhow::Result<Server> {
        let api_key = match &self.api_key_file {
            Some(path) => Some(SecretString::from(
                std::fs::read_to_string(path)
                    .with_context(|| format!("the API key file {} is unreadable", path.display()))?
                    .trim(),
            )),
            None => None,
        };
        let ca = match &self.server_ca {
            Some(path) => Some(
                std::fs::read(path)
                    .with_context(|| format!("the CA file {} is unreadable", path.display()))?,
            ),
            None => None,
        };
        Ok(Server::new(&self.server, api_key, ca.as_deref())?)
    }

    /// The public origin and the viewer's.
    ///
    /// # Errors
    /// One sentence on what is wrong.
    pub fn origins(&self, server: &Server) -> anyhow::Result<(String, String)> {
        let public = match &self.public_origin {
            Some(text) => origin(text, "--public-origin")?,
            None => server.origin(),
        };
        let viewer = match &self.viewer_origin {
            Some(text) => origin(text, "--viewer-origin")?,
            None => public.clone(),
        };
        Ok((public, viewer))
    }
}

/// Options of `handoff`.
#[derive(Debug, clap::Args)]
pub struct HandoffArgs {
    /// The browser's CDP address: http://host:port, or ws://host:port/devtools/….
    #[arg(long, env = "AUTHLOOP_HOST_CDP")]
    cdp: String,
    /// The file that `launch --control-file` wrote, if --cdp is a gate's address: agents are shut out
    /// from the claim to the end.
    #[arg(long, env = "AUTHLOOP_HOST_GATE_CONTROL_FILE")]
    gate_control_file: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    /// Who asks; shown to the user.
    #[arg(long, default_value = "An AI agent")]
    requester: String,
    /// Why; shown to the user.
    #[arg(long, default_value = "Please sign in, so that the agent can go on.")]
    reason: String,
    /// An origin where the user is expected to sign in; may be given several times.
    #[arg(long = "expect-origin")]
    expect_origin: Vec<String>,
    /// How long the link lives, in seconds (10 to 86400).
    #[arg(long, default_value_t = 900)]
    ttl: u64,
    /// Print one JSON object per line instead of text.
    #[arg(long)]
    pub json: bool,
    /// Write the browser's storage state here at the end, in Playwright's format.
    #[arg(long)]
    pub storage_state: Option<PathBuf>,
}

impl HandoffArgs {
    /// The validated configuration.
    ///
    /// # Errors
    /// One sentence on what is wrong; nothing has been connected yet.
    pub fn config(&self) -> anyhow::Result<HandoffConfig> {
        let server = self.server.server()?;
        let (public_origin, viewer_origin) = self.server.origins(&server)?;
        let expected_origins = self
            .expect_origin
            .iter()
            .map(|text| origin(text, "--expect-origin"))
            .collect::<anyhow::Result<_>>()?;
        let gate = match &self.gate_control_file {
            Some(path) => {
                let token = std::fs::read_to_string(path).with_context(|| {
                    format!("the gate's control file {} is unreadable", path.display())
                })?;
                let token = SecretString::from(token.trim());
                Some(HandoffGate::Remote(RemoteGate::new(&self.cdp, token)))
            }
            None => None,
        };
        Ok(HandoffConfig {
            cdp: self.cdp.clone(),
            gate,
            server,
            public_origin,
            viewer_origin,
            requester: self.requester.clone(),
            reason: self.reason.clone(),
            expected_origins,
            ttl: Duration::from_secs(self.ttl),
            storage_state: self.storage_state.is_some(),
            storage_origins: None,
            verify: Verify::default(),
        })
    }
}

/// Takes a web address down to its origin, so that a trailing slash is no error.
fn origin(text: &str, flag: &str) -> anyhow::Result<String> {
    let url = Url::parse(text).with_context(|| format!("{flag}: {text:?} is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        bail!("{flag}: {text:?} is not an http:// or https:// origin");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        bail!("{flag}: {text:?} has a path; an origin is scheme, host and port only");
    }
    Ok(url.origin().ascii_serialization())
}
