//! The command line as it was typed. `config.rs` validates the options of `serve`.

use std::{num::NonZeroU32, path::PathBuf};

use authloop_signaling::Scope;
use clap::{Args, Parser, Subcommand};

use crate::{
    audit::chain::LineHash, config::ServeArgs, relay_only::RelayOnlyArgs,
    verify_page::VerifyPageArgs,
};

/// The authloop server: signaling, the viewer page and the blind relay.
#[derive(Debug, Parser)]
#[command(name = "authloop", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM or SIGINT.
    Serve(ServeArgs),
    /// Say whether `serve` would work with the same options, and what to do if not.
    Check(ServeArgs),
    /// Make API keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Check audit logs.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Say whether a server serves the page that was published, byte for byte.
    Verify(VerifyPageArgs),
    /// List the files of this program's own page with their SHA-256, as `sha256sum` does.
    Page,
    /// Only the relay, on a free loopback port, told by lines on standard input what to open; for
    /// benchmarks.
    #[command(hide = true)]
    RelayOnly(RelayOnlyArgs),
}

/// Commands for audit logs.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Say whether a log is as it was written, or which line is the first that is not.
    Verify(VerifyAuditArgs),
}

/// Flags of `audit verify`.
#[derive(Debug, Args)]
pub struct VerifyAuditArgs {
    /// The segments of one log, in any order.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A head that was noted before, as `audit verify` and `GET /audit/head` give it: the log must
    /// hold that line still.
    #[arg(long, value_name = "HASH", value_parser = head)]
    pub head: Option<LineHash>,
}

fn head(text: &str) -> Result<LineHash, &'static str> {
    LineHash::parse(text).ok_or("a head is 64 lower-case hexadecimal digits")
}

/// Commands for API keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Print a fresh key, and on a second line its hash as the keys file takes it. The key is shown
    /// this once and kept nowhere.
    New(NewKeyArgs),
}

/// Flags of `keys new`.
#[derive(Debug, Args)]
pub struct NewKeyArgs {
    /// Who gets it: at most 64 letters, digits, or any of `._-`. Two keys of one name may hold at
    /// once.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// What it may do: sessions:create, sessions:end, metrics:read, audit:read; may be repeated
    /// [default: sessions:create].
    #[arg(long, value_name = "SCOPE")]
    pub scope: Vec<Scope>,
    /// When it ends, as in 2027-01-31T00:00:00Z (RFC 3339) [default: never].
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
    /// Requests a minute with the keys of this name [default: 3000].
    #[arg(long, value_name = "N")]
    pub rate: Option<NonZeroU32>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_raw_options() {
        let cli = Cli::try_parse_from([
            "authloop",
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--relay-advertise",
            "10.0.0.1,10.0.0.2",
            "--open-registration",
            "--json",
        ])
        .unwrap();
        let Command::Serve(args) = cli.command else {
            panic!("not serve");
        };
        assert!(args.json);
        assert_eq!(args.options.listen.as_deref(), Some("127.0.0.1:0"));
        assert_eq!(
            args.options.relay_advertise.unwrap(),
            ["10.0.0.1", "10.0.0.2"]
        );
        assert_eq!(args.options.open_registration.as_deref(), Some("true"));
    }

    #[test]
    fn streams_are_turned_off_in_one_way_at_a_time() {
        let parse = |flags: &[&str]| Cli::try_parse_from([&["authloop", "serve"], flags].concat());
        let Command::Serve(args) = parse(&["--no-streams"]).unwrap().command else {
            panic!("not serve");
        };
        assert!(args.no_streams);
        assert!(parse(&["--no-streams", "--streams", "true"]).is_err());
    }
}
