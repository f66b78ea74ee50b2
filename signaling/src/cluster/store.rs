//! Redis: each change of a session is one script, so that no node ever sees half of one.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use authloop_protocol::{device::DeviceKey, id::SessionId, signal::Outcome};
use redis::{
    AsyncCommands as _, Client, RedisError, Script,
    aio::{ConnectionManager, ConnectionManagerConfig, PubSub},
};

use super::{
    nodes::{Load, NodeId},
    record::{Record, field},
};

/// A Redis that takes longer is as good as gone: callers answer their clients.
const REDIS_TIMEOUT: Duration = Duration::from_secs(2);
/// How long after its last beat a node is dead to the others. One that was killed is found out sooner,
/// because nobody hears its channel any more; this is for machines and networks that vanish.
pub(super) const LEASE_DURATION: Duration = Duration::from_secs(2);

/// Keys and channels of one group of nodes.
#[derive(Clone)]
pub(super) struct Store {
    client: Client,
    connection: ConnectionManager,
    prefix: String,
}

/// Who is there.
pub(super) struct Heartbeat {
    /// The nodes whose leases run.
    pub(super) loads: HashMap<NodeId, Load>,
    /// Those among them that nobody hears any more.
    pub(super) unsubscribed: Vec<NodeId>,
}

/// What came of a claim.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StoreClaimOutcome {
    /// The device has it now, or had it already.
    Won,
    /// Another device has it.
    Other,
    /// It is over.
    Ended,
    /// Redis does not know the session.
    Unknown,
    /// Another node owns it by now.
    Fenced,
}

impl Store {
    pub(super) fn is_url(url: &str) -> bool {
        Client::open(url).is_ok()
    }

