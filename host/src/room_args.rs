//! Options that say in which browser users sign in.

use std::path::PathBuf;

use authloop_agent_api::{RoomPolicy, RoomsAllowed};
use authloop_protocol::invitation::RoomStart;
use authloop_rooms::{RoomError, RoomPool, RoomSettings};
use clap::ValueEnum;
use url::Url;

/// Which rooms sessions may have, and how private ones are started.
#[derive(Debug, clap::Args)]
pub(crate) struct RoomArgs {
    /// Where users may sign in; private with --launch, else any.
    #[arg(long, value_enum, env = "AUTHLOOP_HOST_ROOMS")]
    rooms: Option<Rooms>,
    /// How private rooms may begin: fresh forbids agents to bring their page's state into one.
    #[arg(
        long,
        value_enum,
        env = "AUTHLOOP_HOST_ROOMS_START",
        default_value_t = AllowedStarts::Any
    )]
    rooms_start: AllowedStarts,
    /// Private rooms that wait, so that a claim waits for none; about 200 MB each.
    #[arg(long, env = "AUTHLOOP_HOST_ROOMS_WARM", default_value_t = 1)]
    rooms_warm: usize,
    /// Private rooms at once, with those that wait.
    #[arg(long, env = "AUTHLOOP_HOST_ROOMS_MAX", default_value_t = 16, value_parser = at_least_one)]
    rooms_max: usize,
    /// Keep the query of the address at which a fresh room begins: for agents that are trusted.
    #[arg(long, env = "AUTHLOOP_HOST_ROOMS_KEEP_QUERY")]
    rooms_keep_query: bool,
    /// The Chromium for private rooms; looked for in the usual places if not given.
    #[arg(long, env = "AUTHLOOP_HOST_ROOMS_CHROMIUM")]
    rooms_chromium: Option<PathBuf>,
    /// The proxy by which private rooms reach sites, so that they share an address with a browser elsewhere.
    #[arg(long, env = "AUTHLOOP_HOST_ROOM_PROXY")]
    room_proxy: Option<Url>,
}

/// Where users may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rooms {
    /// In a browser that agents cannot see.
    Private,
    /// There, or in the agent's own if it asks.
    Any,
    /// In the agent's own browser.
    InPlace,
}

/// How private rooms may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AllowedStarts {
    /// As agents ask.
    Any,
    /// With the site's address alone.
    Fresh,
}

/// How one private room begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Start {
    /// With the site's address alone.
    Fresh,
    /// With the address, cookies and storage of the agent's page.
    AsIs,
}

impl From<Start> for RoomStart {
    fn from(start: Start) -> Self {
        match start {
            Start::Fresh => Self::Fresh,
            Start::AsIs => Self::AsIs,
        }
    }
}

impl RoomArgs {
    /// What agents may ask for; `launched` says whether the browser is one of our own.
    pub(crate) fn policy(&self, launched: bool) -> RoomPolicy {
        RoomPolicy {
            rooms: match (self.rooms, launched) {
                (Some(Rooms::Private), _) | (None, true) => RoomsAllowed::Private,
                (Some(Rooms::Any), _) | (None, false) => RoomsAllowed::Any,
                (Some(Rooms::InPlace), _) => RoomsAllowed::InPlace,
            },
            as_is: self.rooms_start == AllowedStarts::Any,
        }
    }

    /// Whether fresh rooms keep the address's query.
    pub(crate) fn keeps_query(&self) -> bool {
        self.rooms_keep_query
    }

    /// The rooms; an error is for sessions that ask for one. Must be called inside a tokio runtime.
    pub(crate) fn pool(&self, sandbox: bool) -> Result<RoomPool, RoomError> {
        RoomPool::start(RoomSettings {
            binary: self.rooms_chromium.clone(),
            sandbox,
            warm: self.rooms_warm.min(self.rooms_max),
            max: self.rooms_max,
            proxy: self.room_proxy.clone(),
            profiles: None,
        })
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}
