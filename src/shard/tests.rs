//! A relay on loopback, as an endpoint and as the server see it.

use std::{
    net::{IpAddr, Ipv6Addr, UdpSocket},
    time::Duration,
};

use authloop_relay::{
    DropReason, PathAddr, RelayError, StunOutcome,
    stun::{self, BindingMessage, BindingRequest, StunClass, TransactionId},
};

use super::*;

const PWD: &str = "0123456789012345678901";

struct Endpoint {
    socket: UdpSocket,
    ice: LegIceParameters,
    checks: u8,
}

impl Endpoint {
    fn new(ice: LegIceParameters) -> Self {
        Self::over(UdpSocket::bind("127.0.0.1:0").unwrap(), ice)
    }

    fn over(socket: UdpSocket, ice: LegIceParameters) -> Self {
        socket.connect(ice.candidates[0]).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        Self {
            socket,
            ice,
            checks: 0,
        }
    }

    /// Checks the leg, and answers the relay's own check.
    fn connect(&mut self) {
        self.connect_unproven();
        if self.checks == 1 {
            self.answer();
        }
    }

    /// Checks the leg.
    fn connect_unproven(&mut self) {
        self.send_check();
        let answer = self.receive();
        let answer = BindingMessage::parse(&answer).unwrap();
        assert_eq!(answer.class(), StunClass::Success);
        assert!(answer.integrity_holds(self.ice.pwd.as_bytes()));
    }

    fn send_check(&mut self) {
        self.checks += 1;
        let mut out = Vec::new();
        BindingRequest {
            transaction_id: TransactionId([self.checks; 12]),
            to_ufrag: self.ice.ufrag.as_bytes(),
            from_ufrag: b"mine",
            pwd: self.ice.pwd.as_bytes(),
            priority: 1,
            controlling: Some(1),
            use_candidate: true,
        }
        .write(&mut out);
        self.socket.send(&out).unwrap();
    }

    fn answer(&self) {
        let check = self.receive();
        let check = BindingMessage::parse(&check).unwrap();
        assert!(check.integrity_holds(PWD.as_bytes()));
        let relay = PathAddr::from(self.ice.candidates[0]);
        let mut out = Vec::new();
        let id = check.transaction_id();
        stun::write_binding_success(&mut out, id, relay, PWD.as_bytes(), true);
        self.socket.send(&out).unwrap();
    }

    fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let length = self.socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }
}

fn relay(listen: &str, shards: usize) -> (RelayHandle, mpsc::Receiver<RelayEvent>) {
    let listen: SocketAddr = listen.parse().unwrap();
    start(&RelayConfig {
        listen,
        advertise: vec!["127.0.0.1".parse().unwrap()],
        shards,
        coalesce_delay: RelayConfig::DEFAULT_COALESCE_DELAY,
    })
    .unwrap()
}

async fn connect(relay: &RelayHandle, session: [u8; 16]) -> [Endpoint; 2] {
    let legs = relay.open(session).await.unwrap();
    for leg in [Leg::Host, Leg::Viewer] {
        relay.set_remote(session, leg, "mine", PWD).await.unwrap();
    }
    legs.map(|ice| {
        let mut endpoint = Endpoint::new(ice);
        endpoint.connect();
        endpoint
    })
}

#[tokio::test]
async fn packets_cross_in_order_whatever_their_sizes() {
    for listen in ["127.0.0.1:0", "[::]:0"] {
        let (relay, mut events) = relay(listen, 1);
        let [host, viewer] = connect(&relay, [1; 16]).await;
        let sizes = [1200, 1200, 1200, 700, 1200, 30, 1200, 1200, 1, 1472];

        for (n, size) in sizes.into_iter().enumerate() {
            let mut packet = vec![128; size];
            *packet.last_mut().unwrap() = 128 + n as u8;
            host.socket.send(&packet).unwrap();
        }

        for (n, size) in sizes.into_iter().enumerate() {
            let packet = viewer.receive();
            assert_eq!(
                (packet.len(), packet[size - 1]),
                (size, 128 + n as u8),
                "{listen}"
            );
        }
        let connected = [events.recv().await, events.recv().await];
        let session = RelaySessionId([1; 16]);
        assert_eq!(
            connected,
            [Leg::Host, Leg::Viewer].map(|leg| Some(RelayEvent::LegConnected { session, leg }))
        );
    }
}

