//! `authloop-host`: beside the browser.

#![forbid(unsafe_code)]

mod cli;
mod environment;
mod launch;
mod logging;
mod print;
mod room_args;
mod runner;
mod serve;
mod serve_mcp;
mod server_args;

use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, process::ExitCode};

use anyhow::Context as _;
use authloop_handoff::{HandoffEnd, HandoffError};
use authloop_protocol::output::Verdict;
use authloop_rooms::Bundle;
use clap::Parser as _;
use secrecy::ExposeSecret as _;
use tokio_util::sync::CancellationToken;

use cli::{Cli, Command, HandoffArgs};
use print::Printer;

const EXIT_FAILED: u8 = 1;
const EXIT_USAGE: u8 = 2;
const EXIT_DECLINED: u8 = 3;
const EXIT_EXPIRED: u8 = 4;
const EXIT_CANCELLED: u8 = 5;
const EXIT_UNVERIFIED: u8 = 6;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start();
    match cli.command {
        Command::Handoff(args) => run_handoff(&args).await,
        Command::Serve(args) => {
            let stop = CancellationToken::new();
            cancel_on_signal(stop.clone());
            serve::run(&args, environment::check(), stop).await
        }
        Command::Launch(args) => {
            let stop = CancellationToken::new();
            cancel_on_signal(stop.clone());
            launch::run(&args, stop).await
        }
        Command::Mcp(args) => {
            let stop = CancellationToken::new();
            cancel_on_signal(stop.clone());
            serve_mcp::run(&args, stop).await
        }
    }
}

async fn run_handoff(args: &HandoffArgs) -> ExitCode {
    let mut printer = Printer::new(args.json);
    let config = match args.config() {
        Ok(config) => config,
        Err(error) => {
            printer.failed(&format!("{error:#}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let checks = config.verify.done_when.is_some();
    let cancel = CancellationToken::new();
    cancel_on_signal(cancel.clone());
    let end = authloop_handoff::run(config, cancel, |event| printer.event(&event)).await;
    match end {
        Ok(HandoffEnd::Resolved {
            cookies,
            storage_state,
            conclusion,
        }) => {
            if let (Some(path), Some(state)) = (&args.storage_state, &storage_state)
                && let Err(error) = write_state(path, state)
            {
                printer.failed(&format!("{error:#}"));
                return ExitCode::from(EXIT_FAILED);
            }
            let checked = checks.then(|| conclusion.verdict());
            printer.resolved(cookies, checked);
            match checked {
                None | Some((Verdict::SignedIn, _)) => ExitCode::SUCCESS,
                Some(_) => ExitCode::from(EXIT_UNVERIFIED),
            }
        }
        Ok(HandoffEnd::NotMoved { conclusion }) => {
            printer.not_moved(conclusion.verdict());
            ExitCode::from(EXIT_UNVERIFIED)
        }
        Ok(HandoffEnd::Declined(reason)) => {
            printer.declined(reason);
            ExitCode::from(EXIT_DECLINED)
        }
        Ok(HandoffEnd::Expired) => {
            printer.expired();
            ExitCode::from(EXIT_EXPIRED)
        }
        Ok(HandoffEnd::Cancelled) => {
            printer.cancelled();
            ExitCode::from(EXIT_CANCELLED)
        }
        Err(error) => {
            printer.failed(&error.to_string());
            let usage = matches!(
                error,
                HandoffError::Ttl(_)
                    | HandoffError::Origin(_)
                    | HandoffError::Grant(_)
                    | HandoffError::Start(_)
            );
            ExitCode::from(if usage { EXIT_USAGE } else { EXIT_FAILED })
        }
    }
}

/// Writes the state for its owner's eyes only.
fn write_state(path: &Path, state: &Bundle) -> anyhow::Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(state.to_json().expose_secret().as_bytes())
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Cancels `cancel` at SIGTERM or SIGINT. They are caught from now on: before anyone is told that the
/// program is there, or an early signal kills it with its browser left behind.
fn cancel_on_signal(cancel: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let caught = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let (Ok(mut terminate), Ok(mut interrupt)) = caught else {
        return;
    };
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
}
