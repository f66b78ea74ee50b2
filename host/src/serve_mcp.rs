//! `authloop-host mcp`: the MCP server.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use authloop_mcp::{AgentApi, CallDefaults, HandoffTools};
use secrecy::SecretString;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Options of `mcp`.
#[derive(Debug, clap::Args)]
pub(crate) struct McpArgs {
    /// The agent API: where `authloop-host serve` listens.
    #[arg(
        long,
        env = "AUTHLOOP_HOST_URL",
        default_value = "http://127.0.0.1:7300"
    )]
    api: String,
    /// A file holding a key of the agent API; or AUTHLOOP_HOST_KEY holds the key itself.
    #[arg(long, env = "AUTHLOOP_HOST_KEY_FILE")]
    key_file: Option<PathBuf>,
    // Hidden, because every user of a machine sees its command lines; the environment is the way.
    #[arg(long, env = "AUTHLOOP_HOST_KEY", hide = true, hide_env_values = true)]
    key: Option<SecretString>,
    /// Serve Streamable HTTP at http://ADDRESS/mcp instead of standard input and output.
    #[arg(long, value_name = "ADDRESS", env = "AUTHLOOP_HOST_MCP_HTTP")]
    http: Option<SocketAddr>,
    /// A file holding the bearer token that HTTP clients must present; needed for anything but loopback.
    #[arg(long, env = "AUTHLOOP_HOST_MCP_TOKEN_FILE", requires = "http")]
    http_token_file: Option<PathBuf>,
    /// The browser's CDP address, for calls that give none.
    #[arg(long, env = "AUTHLOOP_HOST_CDP")]
    cdp: Option<String>,
    /// Who asks; shown to the user.
    #[arg(long, env = "AUTHLOOP_HOST_REQUESTER", default_value = "An AI agent")]
    requester: String,
    /// How long a link lives, in seconds; the agent API's own time if not given.
    #[arg(long, env = "AUTHLOOP_HOST_TTL", value_parser = clap::value_parser!(u64).range(10..=86_400))]
    ttl: Option<u64>,
    /// How long a call waits for the user before it answers "waiting", in seconds. Many clients give a call up
    /// after 60 s.
    #[arg(long, env = "AUTHLOOP_HOST_MCP_WAIT", default_value_t = 45, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait: u64,
    /// With --http, print one JSON object per line instead of text.
    #[arg(long, requires = "http")]
    json: bool,
}

impl McpArgs {
    fn tools(&self) -> anyhow::Result<HandoffTools> {
        let key = match (&self.key_file, &self.key) {
            (Some(path), _) => Some(secret(path)?),
            (None, key) => key.clone(),
        };
        let api = AgentApi::new(&self.api, key)?;
        Ok(HandoffTools::new(
            api,
            CallDefaults {
                cdp_url: self.cdp.clone(),
                requester: self.requester.clone(),
                ttl: self.ttl,
                patience: Duration::from_secs(self.wait),
            },
        ))
    }

    fn token(&self) -> anyhow::Result<Option<SecretString>> {
        let token = self.http_token_file.as_deref().map(secret).transpose()?;
        if let Some(address) = self.http
            && !address.ip().is_loopback()
            && token.is_none()
        {
            bail!("--http {address}: anything but loopback needs --http-token-file");
        }
        Ok(token)
    }
}

/// Serves until the client goes, or `stop`. 0 after that, 2 on bad usage, 1 on failure.
pub(crate) async fn run(args: &McpArgs, stop: CancellationToken) -> ExitCode {
    let checked = args.tools().and_then(|tools| Ok((tools, args.token()?)));
    let (tools, token) = match checked {
        Ok(checked) => checked,
        Err(error) => {
            eprintln!("authloop-host: {error:#}");
            return ExitCode::from(crate::EXIT_USAGE);
        }
    };
    match serve(args, tools, token, stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("authloop-host: {error:#}");
            ExitCode::from(crate::EXIT_FAILED)
        }
    }
}

async fn serve(
    args: &McpArgs,
    tools: HandoffTools,
    token: Option<SecretString>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Some(address) = args.http else {
        return Ok(authloop_mcp::serve_stdio(tools, stop).await?);
    };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen at {address}"))?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    if args.json {
        println!("{}", json!({ "event": "listening", "url": url }));
    } else {
        println!("The MCP server is at {url}");
    }
    authloop_mcp::serve_http(tools, listener, token, stop).await;
    Ok(())
}

fn secret(path: &Path) -> anyhow::Result<SecretString> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} is unreadable", path.display()))?;
    if text.trim().is_empty() {
        bail!("{} is empty", path.display());
    }
    Ok(text.trim().into())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(given: &[&str]) -> McpArgs {
        match Cli::parse_from(["authloop-host", "mcp"].iter().chain(given)).command {
            Command::Mcp(args) => args,
            other => panic!("not mcp: {other:?}"),
        }
    }

    #[test]
    fn the_network_needs_a_token() {
        assert!(args(&["--http", "127.0.0.1:7301"]).token().is_ok());
        let error = args(&["--http", "0.0.0.0:7301"]).token().unwrap_err();
        assert!(error.to_string().contains("--http-token-file"), "{error}");
    }

    #[test]
    fn a_call_answers_before_clients_give_up() {
        assert!(args(&[]).wait < 50);
    }

    #[test]
    fn a_key_is_never_shown() {
        let args = args(&["--key", "canary"]);
        assert!(!format!("{args:?}").contains("canary"));
    }
}
