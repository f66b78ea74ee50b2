//! The whole of authloop on one machine: server, sign-in site, headless Chromium and one handoff.
//!
//! Ends with the host's exit code, and takes everything it started with it.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::ExitCode,
};

use authloop_demo::demo::{DemoOptions, run};
use clap::Parser;

/// Starts a browser that stands before a sign-in page, and hands it to you by a link.
#[derive(Parser)]
#[command(name = "demo", version, about, max_term_width = 100)]
struct Flags {
    /// Print one JSON object a line instead of the link and its QR code.
    #[arg(long)]
    json: bool,
    /// Let a phone in the same network open the link (TLS with a certificate made for this run).
    #[arg(long)]
    lan: bool,
    /// How long the link works, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    ttl: u64,
    /// Write the signed-in browser's storage state (Playwright's format) to this file.
    #[arg(long, value_name = "FILE")]
    storage_state: Option<std::path::PathBuf>,
}

// One thread: the children ask to die with the *thread* that started them (prctl(2)).
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let options = DemoOptions {
        json: flags.json,
        lan: flags.lan,
        ttl: flags.ttl,
        storage_state: flags.storage_state,
        site: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    match run(&options).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("demo: {error:#}");
            if flags.json {
                let failed =
                    serde_json::json!({ "event": "failed", "message": format!("{error:#}") });
                println!("{failed}");
            }
            ExitCode::FAILURE
        }
    }
}
