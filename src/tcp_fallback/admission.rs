//! Which streams may be open: few before their clients have proved that they know a leg's password,
//! and those make room for each other; more after that.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use authloop_net::{ClientNetwork, ConnectionPermit};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::client_limiter::ClientLimiter;

/// How many streams may be open without proof, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnprovenLimits {
    /// In all. ICE-TCP proves itself by its first bytes, and TURN after a round trip.
    pub(super) max_unproven: usize,
    /// Of one address that is no trusted proxy's.
    pub(super) max_unproven_per_address: usize,
    /// Time to name a leg and prove knowledge of its password.
    pub(super) proof_timeout: Duration,
}

impl Default for UnprovenLimits {
    fn default() -> Self {
        Self {
            max_unproven: 512,
            max_unproven_per_address: 16,
            proof_timeout: Duration::from_secs(10),
        }
    }
}

/// Admits streams; clones share the places.
#[derive(Clone, Debug)]
pub(super) struct StreamAdmission {
    limits: UnprovenLimits,
    proven: ClientLimiter,
    unproven: Arc<Mutex<UnprovenStreams>>,
}

/// The streams without proof, the oldest first.
#[derive(Debug, Default)]
struct UnprovenStreams {
    next: u64,
    streams: BTreeMap<u64, UnprovenStream>,
}

#[derive(Debug)]
struct UnprovenStream {
    client: IpAddr,
    displaced: CancellationToken,
}

impl StreamAdmission {
    pub(super) fn new(proven: ClientLimiter, limits: UnprovenLimits) -> Self {
        Self {
            limits,
            proven,
            unproven: Arc::default(),
        }
    }

    /// Gives a stream a place among the unproven, and takes it from the oldest of this client's or of
    /// all, if there is no other.
    pub(super) fn admit(&self, client: IpAddr) -> StreamPlace {
        let displaced = CancellationToken::new();
        let counted = (!self.proven.stands_for_many(client)).then_some(client);
        let mut unproven = self.unproven.lock();
        while let Some(oldest) = unproven.one_too_many(counted, &self.limits) {
            if let Some(stream) = unproven.streams.remove(&oldest) {
                stream.displaced.cancel();
            }
        }
        let number = unproven.next;
        unproven.next += 1;
        let stream = UnprovenStream {
            client,
            displaced: displaced.clone(),
        };
        unproven.streams.insert(number, stream);
        StreamPlace {
            admission: self.clone(),
            client,
            number,
            displaced,
            proven: None,
        }
    }
}

impl UnprovenStreams {
    /// The stream that has to go before one more of this client's can come; `None` for one whose address says
    /// nothing.
    fn one_too_many(&self, client: Option<IpAddr>, limits: &UnprovenLimits) -> Option<u64> {
        let mut networks = client.into_iter().flat_map(ClientNetwork::all_of);
        let of_network = networks.find_map(|(network, shares)| {
            let is_in = |stream: &UnprovenStream| {
                ClientNetwork::all_of(stream.client).any(|(other, _)| other == network)
            };
            let mut streams = self.streams.iter().filter(|(_, stream)| is_in(stream));
            let oldest = *streams.next()?.0;
            let count = streams.count() + 1;
            (count >= limits.max_unproven_per_address * shares).then_some(oldest)
        });
        let is_full = self.streams.len() >= limits.max_unproven;
        let oldest = self.streams.first_key_value().map(|(number, _)| *number);
        of_network.or(oldest.filter(|_| is_full))
    }
}

/// A stream's place, until it is dropped.
#[derive(Debug)]
pub(super) struct StreamPlace {
    admission: StreamAdmission,
    client: IpAddr,
    number: u64,
    displaced: CancellationToken,
    proven: Option<ConnectionPermit>,
}

/// As many proven streams are open as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoProvenPlace;

impl StreamPlace {
    /// Time to prove something, from the beginning on.
    pub(super) fn proof_timeout(&self) -> Duration {
        self.admission.limits.proof_timeout
    }

    /// Moves the stream among the proven, once.
    pub(super) fn prove(&mut self) -> Result<(), NoProvenPlace> {
        if self.proven.is_none() {
            let permit = self.admission.proven.try_acquire(self.client);
            self.proven = Some(permit.map_err(|_| NoProvenPlace)?);
            self.leave_unproven();
        }
        Ok(())
    }

    /// Resolves when another stream has taken the place.
    pub(super) async fn displaced(&self) {
        match self.proven {
            None => self.displaced.cancelled().await,
            Some(_) => std::future::pending().await,
        }
    }

    fn leave_unproven(&self) {
        self.admission.unproven.lock().streams.remove(&self.number);
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        self.leave_unproven();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> StreamAdmission {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let limits = UnprovenLimits {
            max_unproven: 8,
            max_unproven_per_address: 1,
            ..UnprovenLimits::default()
        };
        StreamAdmission::new(ClientLimiter::new(2, 1, &proxies), limits)
    }

    fn v4(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    fn displaced(places: &[StreamPlace]) -> Vec<bool> {
        let displaced = places.iter().map(|place| place.displaced.is_cancelled());
        displaced.collect()
    }

    #[test]
    fn the_oldest_unproven_stream_makes_room() {
        let admission = admission();
        let mut places: Vec<_> = (0..8).map(|n| admission.admit(v4(n))).collect();
        places[0].prove().unwrap();
        let _more = [admission.admit(v4(8)), admission.admit(v4(9))];

        let mut expected = [false; 8];
        expected[1] = true;
        assert_eq!(displaced(&places), expected);
    }

    #[test]
    fn a_client_with_many_streams_displaces_its_own() {
        let admission = admission();
        let neighbour = admission.admit(v4(1));
        let places: Vec<_> = (0..3).map(|_| admission.admit(v4(2))).collect();
        assert_eq!(displaced(&places), [true, true, false]);

        // Of a /48, four /64s have a place.
        let link = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, n, 0, 0, 0, 1]);
        let places: Vec<_> = (0..6).map(|n| admission.admit(link(n))).collect();
        assert_eq!(displaced(&places), [true, true, false, false, false, false]);
        assert!(!neighbour.displaced.is_cancelled());
    }

    #[test]
    fn a_trusted_proxy_s_streams_are_many_clients() {
        let admission = admission();
        let places: Vec<_> = (0..4)
            .map(|_| admission.admit([10, 0, 0, 1].into()))
            .collect();
        assert_eq!(displaced(&places), [false; 4]);
    }

    #[test]
    fn proven_streams_have_places_of_their_own_and_give_them_back() {
        let admission = admission();
        let mut first = admission.admit(v4(1));
        let mut same = admission.admit(v4(1));
        assert_eq!((first.prove(), first.prove()), (Ok(()), Ok(())));
        assert_eq!(same.prove(), Err(NoProvenPlace));
        drop(first);
        assert_eq!(same.prove(), Ok(()));
        drop(same);
        assert!(admission.unproven.lock().streams.is_empty());
    }
}
