//! One session from its registration to its end, in each way that sessions end.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use authloop_protocol::{
    id::Blob,
    signal::{HostMessage, Outcome, ServerMessage, ViewerMessage},
};
use serde::Serialize;

use super::{
    client::{Device, Door, Right, Socket, ice},
    server::Server,
};
use crate::proc::Usage;

/// A hello's size, in bytes.
const HELLO: usize = 400;
/// A host's offer, sealed.
const OFFER: usize = 4096;
/// A viewer's answer, sealed.
const ANSWER: usize = 3072;
/// An endpoint's own ICE credentials are no secret here.
const UFRAG: &str = "load";
const PWD: &str = "loadtest+is+no+secret0";
/// Past this what has not closed has leaked.
const DRAIN: Duration = Duration::from_secs(60);

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Resolved,
    Declined,
    Failed,
    /// Its time runs out while both sides are there.
    Expired,
    /// Its own host ends it by HTTP, before anyone has claimed it.
    Unclaimed,
    /// Both sides vanish without a word; an API key ends it.
    Vanished,
}

impl Ending {
    /// The `n`th session's: of ten, five resolve and one each ends in another way.
    pub fn of(n: u64) -> Self {
        match n % 10 {
            0 => Self::Declined,
            1 => Self::Failed,
            2 => Self::Expired,
            3 => Self::Unclaimed,
            4 => Self::Vanished,
            _ => Self::Resolved,
        }
    }
}

/// Plays one whole session, its sides from two addresses; says how long both took to have a leg.
pub async fn play(
    door: &Door,
    sides: [Ipv4Addr; 2],
    ending: Ending,
    hold: Duration,
) -> Result<Duration> {
    let [at_host, at_viewer] = sides;
    let start = Instant::now();
    // An invitation's end is a whole second.
    let life = match ending {
        Ending::Expired => hold + Duration::from_secs(2),
        _ => hold + Duration::from_secs(600),
    };
    let session = door.register(at_host, life).await?;
    let mut host = door.host(at_host, &session, None).await?;
    if ending == Ending::Unclaimed {
        let ready = start.elapsed();
        door.cancel(at_host, &session, Right::HostToken).await?;
        return ended(host, Outcome::Cancelled).await.map(|()| ready);
    }
    let device = Device::new()?;
    let (mut viewer, _) = door.viewer(at_viewer, &session, &device, None).await?;
    host.until(ice).await?;
    let ready = start.elapsed();
    describe(&mut host, &mut viewer).await?;
    viewer.send(&ViewerMessage::FirstFrame {}).await?;
    tokio::time::sleep(hold).await;
    let outcome = match ending {
        Ending::Resolved => Outcome::Resolved,
        Ending::Declined => Outcome::Declined,
        Ending::Failed => Outcome::Failed,
        Ending::Expired => Outcome::Expired,
        Ending::Unclaimed | Ending::Vanished => {
            drop((host, viewer));
            door.cancel(at_host, &session, Right::ApiKey).await?;
            return Ok(ready);
        }
    };
    if outcome != Outcome::Expired {
        host.send(&HostMessage::End { outcome }).await?;
    }
    ended(host, outcome).await?;
    ended(viewer, outcome).await?;
    Ok(ready)
}

/// Exchanges what two sides say to each other before their connection stands: hello, offer,
/// answer, and their own credentials to the relay.
pub async fn describe(host: &mut Socket, viewer: &mut Socket) -> Result<()> {
    let blob = |length| Blob::from(vec![0x5a; length]);
    viewer
        .send(&ViewerMessage::Sealed { data: blob(HELLO) })
        .await?;
    host.until(sealed(HELLO)).await?;
    host.send(&HostMessage::Sealed { data: blob(OFFER) })
        .await?;
    viewer.until(sealed(OFFER)).await?;
    viewer
        .send(&ViewerMessage::Sealed { data: blob(ANSWER) })
        .await?;
    host.until(sealed(ANSWER)).await?;
    let (ufrag, pwd) = (UFRAG.to_owned(), PWD.to_owned());
    host.send(&HostMessage::IceLocal {
        ufrag: ufrag.clone(),
        pwd: pwd.clone(),
    })
    .await?;
    viewer.send(&ViewerMessage::IceLocal { ufrag, pwd }).await
}

/// Waits until the server has no more descriptors than this, or has had its time.
pub async fn drained(server: &Server, descriptors: u64) -> Result<Usage> {
    let start = Instant::now();
    loop {
        let usage = server.usage()?;
        if usage.descriptors <= descriptors || start.elapsed() > DRAIN {
            return Ok(usage);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn sealed(length: usize) -> impl Fn(ServerMessage) -> Option<()> {
    move |message| match message {
        ServerMessage::Sealed { data } => (data.0.len() == length).then_some(()),
        _ => None,
    }
}

async fn ended(mut socket: Socket, expected: Outcome) -> Result<()> {
    let outcome = socket.until(|message| match message {
        ServerMessage::Ended { outcome } => Some(outcome),
        _ => None,
    });
    let outcome = outcome.await?;
    ensure!(outcome == expected, "ended {outcome:?}, not {expected:?}");
    socket.close().await;
    Ok(())
}