/// An address of this machine's that the system would not choose by itself to answer from.
const SECOND: &str = "127.0.0.3";

#[tokio::test]
async fn a_relay_at_every_address_answers_from_the_one_that_was_asked() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let (relay, _events) = relay(listen, 1);
        let mut legs = relay.open([1; 16]).await.unwrap();
        for leg in [Leg::Host, Leg::Viewer] {
            relay.set_remote([1; 16], leg, "mine", PWD).await.unwrap();
        }
        legs[1].candidates[0].set_ip(SECOND.parse().unwrap());

        // Their sockets are connected: from elsewhere they take nothing.
        let [host, viewer] = legs.map(|ice| {
            let mut endpoint = Endpoint::new(ice);
            endpoint.connect();
            endpoint
        });
        // Of one size they leave in one call, cut by the kernel.
        for _ in 0..20 {
            host.socket.send(&[128; 900]).unwrap();
        }

        for _ in 0..20 {
            assert_eq!(viewer.receive(), [128; 900], "{listen}");
        }
        viewer.socket.send(&[128; 30]).unwrap();
        assert_eq!(host.receive(), [128; 30], "{listen}");
        assert_eq!(relay.stats().await.unwrap().socket.send_errors, 0);
    }
}

#[tokio::test]
async fn a_relay_of_both_families_answers_ipv6_from_the_address_that_was_asked() {
    // Only loopback has an address that every machine has; others are tried where there are some.
    let (relay, _events) = relay("[::]:0", 1);
    let mut addresses = vec![IpAddr::from(Ipv6Addr::LOCALHOST)];
    addresses.extend(global_ipv6());
    for (n, address) in addresses.into_iter().enumerate() {
        let session = [n as u8; 16];
        let [_, mut viewer] = relay.open(session).await.unwrap();
        viewer.candidates[0].set_ip(address);
        relay
            .set_remote(session, Leg::Viewer, "mine", PWD)
            .await
            .unwrap();

        // From loopback, so that the system would choose loopback for its answer.
        let mut endpoint = Endpoint::over(UdpSocket::bind("[::1]:0").unwrap(), viewer);
        endpoint.connect();
    }
}

/// An address of this machine's in IPv6, if it has one beside loopback.
fn global_ipv6() -> Option<IpAddr> {
    let socket = UdpSocket::bind("[::]:0").ok()?;
    socket.connect("[2001:db8::1]:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback()).then_some(ip)
}

#[tokio::test]
async fn endpoints_are_told_the_ports_that_the_world_sees() {
    let advertise = ["192.0.2.1:50000", "192.0.2.2"].map(|text| text.parse().unwrap());
    let (relay, _events) = start(&RelayConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        advertise: advertise.into(),
        shards: 2,
        coalesce_delay: RelayConfig::DEFAULT_COALESCE_DELAY,
    })
    .unwrap();

    for (shard, outside) in [(0, 50_000), (1, 50_001)] {
        let mut session = [0; 16];
        session[3] = shard;
        let [host, _] = relay.open(session).await.unwrap();
        let bound = relay.0.clients[usize::from(shard)].local.port();
        let ports: Vec<u16> = host.candidates.iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [outside, bound]);
    }
}

