//! Which responses wait for their clients to read them, and which connections rest. It is told
//! the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Bytes that a response takes beside its body: its stream, its task and its headers.
const RESPONSE_OVERHEAD_BYTES: usize = 2 * 1024;
/// A response has this many times as long as its client may read nothing of it.
const RESPONSE_TIMEOUT_RATIO: u32 = 10;

/// What the ledger allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnreadLimits {
    /// Time for a client to read some of a response.
    pub(super) stall_timeout: Duration,
    /// Time that an HTTP/2 connection may be without a request.
    pub(super) idle_timeout: Duration,
    /// Bytes that all responses together may hold.
    pub(super) max_total_bytes: usize,
}

/// How a connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseOrder {
    /// At once: its client does not read.
    Unread,
    /// With a farewell (RFC 9113 §6.8): it has no request.
    Idle,
    /// At once: the farewell had no effect.
    IdleStill,
}

/// Counts responses, by connections that `C` closes.
#[derive(Debug)]
pub(super) struct UnreadLedger<C> {
    limits: UnreadLimits,
    next_id: u64,
    total_bytes: usize,
    connections: BTreeMap<u64, Connection<C>>,
    responses: BTreeMap<u64, Response>,
    /// All responses, the one first whose client has read nothing for longest.
    stalest: BTreeSet<(Instant, u64)>,
    /// Connections without a request, by the time at which that is to have an effect.
    idle: BTreeSet<(Instant, u64)>,
}

#[derive(Debug)]
struct Connection<C> {
    closer: C,
    requests: usize,
    responses: BTreeSet<u64>,
    idle_until: Option<Instant>,
    said_farewell: bool,
}

#[derive(Debug)]
struct Response {
    connection: u64,
    began: Instant,
    progressed: Instant,
    bytes: usize,
}

impl<C: Clone> UnreadLedger<C> {
    pub(super) fn new(limits: UnreadLimits) -> Self {
        Self {
            limits,
            next_id: 0,
            total_bytes: 0,
            connections: BTreeMap::new(),
            responses: BTreeMap::new(),
            stalest: BTreeSet::new(),
            idle: BTreeSet::new(),
        }
    }

    /// A number for a connection or a response.
    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A request has come on this connection.
    pub(super) fn begin_request(&mut self, connection: u64, closer: impl FnOnce() -> C) {
        let entry = self.connections.entry(connection);
        let entry = entry.or_insert_with(|| Connection {
            closer: closer(),
            requests: 0,
            responses: BTreeSet::new(),
            idle_until: None,
            said_farewell: false,
        });
        entry.requests += 1;
        if let Some(until) = entry.idle_until.take() {
            self.idle.remove(&(until, connection));
        }
    }

    /// A request is answered, and its response gone.
    pub(super) fn end_request(&mut self, connection: u64, now: Instant) {
        let Some(entry) = self.connections.get_mut(&connection) else {
            return;
        };
        entry.requests = entry.requests.saturating_sub(1);
        if entry.requests == 0 {
            self.rest(connection, now);
        }
    }

    /// Forgets a connection that has ended.
    pub(super) fn end_connection(&mut self, connection: u64) -> Option<C> {
        let entry = self.connections.remove(&connection)?;
        if let Some(until) = entry.idle_until {
            self.idle.remove(&(until, connection));
        }
        for response in entry.responses {
            self.end_response(response);
        }
        Some(entry.closer)
    }

    /// A response begins to wait for its client. Returns the connections that have to make room.
    pub(super) fn begin_response(
        &mut self,
        response: u64,
        connection: u64,
        now: Instant,
    ) -> Vec<C> {
        // A connection that is being closed has nothing to wait for.
        let Some(entry) = self.connections.get_mut(&connection) else {
            return Vec::new();
        };
        entry.responses.insert(response);
        self.responses.insert(
            response,
            Response {
                connection,
                began: now,
                progressed: now,
                bytes: 0,
            },
        );
        self.stalest.insert((now, response));
        self.hold(response, RESPONSE_OVERHEAD_BYTES)
    }

    /// A response holds so many bytes more. Returns the connections that have to make room.
    pub(super) fn hold(&mut self, response: u64, bytes: usize) -> Vec<C> {
        if let Some(entry) = self.responses.get_mut(&response) {
            entry.bytes += bytes;
            self.total_bytes += bytes;
        }
        let mut closed = Vec::new();
        while self.total_bytes > self.limits.max_total_bytes {
            let stalest = self.stalest.first().map(|(_, response)| *response);
            let stalest = stalest.and_then(|stalest| self.responses.get(&stalest));
            let Some(connection) = stalest.map(|stalest| stalest.connection) else {
                break;
            };
            closed.extend(self.end_connection(connection));
        }
        closed
    }

    /// A response holds so many bytes less.
    pub(super) fn release(&mut self, response: u64, bytes: usize) {
        if let Some(entry) = self.responses.get_mut(&response) {
            entry.bytes = entry.bytes.saturating_sub(bytes);
            self.total_bytes = self.total_bytes.saturating_sub(bytes);
        }
    }

    /// The client has read some of a response.
    pub(super) fn progress(&mut self, response: u64, now: Instant) {
        if let Some(entry) = self.responses.get_mut(&response) {
            self.stalest.remove(&(entry.progressed, response));
            entry.progressed = now;
            self.stalest.insert((now, response));
        }
    }

