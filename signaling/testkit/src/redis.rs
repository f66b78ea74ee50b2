//! A Redis of the test's own, and a connection to it that can be cut.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use authloop_signaling::{Cluster, ClusterSettings};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep},
};

use crate::{TEST_TIMEOUT, random};

/// Debian's `redis-server` on a free loopback port, without a file of its own.
pub struct RedisServer {
    port: u16,
    process: Child,
}

impl std::fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisServer").finish_non_exhaustive()
    }
}

impl RedisServer {
    /// Starts one, and waits until it answers.
    pub async fn start() -> Self {
        let port = free_port();
        let mut redis = Self {
            port,
            process: spawn(port),
        };
        redis.wait().await;
        redis
    }

    /// What nodes need to know to meet here.
    #[must_use]
    pub fn settings(&self) -> ClusterSettings {
        settings(self.port)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Makes it a replica of nobody who is there: it takes no writes any more.
    pub async fn become_replica(&self) {
        let mut redis = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        redis.write_all(b"REPLICAOF 127.0.0.1 1\r\n").await.unwrap();
        let mut answer = [0; 5];
        redis.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"+OK\r\n");
    }

    /// A forwarder to it whose connections can be cut.
    pub async fn proxy(&self) -> RedisProxy {
        RedisProxy::to(([127, 0, 0, 1], self.port).into()).await
    }

    /// Dies, and comes back after this time, having forgotten everything.
    pub async fn restart(&mut self, after: Duration) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        sleep(after).await;
        self.process = spawn(self.port);
        self.wait().await;
    }

    async fn wait(&mut self) {
        let started = Instant::now();
        while let Err(error) = Cluster::try_out(&self.settings()).await {
            assert!(started.elapsed() < TEST_TIMEOUT, "redis-server: {error}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A TCP forwarder to a Redis.
pub struct RedisProxy {
    /// What nodes need to know to meet behind it.
    pub settings: ClusterSettings,
    whole: watch::Sender<bool>,
    redis: watch::Sender<SocketAddr>,
    silences: watch::Sender<u64>,
}

impl std::fmt::Debug for RedisProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisProxy").finish_non_exhaustive()
    }
}

impl RedisProxy {
    async fn to(redis: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (whole, is_whole) = watch::channel(true);
        let (redis, behind) = watch::channel(redis);
        let (silences, silenced) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (mut is_whole, mut silenced) = (is_whole.clone(), silenced.clone());
                silenced.mark_unchanged();
                let redis = *behind.borrow();
                tokio::spawn(async move {
                    if !*is_whole.borrow() {
                        return;
                    }
                    let Ok(mut far) = TcpStream::connect(redis).await else {
                        return;
                    };
                    let is_forgotten = tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => false,
                        _ = is_whole.wait_for(|whole| !whole) => false,
                        changed = silenced.changed() => changed.is_ok(),
                    };
                    // Both ends stay open, and hear nothing more of each other.
                    if is_forgotten {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self {
            settings: settings(port),
            whole,
            redis,
            silences,
        }
    }

    /// Forgets every connection as a firewall does that is restarted: nothing passes any more, and nobody is
    /// told. New ones pass.
    pub fn forget(&self) {
        self.silences.send_modify(|count| *count += 1);
    }

    /// Leads new connections to another Redis; those that are there stay where they are.
    pub fn lead_to(&self, redis: &RedisServer) {
        self.redis.send_replace(([127, 0, 0, 1], redis.port).into());
    }

    /// Cuts every connection, and lets none through.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

/// Below the ports that Linux gives to a socket that asks for any: while Redis is away, a node that connects
/// to its port must find nobody there, not itself.
fn free_port() -> u16 {
    loop {
        let port = 15_000 + u16::from_be_bytes(random()) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn settings(port: u16) -> ClusterSettings {
    ClusterSettings::new(&format!("redis://127.0.0.1:{port}"), "test").unwrap()
}

fn spawn(port: u16) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string()])
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is missing: script/bootstrap --tests")
}
