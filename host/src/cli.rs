//! The command line of `authloop-host`.

use std::{path::PathBuf, time::Duration};

use authloop_done_when::DoneWhen;
use authloop_gate::{HandoffGate, RemoteGate};
use authloop_handoff::{HandoffConfig, Verify};
use authloop_host_metrics::Metrics;
use clap::{Parser, Subcommand};

use crate::{
    launch::LaunchArgs,
    serve::ServeArgs,
    serve_mcp::McpArgs,
    server_args::{ServerArgs, origin},
};

/// Hands a browser that an agent drives to its user, and back.
#[derive(Debug, Parser)]
#[command(name = "authloop-host", version)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hand one browser over and wait until its user is done.
    ///
    /// Exits 0 when the user signed in and pressed Done, 3 when the user declined, 4 when the time
    /// ran out, 5 when interrupted, 6 when the user is done but --done-when does not hold or could not
    /// be checked, 1 on failure, 2 on bad usage.
    Handoff(HandoffArgs),
    /// Serve the agent API (docs/AGENT_API.md) until interrupted.
    Serve(ServeArgs),
    /// Start a browser that agents reach through the gate only (docs/GATE.md).
    Launch(LaunchArgs),
    /// Serve MCP tools that ask for a sign-in by the agent API (docs/MCP.md).
    Mcp(McpArgs),
}

/// Options of `handoff`.
#[derive(Debug, clap::Args)]
pub(crate) struct HandoffArgs {
    /// The browser's CDP address: http://host:port, or ws://host:port/devtools/….
    #[arg(
        long,
        env = "AUTHLOOP_HOST_CDP",
        required_unless_present = "gate_control_socket",
        default_value = "",
        hide_default_value = true
    )]
    cdp: String,
    /// Where `launch --control-socket` listens, instead of --cdp: agents are shut out of its browser
    /// from the claim to the end.
    #[arg(long, env = "AUTHLOOP_HOST_GATE_CONTROL_SOCKET")]
    gate_control_socket: Option<PathBuf>,
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
    /// What the browser must show for the user to be signed in, as the agent API's `done_when`:
    /// `{"any":[{"url":"https://bank.example/account*"}]}`.
    #[arg(long, value_parser = done_when)]
    done_when: Option<DoneWhen>,
    /// End as soon as --done-when holds, without waiting for Done.
    #[arg(long, requires = "done_when")]
    auto_finish: bool,
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
    pub(crate) fn config(&self) -> anyhow::Result<HandoffConfig> {
        let server = self.server.server()?;
        let (public_origin, viewer_origin) = self.server.origins(&server)?;
        let expected_origins = self
            .expect_origin
            .iter()
            .map(|text| origin(text, "--expect-origin"))
            .collect::<anyhow::Result<_>>()?;
        let gate = self.gate_control_socket.as_ref();
        let gate = gate.map(|path| HandoffGate::Remote(RemoteGate::new(path)));
        Ok(HandoffConfig {
            cdp: self.cdp.clone(),
            gate,
            server,
            public_origin,
            viewer_origin,
            requester: self.requester.clone(),
            reason: self.reason.clone(),
            wall_type: None,
            expected_origins,
            ttl: Duration::from_secs(self.ttl),
            storage_state: self.storage_state.is_some(),
            storage_origins: None,
            verify: Verify {
                done_when: self.done_when.clone(),
                auto_finish: self.auto_finish,
                ..Verify::default()
            },
            metrics: Metrics::default(),
        })
    }
}

/// The agent API's grammar and bounds.
fn done_when(text: &str) -> Result<DoneWhen, String> {
    let done_when: DoneWhen = serde_json::from_str(text).map_err(|error| error.to_string())?;
    done_when.check().map_err(|error| error.to_string())?;
    Ok(done_when)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> Result<HandoffConfig, String> {
        let given = ["authloop-host", "handoff", "--server", "http://127.0.0.1:1"];
        let cli = Cli::try_parse_from(given.iter().chain(args)).map_err(|e| e.to_string())?;
        match cli.command {
            Command::Handoff(args) => args.config().map_err(|e| e.to_string()),
            _ => Err("another command".to_owned()),
        }
    }

    #[test]
    fn a_browser_or_a_gate_is_needed() {
        assert!(
            config(&["--cdp", "http://127.0.0.1:9222"])
                .unwrap()
                .gate
                .is_none()
        );
        assert!(
            config(&["--gate-control-socket", "/run/c"])
                .unwrap()
                .gate
                .is_some()
        );
        assert!(config(&[]).err().unwrap().contains("--cdp"));
    }

    #[test]
    fn conditions_are_the_agent_apis() {
        let with = |text: &str, more: &[&str]| {
            let args = ["--cdp", "http://127.0.0.1:9222", "--done-when", text];
            config(&[args.as_slice(), more].concat())
        };
        let good = with(
            r#"{"any":[{"url":"https://a.example/**"}]}"#,
            &["--auto-finish"],
        )
        .unwrap();
        assert!(good.verify.auto_finish);
        assert_eq!(good.verify.done_when.unwrap().conditions().len(), 1);
        for (bad, why) in [
            ("{", "EOF"),
            (r#"{"some":[]}"#, "unknown variant"),
            (r#"{"any":[]}"#, "from 1 to 16 conditions"),
            (
                r##"{"any":[{"network":{"url":"**","status":9}}]}"##,
                "100 to 599",
            ),
        ] {
            let error = with(bad, &[]).err().unwrap();
            assert!(
                error.contains(why) && error.contains("--done-when"),
                "{bad}: {error}"
            );
        }
        assert!(config(&["--cdp", "http://h", "--auto-finish"]).is_err());
    }
}
