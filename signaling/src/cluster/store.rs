//! Redis: each change of a session is one script, so that no node ever sees half of one.

mod beats;
mod connection;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use authloop_protocol::{device::DeviceKey, id::SessionId, signal::Outcome};
use redis::{AsyncCommands as _, Client, RedisError, Script, aio::PubSub};
use tokio::sync::watch;

use self::connection::RedisConnection;
use super::{
    nodes::NodeId,
    record::{Record, field},
};

pub(super) use beats::LEASE_DURATION;

/// Keys and channels of one group of nodes.
#[derive(Clone)]
pub(super) struct Store {
    connection: RedisConnection,
    prefix: String,
    /// How far this machine's clock is ahead of Redis's, in ms. Records are written by Redis's.
    clock_ahead_ms: Arc<AtomicI64>,
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
        let store = Self {
            connection: RedisConnection::open(url).await?,
            prefix,
            clock_ahead_ms: Arc::default(),
        };
        store.try_write().await?;
        Ok(store)
    }

    /// Makes a new connection if after this error the old one is of no more use.
    pub(super) async fn replace_connection_after(&self, error: &RedisError) {
        self.connection.replace_after(error).await;
    }

    /// Tells when the connection has been replaced: the server behind the name may be another.
    pub(super) fn replacements(&self) -> watch::Receiver<u64> {
        self.connection.replacements()
    }

    /// Publishes and subscribes to a channel under this group's prefix, beside what [`Store::connect`] tried.
    pub(super) async fn try_out(&self) -> Result<(), RedisError> {
        let nobody = NodeId::from_bytes([0; 8]);
        self.publish(Some(nobody), String::new()).await?;
        self.subscribe(nobody).await.map(drop)
    }

    /// Writes by a script, which a replica, a full Redis and a part of a Redis Cluster refuse.
    async fn try_write(&self) -> Result<(), RedisError> {
        let script = Script::new(
            "redis.call('HSET', KEYS[1], 'tried', 1)
             return redis.call('EXPIRE', KEYS[1], 1)",
        );
        let call = script.key(self.key(SessionId([0; 16])));
        let tried = call.invoke_async::<i64>(&mut self.connection.get()).await;
        tried.map(drop)
    }

    /// A connection of its own, subscribed to the node's channel and to everyone's.
    pub(super) async fn subscribe(&self, node_id: NodeId) -> Result<PubSub, RedisError> {
        let channels = [self.channel(Some(node_id)), self.channel(None)];
        self.connection.subscribe(&channels).await
    }

    /// Says something to one node, or to all; tells how many listened.
    pub(super) async fn publish(
        &self,
        to: Option<NodeId>,
        text: String,
    ) -> Result<usize, RedisError> {
        let mut connection = self.connection.get();
        connection.publish(self.channel(to), text).await
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
        let record = record.shifted(-self.clock_ahead());
        call.arg(record.expires_at.saturating_add(retention.as_secs()));
        for (name, value) in record.fields() {
            call.arg(name).arg(value);
        }
        call.invoke_async(&mut self.connection.get()).await
    }

    /// Reads a session; one that cannot be read counts as none.
    pub(super) async fn load(&self, id: SessionId) -> Result<Option<Record>, RedisError> {
        let fields: HashMap<String, Vec<u8>> = self.connection.get().hgetall(self.key(id)).await?;
        let record = Record::parse(id, &fields);
        Ok(record.map(|record| record.shifted(self.clock_ahead())))
    }

    /// Writes again what this node, its owner, holds of a session, unless Redis knows better: a later epoch,
    /// or this one at another node or with a device, or that it has ended. `false` if it does.
    pub(super) async fn restore(
        &self,
        record: &Record,
        retention: Duration,
    ) -> Result<bool, RedisError> {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
            Script::new(&format!(
                "if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
                 local owner, epoch, outcome, device =
                   unpack(redis.call('HMGET', KEYS[1], '{}', '{}', '{}', '{}'))
                 if outcome then return 0 end
                 if owner then
                   local theirs, mine = tonumber(epoch), tonumber(ARGV[3])
                   if theirs > mine then return 0 end
                   if theirs == mine and (device or ARGV[4] == '') then
                     return owner == ARGV[2] and device == ARGV[4] and 1 or 0
                   end
                 end
                 redis.call('DEL', KEYS[1])
                 redis.call('HSET', KEYS[1], unpack(ARGV, 5))
                 redis.call('EXPIREAT', KEYS[1], ARGV[1])
                 return 1",
                field::OWNER,
                field::EPOCH,
                field::OUTCOME,
                field::DEVICE,
            ))
        });
        let device = record.device.as_ref();
        let device = device.map_or_else(Vec::new, |device| device.as_bytes().to_vec());
        let record = record.shifted(-self.clock_ahead());
        let mut call = SCRIPT.key(self.key(record.id));
        call.key(self.ended_key(record.id))
            .arg(record.expires_at.saturating_add(retention.as_secs()))
            .arg(record.owner.to_string())
            .arg(record.epoch)
            .arg(device);
        for (name, value) in record.fields() {
            call.arg(name).arg(value);
        }
        call.invoke_async(&mut self.connection.get()).await
    }

    /// How far this machine's clock is ahead of Redis's, in ms.
    fn clock_ahead(&self) -> i64 {
        self.clock_ahead_ms.load(Ordering::Relaxed)
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
        call.invoke_async(&mut self.connection.get()).await
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
        let answer: String = call.invoke_async(&mut self.connection.get()).await?;
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
        call.invoke_async::<i64>(&mut self.connection.get())
            .await
            .map(drop)
    }

    /// Writes how a session ended, once; that is forgotten after `retention`, and that it ended not before it
    /// would have expired: a node that was away all the while must not bring it back.
    pub(super) async fn end(
        &self,
        id: SessionId,
        outcome: Outcome,
        retention: Duration,
    ) -> Result<(), RedisError> {
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
            Script::new(&format!(
                "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
                 local left = redis.call('TTL', KEYS[1])
                 if redis.call('HSETNX', KEYS[1], '{}', ARGV[1]) == 1 then
                   redis.call('EXPIRE', KEYS[1], ARGV[2])
                   redis.call('SET', KEYS[2], 1, 'EX', math.max(left, ARGV[2]))
                 end
                 return 1",
                field::OUTCOME
            ))
        });
        let mut call = SCRIPT.key(self.key(id));
        call.key(self.ended_key(id));
        call.arg(outcome.as_str()).arg(retention.as_secs().max(1));
        call.invoke_async::<i64>(&mut self.connection.get())
            .await
            .map(drop)
    }

    fn key(&self, id: SessionId) -> String {
        format!("{}:session:{id}", self.prefix)
    }

    fn ended_key(&self, id: SessionId) -> String {
        format!("{}:ended:{id}", self.prefix)
    }

    fn channel(&self, node: Option<NodeId>) -> String {
        match node {
            Some(node) => format!("{}:node:{node}", self.prefix),
            None => format!("{}:nodes", self.prefix),
        }
    }
}
