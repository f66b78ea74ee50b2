//! Leases of the nodes, and Redis's clock, which each beat tells.

use std::{
    collections::HashMap,
    sync::{LazyLock, atomic::Ordering},
    time::Duration,
};

use redis::{RedisError, Script};

use super::Store;
use crate::{
    clock::unix_millis,
    cluster::nodes::{Load, NodeId},
};

/// How long after its last beat a node is dead to the others. One that was killed is found out sooner,
/// because nobody hears its channel any more; this is for machines and networks that vanish.
pub(in super::super) const LEASE_DURATION: Duration = Duration::from_secs(2);

/// Who is there.
pub(in super::super) struct Heartbeat {
    /// The nodes whose leases run.
    pub(in super::super) loads: HashMap<NodeId, Load>,
    /// Those among them that nobody hears any more.
    pub(in super::super) unsubscribed: Vec<NodeId>,
}

impl Store {
    /// Renews this node's lease and learns who else is there.
    pub(in super::super) async fn heartbeat(
        &self,
        node_id: NodeId,
        load: Load,
    ) -> Result<Heartbeat, RedisError> {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                "local t = redis.call('TIME')
                 local now = t[1] * 1000 + math.floor(t[2] / 1000)
                 redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
                 redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
                 for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
                   redis.call('ZREM', KEYS[1], node)
                   redis.call('HDEL', KEYS[2], node)
                 end
                 return {now, redis.call('HGETALL', KEYS[2])}",
            )
        });
        let lease = u64::try_from(LEASE_DURATION.as_millis()).unwrap_or(u64::MAX);
        let mut connection = self.connection.get();
        let mut call = SCRIPT.key(format!("{}:{{nodes}}:leases", self.prefix));
        call.key(format!("{}:{{nodes}}:loads", self.prefix))
            .arg(node_id.to_string())
            .arg(load.to_number())
            .arg(lease);
        let (redis_millis, loads): (u64, Vec<(String, i64)>) =
            call.invoke_async(&mut connection).await?;
        let ahead = i128::from(unix_millis()) - i128::from(redis_millis);
        let ahead = i64::try_from(ahead).unwrap_or_default();
        self.clock_ahead_ms.store(ahead, Ordering::Relaxed);
        let loads: HashMap<NodeId, Load> = loads
            .into_iter()
            .filter_map(|(node, load)| Some((NodeId::parse(&node)?, Load::from_number(load))))
            .collect();
        // A killed process loses its subscription at once, and its lease only after a while.
        let others: Vec<NodeId> = loads
            .keys()
            .copied()
            .filter(|node| *node != node_id)
            .collect();
        let mut unsubscribed = Vec::new();
        if !others.is_empty() {
            let mut ask = redis::cmd("PUBSUB");
            ask.arg("NUMSUB");
            for node in &others {
                ask.arg(self.channel(Some(*node)));
            }
            let listeners: Vec<(String, usize)> = ask.query_async(&mut connection).await?;
            let listeners = others.iter().zip(listeners);
            unsubscribed
                .extend(listeners.filter_map(|(node, (_, count))| (count == 0).then_some(*node)));
        }
        Ok(Heartbeat {
            loads,
            unsubscribed,
        })
    }

    /// Gives the lease back, so that nobody waits for it to end.
    pub(in super::super) async fn leave(&self, node_id: NodeId) -> Result<(), RedisError> {
        let node_id = node_id.to_string();
        redis::pipe()
            .zrem(format!("{}:{{nodes}}:leases", self.prefix), &node_id)
            .hdel(format!("{}:{{nodes}}:loads", self.prefix), &node_id)
            .query_async(&mut self.connection.get())
            .await
    }
}
