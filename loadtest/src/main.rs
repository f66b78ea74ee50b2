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

use subject::Bench;

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
        options: rounds::Options,
        #[command(flatten)]
        place: Place,
    },
    /// Measure cost per packet and memory from few sessions to many.
    Growth {
        #[command(flatten)]
        options: growth::Options,
        #[command(flatten)]
        place: Place,
    },
    /// Measure what time to gather packets in costs in latency and saves in processor time.
    Gather {
        #[command(flatten)]
        options: gather::Options,
        #[command(flatten)]
        place: Place,
    },
    /// Feed malformed datagrams to the core, in process and without sockets.
    Malformed(malformed::Options),
    /// Hold sessions and slow sockets open at a real server, and measure claims meanwhile.
    Load {
        #[command(flatten)]
        options: node::LoadOptions,
        #[command(flatten)]
        place: node::Place,
    },
    /// Play whole sessions through a real server for a long time; fail if it leaks.
    Soak {
        #[command(flatten)]
        options: node::SoakOptions,
        #[command(flatten)]
        place: node::Place,
    },
    /// Be a bad network: a UDP proxy on loopback that loses, delays and throttles as it is told.
    Impair(impair::Options),
    /// Be a floor; for the other commands' own use.
    #[command(hide = true)]
    Floor {
        /// Which one.
        kind: floor::Floor,
    },
}

/// Where servers come from and run.
#[derive(Debug, Args)]
struct Place {
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

impl Place {
    fn settle(self) -> Result<Bench> {
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
        Ok(Bench {
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
        Command::Compare { options, place } => rounds::run(&options, &place.settle()?),
        Command::Growth { options, place } => growth::run(&options, &place.settle()?),
        Command::Gather { options, place } => gather::run(&options, &place.settle()?),
        Command::Malformed(options) => malformed::run(&options),
        Command::Load { options, place } => node::load(&options, &place),
        Command::Soak { options, place } => node::soak(&options, &place),
        Command::Impair(options) => impair::run(&options),
        Command::Floor { kind } => floor::run(kind),
    }
}
