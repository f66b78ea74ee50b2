//! The `authloop` server binary.

use std::process::ExitCode;

use authloop::{
    audit, check,
    cli::{AuditCommand, Cli, Command, KeysCommand, VerifyAuditArgs},
    config::{Config, ServeArgs},
    finding::{Finding, FindingStatus},
    new_api_key, relay_only, serve,
    verify_page::{self, VerifyPageArgs},
};
use authloop_signaling::page::Manifest;
use clap::Parser as _;

/// Exit code for input that cannot be used, as with the command line's own errors.
const EXIT_UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let (args, only_check) = match Cli::parse().command {
        Command::Serve(args) => (args, false),
        Command::Check(args) => (args, true),
        Command::Audit(AuditCommand::Verify(args)) => return verify_audit_log(&args),
        Command::Keys(KeysCommand::New(args)) => return outcome(new_api_key::print(&args)),
        Command::Verify(args) => return verify_page(&args),
        Command::RelayOnly(args) => return outcome(relay_only::run(&args)),
        Command::Page => {
            print!("{}", Manifest::embedded());
            return ExitCode::SUCCESS;
        }
    };
    let config = match load(&args) {
        Ok(config) => config,
        Err(sentence) => {
            eprintln!("authloop: {sentence}");
            return ExitCode::from(EXIT_UNUSABLE);
        }
    };
    if only_check {
        return print_findings(&check::check(&config));
    }
    outcome(run(config))
}

fn outcome(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("authloop: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn verify_audit_log(args: &VerifyAuditArgs) -> ExitCode {
    match audit::print_verdict(&args.files, args.head) {
        Ok(false) => ExitCode::FAILURE,
        verdict => outcome(verdict.map(drop)),
    }
}

/// Exit codes: 0 for the published page, 1 for another, 2 when there was no page to judge.
fn verify_page(args: &VerifyPageArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let findings = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(verify_page::verify_page(args)));
    match findings {
        Ok(findings) => print_findings(&findings),
        Err(error) => {
            eprintln!("authloop: {error:#}");
            ExitCode::from(EXIT_UNUSABLE)
        }
    }
}

fn print_findings(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        println!("{finding}");
    }
    if findings
        .iter()
        .any(|finding| finding.status == FindingStatus::Bad)
    {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn load(args: &ServeArgs) -> Result<Config, String> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::load(args, environment).map_err(|error| error.to_string())
}

fn run(config: Config) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve::serve(config))
}
