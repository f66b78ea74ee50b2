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
    client::{EndCredential, ServerClient, SignalSocket, ViewerDevice, ice},
    server::ServerProcess,
};
use crate::proc::ProcessUsage;

/// A hello's size, in bytes.
const HELLO_BYTES: usize = 400;
/// A host's offer, sealed.
const OFFER_BYTES: usize = 4096;
/// A viewer's answer, sealed.
const ANSWER_BYTES: usize = 3072;
/// An endpoint's own ICE credentials are no secret here.
const UFRAG: &str = "load";
const PWD: &str = "loadtest+is+no+secret0";
/// Past this what has not closed has leaked.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionEnding {
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

impl SessionEnding {
    /// The `n`th session's: of ten, five resolve and one each ends in another way.
    pub(crate) fn of(n: u64) -> Self {
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
pub(crate) async fn play_session(
    client: &ServerClient,
    sides: [Ipv4Addr; 2],
    ending: SessionEnding,
    hold: Duration,
) -> Result<Duration> {
    let [at_host, at_viewer] = sides;
    let start = Instant::now();
    // An invitation's end is a whole second.
    let life = match ending {
        SessionEnding::Expired => hold + Duration::from_secs(2),
        _ => hold + Duration::from_secs(600),
    };
    let session = client.register(at_host, life).await?;
    let mut host = client.attach_host(at_host, &session, None).await?;
    if ending == SessionEnding::Unclaimed {
        let ready = start.elapsed();
        client
            .end_session(at_host, &session, EndCredential::HostToken)
            .await?;
        return ended(host, Outcome::Cancelled).await.map(|()| ready);
    }
    let device = ViewerDevice::new()?;
    let (mut viewer, _) = client
        .claim_as_viewer(at_viewer, &session, &device, None)
        .await?;
    host.receive_until(ice).await?;
    let ready = start.elapsed();
    exchange_descriptions(&mut host, &mut viewer).await?;
    viewer.send(&ViewerMessage::FirstFrame {}).await?;
    tokio::time::sleep(hold).await;
    let outcome = match ending {
        SessionEnding::Resolved => Outcome::Resolved,
        SessionEnding::Declined => Outcome::Declined,
        SessionEnding::Failed => Outcome::Failed,
        SessionEnding::Expired => Outcome::Expired,
        SessionEnding::Unclaimed | SessionEnding::Vanished => {
            drop((host, viewer));
            client
                .end_session(at_host, &session, EndCredential::ApiKey)
                .await?;
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
pub(crate) async fn exchange_descriptions(
    host: &mut SignalSocket,
    viewer: &mut SignalSocket,
) -> Result<()> {
    let blob = |length| Blob::from(vec![0x5a; length]);
    viewer
        .send(&ViewerMessage::Sealed {
            data: blob(HELLO_BYTES),
        })
        .await?;
    host.receive_until(sealed(HELLO_BYTES)).await?;
    host.send(&HostMessage::Sealed {
        data: blob(OFFER_BYTES),
    })
    .await?;
    viewer.receive_until(sealed(OFFER_BYTES)).await?;
    viewer
        .send(&ViewerMessage::Sealed {
            data: blob(ANSWER_BYTES),
        })
        .await?;
    host.receive_until(sealed(ANSWER_BYTES)).await?;
    let (ufrag, pwd) = (UFRAG.to_owned(), PWD.to_owned());
    host.send(&HostMessage::IceLocal {
        ufrag: ufrag.clone(),
        pwd: pwd.clone(),
    })
    .await?;
    viewer.send(&ViewerMessage::IceLocal { ufrag, pwd }).await
}

/// Waits until the server has no more descriptors than this, or has had its time.
pub(crate) async fn wait_until_drained(
    server: &ServerProcess,
    descriptors: u64,
) -> Result<ProcessUsage> {
    let start = Instant::now();
    loop {
        let usage = server.usage()?;
        if usage.descriptors <= descriptors || start.elapsed() > DRAIN_TIMEOUT {
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

async fn ended(mut socket: SignalSocket, expected: Outcome) -> Result<()> {
    let outcome = socket.receive_until(|message| match message {
        ServerMessage::Ended { outcome } => Some(outcome),
        _ => None,
    });
    let outcome = outcome.await?;
    ensure!(outcome == expected, "ended {outcome:?}, not {expected:?}");
    socket.close().await;
    Ok(())
}
