//! `authloop-loadtest`: what the relay costs beside its peers, measured in one run, and what a
//! whole server bears.
//!
//! Load goes to 127.0.0.0/8 only, bounded in count and time. Every server runs in a process of its
//! own; rounds are interleaved, and ratios are taken within a round, so that a noisy minute weighs
//! on all alike.

mod drive;
mod floor;
mod gather;
mod growth;
mod ice;
mod impair;
mod malformed;
mod measurement;
mod net;
mod node;
mod packet;
mod proc;
mod report;
mod rounds;
mod subject;
mod turn;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use subject::SubjectConfig;

/// Load generator and benchmarks for authloop's server and relay.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Drive the relay, its peers and the floors, round by round.
    Compare {
        #[command(flatten)]
        options: rounds::CompareOptions,
        #[command(flatten)]
        location: ServerLocation,
    },
    /// Measure cost per packet and memory from few sessions to many.
    Growth {
        #[command(flatten)]
        options: growth::GrowthOptions,
        #[command(flatten)]
        location: ServerLocation,
    },
    /// Measure what time to gather packets in costs in latency and saves in processor time.
    Gather {
        #[command(flatten)]
        options: gather::GatherOptions,
        #[command(flatten)]
        location: ServerLocation,
    },
    /// Feed malformed datagrams to the core, in process and without sockets.
    Malformed(malformed::MalformedOptions),
    /// Hold sessions and slow sockets open at a real server, and measure claims meanwhile.
    Load {
        #[command(flatten)]
        options: node::LoadOptions,
        #[command(flatten)]
        args: node::NodeArgs,
    },
    /// Play whole sessions through a real server for a long time; fail if it leaks.
    Soak {
        #[command(flatten)]
        options: node::SoakOptions,
        #[command(flatten)]
        args: node::NodeArgs,
    },
    /// Be a bad network: a UDP proxy on loopback that loses, delays and throttles as it is told.
    Impair(impair::ImpairOptions),
    /// Be a floor; for the other commands' own use.
    #[command(hide = true)]
    Floor {
        /// Which one.
        kind: floor::FloorKind,
    },
}

/// Where servers come from and run.
#[derive(Debug, Args)]
struct ServerLocation {
    /// The server's binary, whose relay is measured [default: `authloop` beside this one].
    #[arg(long)]
    authloop: Option<PathBuf>,
    /// coturn's binary.
    #[arg(long, default_value = "/usr/bin/turnserver")]
    coturn: PathBuf,
    /// The `turn-server` crate's binary.
    #[arg(long, default_value = ".cache/turn-server/bin/turn-server")]
    turn_server: PathBuf,
    /// Bind each server to this processor and the load to the next; nothing is bound without it.
    #[arg(long)]
    cpu: Option<usize>,
}

impl ServerLocation {
    fn into_config(self) -> Result<SubjectConfig> {
        if let Some(cpu) = self.cpu {
            let own = std::process::id().to_string();
            let load = (cpu + 1).to_string();
            let taskset = std::process::Command::new("taskset")
                .args(["-pc", &load, &own])
                .output();
            anyhow::ensure!(
                taskset?.status.success(),
                "cannot bind the load to processor {load}"
            );
        }
        Ok(SubjectConfig {
            authloop: node::binary(self.authloop.as_deref())?,
            coturn: self.coturn,
            turn_server: self.turn_server,
            cpu: self.cpu,
            gather: None,
        })
    }
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Compare { options, location } => rounds::run(&options, &location.into_config()?),
        Command::Growth { options, location } => growth::run(&options, &location.into_config()?),
        Command::Gather { options, location } => gather::run(&options, &location.into_config()?),
        Command::Malformed(options) => malformed::run(&options),
        Command::Load { options, args } => node::load(&options, &args),
        Command::Soak { options, args } => node::soak(&options, &args),
        Command::Impair(options) => impair::run(&options),
        Command::Floor { kind } => floor::run(kind),
    }
}
