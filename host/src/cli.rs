//! The command line of `authloop-host`.

use std::{path::PathBuf, time::Duration};

use anyhow::bail;
use authloop_done_when::DoneWhen;
use authloop_gate::{HandoffGate, RemoteGate};
use authloop_handoff::{HandoffConfig, PrivateRoomConfig, RoomConfig, Verify};
use authloop_host_metrics::Metrics;
use authloop_rooms::{RoomPool, RoomSettings};
use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    launch::LaunchArgs,
    room_args::Start,
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
    Serve(Box<ServeArgs>),
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
    /// Where the user signs in: in the agent's browser, or in one that it cannot see.
    #[arg(long, value_enum, env = "AUTHLOOP_HOST_ROOM", default_value_t = Room::InPlace)]
    room: Room,
    /// How a private room begins.
    #[arg(long, value_enum, default_value_t = Start::Fresh)]
    room_start: Start,
    /// A site whose session the agent gets of a private room; may be given several times. Those of
    /// --expect-origin if not given, else that of the page.
    #[arg(long = "grant")]
    grants: Vec<String>,
    /// Start a private room's Chromium without its sandbox: for containers that are one, and let it make none.
    #[arg(long, env = "AUTHLOOP_HOST_NO_SANDBOX")]
    no_sandbox: bool,
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
    /// Where the user signs in. Must be called inside a tokio runtime.
    fn room(&self) -> anyhow::Result<RoomConfig> {
        if self.room == Room::InPlace {
            if !self.grants.is_empty() {
                bail!("--grant is for --room private: in place the agent gets all of its browser");
            }
            return Ok(RoomConfig::InPlace);
        }
        let pool = RoomPool::start(RoomSettings {
            sandbox: !self.no_sandbox,
            warm: 1,
            max: 1,
            ..RoomSettings::default()
        })?;
        Ok(RoomConfig::Private(PrivateRoomConfig {
            pool,
            start: self.room_start.into(),
            url: None,
            grants: self.grants.clone(),
            keep_query: false,
            in_place_allowed: true,
        }))
    }

    /// The validated configuration. Must be called inside a tokio runtime.
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
            room: self.room()?,
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

/// In which browser the user signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Room {
    /// In the agent's own.
    InPlace,
    /// In one that the agent cannot see.
    Private,
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