    /// Connects, and goes on reconnecting.
    ///
    /// # Errors
    /// When Redis does not answer now.
    pub(super) async fn connect(url: &str, prefix: String) -> Result<Self, RedisError> {
        let client = Client::open(url)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(REDIS_TIMEOUT))
            .set_response_timeout(Some(REDIS_TIMEOUT))
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_millis(500))
            .set_number_of_retries(2);
        let mut connection = client.get_connection_manager_with_config(config).await?;
        let _: String = redis::cmd("PING").query_async(&mut connection).await?;
        Ok(Self {
            client,
            connection,
            prefix,
        })
    }

    /// Runs a script and subscribes to a channel, under this group's prefix.
    pub(super) async fn try_out(&self) -> Result<(), RedisError> {
        let nobody = NodeId::from_bytes([0; 8]);
        let script = Script::new("return redis.call('EXISTS', KEYS[1])");
        let call = script.key(self.key(SessionId([0; 16])));
        let _: i64 = call.invoke_async(&mut self.connection.clone()).await?;
        self.publish(Some(nobody), String::new()).await?;
        self.subscribe(nobody).await.map(drop)
    }

    /// A connection of its own, subscribed to the node's channel and to everyone's.
    pub(super) async fn subscribe(&self, node_id: NodeId) -> Result<PubSub, RedisError> {
        let connect = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(self.channel(Some(node_id))).await?;
            subscription.subscribe(self.channel(None)).await?;
            Ok(subscription)
        };
        match tokio::time::timeout(REDIS_TIMEOUT * 2, connect).await {
            Ok(subscription) => subscription,
            Err(_) => Err((redis::ErrorKind::Io, "Redis takes too long").into()),
        }
    }

    /// Says something to one node, or to all; tells how many listened.
    pub(super) async fn publish(
        &self,
        to: Option<NodeId>,
        text: String,
    ) -> Result<usize, RedisError> {
        let mut connection = self.connection.clone();
        connection.publish(self.channel(to), text).await
    }

    /// Renews this node's lease and learns who else is there.
    pub(super) async fn heartbeat(
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
                 return redis.call('HGETALL', KEYS[2])",
            )
        });
        let lease = u64::try_from(LEASE_DURATION.as_millis()).unwrap_or(u64::MAX);
        let mut connection = self.connection.clone();
        let mut call = SCRIPT.key(format!("{}:{{nodes}}:leases", self.prefix));
        call.key(format!("{}:{{nodes}}:loads", self.prefix))
            .arg(node_id.to_string())
            .arg(load.to_number())
            .arg(lease);
        let loads: Vec<(String, i64)> = call.invoke_async(&mut connection).await?;
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
    pub(super) async fn leave(&self, node_id: NodeId) -> Result<(), RedisError> {
        let node_id = node_id.to_string();
        redis::pipe()
            .zrem(format!("{}:{{nodes}}:leases", self.prefix), &node_id)
            .hdel(format!("{}:{{nodes}}:loads", self.prefix), &node_id)
            .query_async(&mut self.connection.clone())
            .await
    }

    /// Writes a session that is not there yet; `false` if it is. It outlives its end by `retention`.
    pub(super) async fn create(
        &self,
        record: &Record,
        retention: Duration,
    ) -> Result<bool, RedisError> {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
                 redis.call('HSET', KEYS[1], unpack(ARGV, 2))
                 redis.call('EXPIREAT', KEYS[1], ARGV[1])
                 return 1",
            )
        });
        let mut call = SCRIPT.key(self.key(record.id));
        call.arg(record.expires_at.saturating_add(retention.as_secs()));
        for (name, value) in record.fields() {
            call.arg(name).arg(value);
        }
        call.invoke_async(&mut self.connection.clone()).await
    }

    /// Reads a session; one that cannot be read counts as none.
    pub(super) async fn load(&self, id: SessionId) -> Result<Option<Record>, RedisError> {
        let fields: HashMap<String, Vec<u8>> =
            self.connection.clone().hgetall(self.key(id)).await?;
        Ok(Record::parse(id, &fields))
    }

    /// Gives the session to another node, if it still is at this owner and epoch.
    pub(super) async fn change_owner(
        &self,
        record: &Record,
        to: NodeId,
    ) -> Result<bool, RedisError> {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
            Script::new(&format!(
                "local owner, epoch, outcome = unpack(redis.call('HMGET', KEYS[1], '{}', '{}', '{}'))
                 if owner ~= ARGV[1] or epoch ~= ARGV[2] or outcome then return 0 end
                 redis.call('HSET', KEYS[1], '{}', ARGV[3], '{}', epoch + 1)
                 return 1",
                field::OWNER, field::EPOCH, field::OUTCOME, field::OWNER, field::EPOCH
            ))
        });
        let mut call = SCRIPT.key(self.key(record.id));
        call.arg(record.owner.to_string())
            .arg(record.epoch)
            .arg(to.to_string());
        call.invoke_async(&mut self.connection.clone()).await
    }

    /// Claims for a device, as the owner at this epoch.
    pub(super) async fn claim(
        &self,
        id: SessionId,
        owner: NodeId,
        epoch: u64,
        device: &DeviceKey,
    ) -> Result<StoreClaimOutcome, RedisError> {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
            Script::new(&format!(
                "local owner, epoch, outcome, device =
                   unpack(redis.call('HMGET', KEYS[1], '{}', '{}', '{}', '{}'))
                 if not owner then return 'unknown' end
                 if outcome then return 'ended' end
                 if owner ~= ARGV[1] or epoch ~= ARGV[2] then return 'fenced' end
                 if device and device ~= ARGV[3] then return 'other' end
                 redis.call('HSET', KEYS[1], '{}', ARGV[3])
                 return 'won'",
                field::OWNER,
                field::EPOCH,
                field::OUTCOME,
                field::DEVICE,
                field::DEVICE
            ))
        });
        let mut call = SCRIPT.key(self.key(id));
        call.arg(owner.to_string())
            .arg(epoch)
            .arg(device.as_bytes().as_slice());
        let answer: String = call.invoke_async(&mut self.connection.clone()).await?;
        Ok(match answer.as_str() {
            "won" => StoreClaimOutcome::Won,
            "other" => StoreClaimOutcome::Other,
            "ended" => StoreClaimOutcome::Ended,
            "unknown" => StoreClaimOutcome::Unknown,
            _ => StoreClaimOutcome::Fenced,
        })
    }

    /// Writes which device has the session now, as the owner at this epoch.
    pub(super) async fn set_device(&self, record: &Record) -> Result<(), RedisError> {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
            Script::new(&format!(
                "local owner, epoch = unpack(redis.call('HMGET', KEYS[1], '{}', '{}'))
                 if owner ~= ARGV[1] or epoch ~= ARGV[2] then return 0 end
                 redis.call('HSET', KEYS[1], '{}', ARGV[3])
                 return 1",
                field::OWNER,
                field::EPOCH,
                field::DEVICE
            ))
        });
        let Some(device) = &record.device else {
            return Ok(());
        };
        let mut call = SCRIPT.key(self.key(record.id));
        call.arg(record.owner.to_string())
            .arg(record.epoch)
            .arg(device.as_bytes().as_slice());
        call.invoke_async::<i64>(&mut self.connection.clone())
            .await
            .map(drop)
    }

    /// Writes how a session ended, once; it is forgotten after `retention`.
    pub(super) async fn end(
        &self,
        id: SessionId,
        outcome: Outcome,
        retention: Duration,
    ) -> Result<(), RedisError> {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
            Script::new(&format!(
                "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
                 if redis.call('HSETNX', KEYS[1], '{}', ARGV[1]) == 1 then
                   redis.call('EXPIRE', KEYS[1], ARGV[2])
                 end
                 return 1",
                field::OUTCOME
            ))
        });
        let mut call = SCRIPT.key(self.key(id));
        call.arg(outcome.as_str()).arg(retention.as_secs().max(1));
        call.invoke_async::<i64>(&mut self.connection.clone())
            .await
            .map(drop)
    }

    fn key(&self, id: SessionId) -> String {
        format!("{}:session:{id}", self.prefix)
    }

    fn channel(&self, node: Option<NodeId>) -> String {
        match node {
            Some(node) => format!("{}:node:{node}", self.prefix),
            None => format!("{}:nodes", self.prefix),
        }
    }
}
