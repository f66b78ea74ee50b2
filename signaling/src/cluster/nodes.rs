//! The nodes that beat, how loaded they are, and which are believed dead before their lease is over.
//! Pure: the caller brings the time, as what has passed since a moment of its choice.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::{collections::HashMap, fmt, time::Duration};

use authloop_protocol::id::{from_b64u, to_b64u};
use serde::{Deserialize, Serialize, de::Error as _};

/// How long a node that does not hear its channel is passed over: long enough for its lease to end,
/// short enough for one that only lost its connection to Redis to come back.
const SUSPICION_DURATION: Duration = Duration::from_secs(2);

/// One process; a restarted one is another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NodeId([u8; 8]);

impl NodeId {
    pub(super) const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        from_b64u(text)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_b64u(&self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl Serialize for NodeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("expected 8 bytes in base64url"))
    }
}

/// What a node says of itself with each beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// It holds this many sessions, and takes more.
    Sessions(u32),
    /// It is full, or going down.
    Closed,
}

impl Load {
    /// Sessions, or -1 for a node that takes none.
    pub(super) fn to_number(self) -> i64 {
        match self {
            Self::Sessions(count) => i64::from(count),
            Self::Closed => -1,
        }
    }

    pub(super) fn from_number(number: i64) -> Self {
        u32::try_from(number).map_or(Self::Closed, Self::Sessions)
    }
}

/// The nodes as this one last saw them.
pub(super) struct Nodes {
    node_id: NodeId,
    live: HashMap<NodeId, Load>,
    suspects: HashMap<NodeId, Duration>,
}

impl Nodes {
    pub(super) fn new(node_id: NodeId) -> Self {
        Self {
            node_id,
            live: HashMap::new(),
            suspects: HashMap::new(),
        }
    }

    /// Takes the list that came with a beat; returns who is on it no more.
    pub(super) fn update(&mut self, live: HashMap<NodeId, Load>, now: Duration) -> Vec<NodeId> {
        let gone = self.live.keys().filter(|node| !live.contains_key(node));
        let gone = gone.copied().collect();
        self.live = live;
        self.suspects
            .retain(|_, since| now.saturating_sub(*since) < SUSPICION_DURATION);
        gone
    }

    /// Nobody listens at this node's channel: it is dead, or has lost Redis.
    pub(super) fn mark_suspect(&mut self, node: NodeId, now: Duration) {
        self.suspects.insert(node, now);
    }

    pub(super) fn is_live(&self, node: NodeId, now: Duration) -> bool {
        if node == self.node_id {
            return true;
        }
        let suspected = self.suspects.get(&node);
        let suspected =
            suspected.is_some_and(|since| now.saturating_sub(*since) < SUSPICION_DURATION);
        self.live.contains_key(&node) && !suspected
    }

    /// The least loaded node that takes sessions, and counts one more for it, because the next beat
    /// is a while away; among equals this one, which saves the way over Redis.
    pub(super) fn pick(&mut self, now: Duration, except: Option<NodeId>) -> Option<NodeId> {
        let best = self
            .live
            .iter()
            .filter(|(node, _)| Some(**node) != except && self.is_live(**node, now))
            .filter_map(|(node, load)| match load {
                Load::Sessions(count) => Some((*count, *node != self.node_id, *node)),
                Load::Closed => None,
            })
            .min()?;
        self.live
            .insert(best.2, Load::Sessions(best.0.saturating_add(1)));
        Some(best.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const ME: NodeId = NodeId([0; 8]);
    const ONE: NodeId = NodeId([1; 8]);
    const TWO: NodeId = NodeId([2; 8]);

    fn nodes(loads: [(NodeId, Load); 3]) -> Nodes {
        let mut nodes = Nodes::new(ME);
        assert!(nodes.update(loads.into(), NOW).is_empty());
        nodes
    }

    #[test]
    fn sessions_spread_evenly_between_two_beats() {
        let mut nodes = nodes([ME, ONE, TWO].map(|node| (node, Load::Sessions(0))));
        let mut counts = HashMap::new();
        for _ in 0..30 {
            let node = nodes.pick(NOW, None).unwrap();
            *counts.entry(node).or_insert(0) += 1;
        }
        assert_eq!(counts, HashMap::from([(ME, 10), (ONE, 10), (TWO, 10)]));
    }

    #[test]
    fn the_full_the_suspected_and_the_excepted_are_passed_over() {
        let now = NOW;
        let mut nodes = nodes([
            (ME, Load::Closed),
            (ONE, Load::Sessions(1)),
            (TWO, Load::Sessions(9)),
        ]);
        assert_eq!(nodes.pick(now, None), Some(ONE));
        nodes.mark_suspect(ONE, now);
        assert_eq!(nodes.pick(now, None), Some(TWO));
        assert_eq!(nodes.pick(now, Some(TWO)), None);
        assert_eq!(nodes.pick(now + SUSPICION_DURATION, Some(TWO)), Some(ONE));
    }

    #[test]
    fn who_stops_beating_is_named_once() {
        let mut nodes = nodes([ME, ONE, TWO].map(|node| (node, Load::Sessions(0))));
        let left = || [ME, TWO].map(|node| (node, Load::Sessions(0)));
        assert_eq!(nodes.update(left().into(), NOW), [ONE]);
        assert_eq!(nodes.update(left().into(), NOW), []);
        assert!(!nodes.is_live(ONE, NOW));
        assert!(nodes.is_live(ME, NOW));
    }

    #[test]
    fn a_load_is_read_as_it_was_written() {
        for load in [Load::Closed, Load::Sessions(0), Load::Sessions(u32::MAX)] {
            assert_eq!(Load::from_number(load.to_number()), load);
        }
    }
}