    pub(super) fn end_response(&mut self, response: u64) {
        let Some(entry) = self.responses.remove(&response) else {
            return;
        };
        self.stalest.remove(&(entry.progressed, response));
        self.total_bytes = self.total_bytes.saturating_sub(entry.bytes);
        if let Some(connection) = self.connections.get_mut(&entry.connection) {
            connection.responses.remove(&response);
        }
    }

    /// The connections whose time is over.
    pub(super) fn sweep(&mut self, now: Instant) -> Vec<(C, CloseOrder)> {
        let stall = self.limits.stall_timeout;
        let elapsed = |since: Instant| now.saturating_duration_since(since);
        let unread: BTreeSet<u64> = self
            .responses
            .values()
            .filter(|response| {
                elapsed(response.progressed) >= stall
                    || elapsed(response.began) >= stall.saturating_mul(RESPONSE_TIMEOUT_RATIO)
            })
            .map(|response| response.connection)
            .collect();
        let mut closed = Vec::new();
        for connection in unread {
            let closer = self.end_connection(connection);
            closed.extend(closer.map(|closer| (closer, CloseOrder::Unread)));
        }
        while let Some((until, connection)) = self.idle.first().copied() {
            if until > now {
                break;
            }
            self.idle.pop_first();
            let Some(entry) = self.connections.get_mut(&connection) else {
                continue;
            };
            entry.idle_until = None;
            if entry.said_farewell {
                let closer = self.end_connection(connection);
                closed.extend(closer.map(|closer| (closer, CloseOrder::IdleStill)));
            } else {
                entry.said_farewell = true;
                closed.push((entry.closer.clone(), CloseOrder::Idle));
                self.rest(connection, now);
            }
        }
        closed
    }

    fn rest(&mut self, connection: u64, now: Instant) {
        if let Some(entry) = self.connections.get_mut(&connection) {
            let until = now + self.limits.idle_timeout;
            entry.idle_until = Some(until);
            self.idle.insert((until, connection));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(30);
    const IDLE: Duration = Duration::from_secs(10);

    fn ledger(max_total_bytes: usize) -> UnreadLedger<&'static str> {
        UnreadLedger::new(UnreadLimits {
            stall_timeout: STALL,
            idle_timeout: IDLE,
            max_total_bytes,
        })
    }

    fn respond(
        ledger: &mut UnreadLedger<&'static str>,
        connection: u64,
        name: &'static str,
        now: Instant,
    ) -> (u64, Vec<&'static str>) {
        ledger.begin_request(connection, || name);
        let response = 1000 + ledger.new_id();
        (response, ledger.begin_response(response, connection, now))
    }

    #[test]
    fn a_response_of_which_nothing_is_read_ends_its_connection_alone() {
        let mut ledger = ledger(usize::MAX);
        let begin = Instant::now();
        respond(&mut ledger, 1, "stalls", begin);
        let (read, _) = respond(&mut ledger, 2, "reads", begin);

        ledger.progress(read, begin + STALL / 2);

        assert_eq!(ledger.sweep(begin + STALL / 2), []);
        let closed = ledger.sweep(begin + STALL);
        assert_eq!(closed, [("stalls", CloseOrder::Unread)]);
        assert_eq!(ledger.total_bytes, RESPONSE_OVERHEAD_BYTES);
    }

    #[test]
    fn a_client_that_reads_a_byte_now_and_then_is_cut_in_the_end() {
        let mut ledger = ledger(usize::MAX);
        let mut now = Instant::now();
        let (response, _) = respond(&mut ledger, 1, "drips", now);
        let mut closed = Vec::new();
        for _ in 0..2 * RESPONSE_TIMEOUT_RATIO {
            now += STALL / 2;
            ledger.progress(response, now);
            closed.extend(ledger.sweep(now));
        }

        assert_eq!(closed, [("drips", CloseOrder::Unread)]);
    }

    #[test]
    fn past_the_budget_whoever_has_read_nothing_for_longest_makes_room() {
        let mut ledger = ledger(3 * RESPONSE_OVERHEAD_BYTES + 100);
        let begin = Instant::now();
        let at = |second| begin + Duration::from_secs(second);
        let (older, _) = respond(&mut ledger, 1, "reads", at(0));
        respond(&mut ledger, 2, "holds", at(1));
        respond(&mut ledger, 2, "holds", at(2));
        ledger.progress(older, at(3));

        let (newest, closed) = respond(&mut ledger, 3, "comes", at(4));

        assert_eq!(closed, ["holds"]);
        assert_eq!(
            ledger.hold(newest, 100 + RESPONSE_OVERHEAD_BYTES),
            Vec::<&str>::new()
        );
        assert_eq!(ledger.hold(newest, 1), ["reads"]);
        ledger.release(newest, 101 + RESPONSE_OVERHEAD_BYTES);
        ledger.end_response(newest);
        assert_eq!(ledger.total_bytes, 0);
        assert!(ledger.responses.is_empty() && ledger.stalest.is_empty());
    }

    #[test]
    fn a_connection_without_a_request_is_told_to_go_and_then_cut() {
        let mut ledger = ledger(usize::MAX);
        let begin = Instant::now();
        let (response, _) = respond(&mut ledger, 1, "rests", begin);
        assert_eq!(ledger.sweep(begin + IDLE), [], "it has a request");
        ledger.end_response(response);
        ledger.end_request(1, begin + IDLE);

        assert_eq!(
            ledger.sweep(begin + IDLE * 2),
            [("rests", CloseOrder::Idle)]
        );
        assert_eq!(
            ledger.sweep(begin + IDLE * 3),
            [("rests", CloseOrder::IdleStill)]
        );
        assert!(ledger.connections.is_empty() && ledger.idle.is_empty());
    }
}