#[tokio::test]
async fn every_shard_serves_both_legs_of_its_sessions() {
    let (relay, _events) = relay("127.0.0.1:0", 3);

    let mut ports = Vec::new();
    for n in 0..6 {
        let [host, viewer] = connect(&relay, [n; 16]).await;
        viewer.socket.send(&[20, n]).unwrap();
        assert_eq!(host.receive(), [20, n]);
        assert_eq!(host.ice.candidates, viewer.ice.candidates);
        ports.push(host.ice.candidates[0].port());
    }

    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 3);
    let stats = relay.stats().await.unwrap();
    assert_eq!((stats.sessions, stats.connected_legs), (6, 12));
    assert_eq!(stats.counters.forwarded_packets, 6);
    assert_eq!(stats.counters.stun(StunOutcome::Proven), 12);
}

#[tokio::test]
async fn a_restart_gives_new_credentials_and_a_close_ends_all() {
    let (relay, _events) = relay("127.0.0.1:0", 1);
    let [host, mut viewer] = connect(&relay, [1; 16]).await;

    let ice = relay.restart([1; 16], Leg::Viewer).await.unwrap();
    assert_ne!(ice.ufrag, viewer.ice.ufrag);
    viewer.ice = ice;
    viewer.connect();
    host.socket.send(&[20, 1]).unwrap();
    assert_eq!(viewer.receive(), [20, 1]);
    relay.close([1; 16]).await.unwrap();

    host.socket.send(&[20, 1]).unwrap();
    let unknown = relay.close([1; 16]).await;
    assert!(matches!(
        unknown,
        Err(ShardError::Relay(RelayError::UnknownSession))
    ));
    while relay
        .stats()
        .await
        .unwrap()
        .counters
        .dropped(DropReason::UnknownSource)
        == 0
    {}
}

#[tokio::test]
async fn what_was_sent_before_an_address_is_forgotten_does_not_bring_it_back() {
    const MEDIA: &[u8] = &[128; 30];
    let (relay, _events) = relay("127.0.0.1:0", 1);
    for round in 0..20 {
        let [_, viewer] = relay.open([round; 16]).await.unwrap();
        let mut viewer = Endpoint::new(viewer);
        viewer.connect_unproven();
        let local = viewer.socket.local_addr().unwrap();

        // Several batches, and at their end a check that would make the address a path.
        for _ in 0..300 {
            viewer.socket.send(MEDIA).unwrap();
        }
        viewer.send_check();
        relay.0.clients[0].forget_address(local).await.unwrap();

        assert_eq!(relay.stats().await.unwrap().connected_legs, 0, "{round}");
    }
}

#[tokio::test]
async fn a_dropped_handle_ends_the_threads_and_frees_the_port() {
    let (relay, mut events) = relay("127.0.0.1:0", 2);
    let addr = relay.open([1; 16]).await.unwrap()[0].candidates[0];

    drop(relay);

    assert_eq!(events.recv().await, None);
    UdpSocket::bind(addr).unwrap();
}

#[test]
fn a_configuration_that_cannot_work_is_refused_before_a_port_opens() {
    let config = |listen: &str, advertise: &[&str], shards| RelayConfig {
        listen: listen.parse().unwrap(),
        advertise: advertise.iter().map(|ip| ip.parse().unwrap()).collect(),
        shards,
        coalesce_delay: RelayConfig::DEFAULT_COALESCE_DELAY,
    };

    for refused in [
        config("127.0.0.1:0", &["127.0.0.1"], 0),
        config("127.0.0.1:0", &[], 1),
        config("127.0.0.1:0", &["0.0.0.0"], 1),
        config("127.0.0.1:0", &["::1"], 1),
        config("127.0.0.1:65535", &["127.0.0.1"], 2),
        config("127.0.0.1:0", &["127.0.0.1:65535"], 2),
    ] {
        let second = refused
            .shard_addr(1)
            .and_then(|addr| refused.candidates(1, addr.port()));
        assert!(matches!(
            refused.validate().and(second),
            Err(ShardError::Config(_))
        ));
    }
}
