//! The demo's sign-in site alone, for tests that are not written in Rust.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context as _;
use authloop_demo::site::{Site, SiteConfig};
use clap::Parser;

/// A sign-in site that remembers what it was sent (`GET /records`).
#[derive(Parser)]
struct Flags {
    /// The address to listen at; the ports are the system's choice.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    ip: IpAddr,
    /// Who may sign in.
    #[arg(long)]
    user: Option<String>,
    /// With which password.
    #[arg(long)]
    password: Option<String>,
    /// With which one-time code.
    #[arg(long)]
    code: Option<String>,
    /// Do not show on the pages what to type.
    #[arg(long)]
    no_hints: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let usual = SiteConfig::default();
    let config = SiteConfig {
        user: flags.user.unwrap_or(usual.user),
        password: flags.password.unwrap_or(usual.password),
        code: flags.code.unwrap_or(usual.code),
        hints: !flags.no_hints,
    };
    let site = Site::start(config, flags.ip)
        .await
        .with_context(|| format!("cannot listen at {}", flags.ip))?;
    let ready = serde_json::json!({
        "event": "listening", "url": site.origin(), "other": site.other_origin(),
    });
    println!("{ready}");
    std::future::pending().await
}
