//! A server under test, in a process of its own so that its time and memory can be told apart.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use authloop_relay::Leg;
use serde::Serialize;

use crate::{floor, ice, net::SideSocket, proc, turn};

/// The server that load is driven through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SubjectKind {
    /// authloop's relay.
    Relay,
    /// The floor of one system call a packet and direction.
    Recvfrom,
    /// The floor of batched system calls.
    Sendmmsg,
    /// coturn, two allocations a session.
    Coturn,
    /// The `turn-server` crate, two allocations a session.
    TurnServer,
}

/// Where to find the servers' binaries, and where they may run.
#[derive(Debug, Clone)]
pub(crate) struct SubjectConfig {
    /// The authloop server's.
    pub authloop: PathBuf,
    /// coturn's binary.
    pub coturn: PathBuf,
    /// The `turn-server` crate's binary.
    pub turn_server: PathBuf,
    /// The processor that servers are bound to.
    pub cpu: Option<usize>,
    /// How long packets may gather at the relay, in microseconds, if not as long as usual.
    pub gather: Option<u64>,
}

/// A running server with its sessions connected.
pub(crate) struct Subject {
    kind: SubjectKind,
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// The hosts' side of every session.
    pub host: SideSocket,
    /// The viewers' side.
    pub viewer: SideSocket,
}

impl Subject {
    /// Starts a server.
    pub(crate) fn start(kind: SubjectKind, config: &SubjectConfig) -> Result<Self> {
        let own = std::env::current_exe()?;
        let own = own.to_str().context("this binary's path is not UTF-8")?;
        let port = free_port()?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let args: Vec<String> = match kind {
            SubjectKind::Relay => relay(config),
            SubjectKind::Recvfrom => to_strings(&[own, "floor", "recvfrom"]),
            SubjectKind::Sendmmsg => to_strings(&[own, "floor", "sendmmsg"]),
            SubjectKind::Coturn => coturn(&config.coturn.to_string_lossy(), port),
            SubjectKind::TurnServer => turn_server(&config.turn_server.to_string_lossy(), listen)?,
        };
        let mut command = match config.cpu {
            Some(cpu) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &cpu.to_string()]).args(&args);
                command
            }
            None => {
                let mut command = Command::new(&args[0]);
                command.args(&args[1..]);
                command
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", args[0]))?;
        let mut stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let addr = match kind {
            SubjectKind::Relay | SubjectKind::Recvfrom | SubjectKind::Sendmmsg => {
                let mut line = String::new();
                stdout.read_line(&mut line)?;
                line.trim()
                    .parse()
                    .context("the server did not say where it listens")?
            }
            SubjectKind::Coturn | SubjectKind::TurnServer => {
                std::thread::sleep(Duration::from_millis(700));
                listen
            }
        };
        if let Some(status) = child.try_wait()? {
            bail!("{} ended at once: {status}", args[0]);
        }
        Ok(Self {
            kind,
            child,
            stdout,
            host: SideSocket::new(1, addr)?,
            viewer: SideSocket::new(2, addr)?,
        })
    }

    /// Opens and connects `sessions` sessions.
    pub(crate) fn connect(&mut self, sessions: u32) -> Result<()> {
        match self.kind {
            SubjectKind::Relay => {
                let locals = self.open(sessions)?;
                let legs: (Vec<_>, Vec<_>) = locals.into_iter().unzip();
                ice::connect(&mut self.host, Leg::Host, &legs.0)?;
                ice::connect(&mut self.viewer, Leg::Viewer, &legs.1)
            }
            SubjectKind::Recvfrom | SubjectKind::Sendmmsg => {
                floor::connect([&mut self.host, &mut self.viewer], sessions)
            }
            SubjectKind::Coturn | SubjectKind::TurnServer => {
                turn::connect([&mut self.host, &mut self.viewer], sessions)
            }
        }
    }

    /// Whether payloads travel in ChannelData.
    pub(crate) fn is_turn(&self) -> bool {
        matches!(self.kind, SubjectKind::Coturn | SubjectKind::TurnServer)
    }

    /// Processor time of all the server's threads so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        proc::cpu(self.child.id())
    }

    /// Resident memory in bytes.
    pub(crate) fn rss(&self) -> Result<u64> {
        proc::rss(self.child.id())
    }

    /// What the relay counted, for a look inside.
    pub(crate) fn stats(&mut self) -> Result<String> {
        self.send_command("stats")?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line)
    }

    fn open(
        &mut self,
        sessions: u32,
    ) -> Result<Vec<(ice::RelayCredentials, ice::RelayCredentials)>> {
        let mut locals = Vec::with_capacity(sessions as usize);
        for n in 0..sessions {
            let id = u128::from_be_bytes(ice::session_id(n));
            self.send_command(&format!("open {id:032x} {} {}", ice::ufrag(n), ice::PWD))?;
            let mut line = String::new();
            self.stdout.read_line(&mut line)?;
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let [hu, hp, vu, vp] = <[String; 4]>::try_from(words)
                .ok()
                .context("the relay did not open a session")?;
            locals.push((
                ice::RelayCredentials { ufrag: hu, pwd: hp },
                ice::RelayCredentials { ufrag: vu, pwd: vp },
            ));
        }
        Ok(locals)
    }

    fn send_command(&mut self, line: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("no stdin")?;
        writeln!(stdin, "{line}")?;
        Ok(stdin.flush()?)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn relay(config: &SubjectConfig) -> Vec<String> {
    let mut args = to_strings(&[&config.authloop.to_string_lossy(), "relay-only"]);
    args.extend(
        config
            .gather
            .map(|micros| format!("--gather-micros={micros}")),
    );
    args
}

fn coturn(binary: &str, port: u16) -> Vec<String> {
    let mut args = to_strings(&[
        binary,
        "-n",
        "--no-tls",
        "--no-dtls",
        "--no-cli",
        "--lt-cred-mech",
        "--fingerprint",
        "--allow-loopback-peers",
        "--listening-ip=127.0.0.1",
        "--relay-ip=127.0.0.1",
        "--min-port=20000",
        "--max-port=65000",
        "--relay-threads=1",
        "--log-file=stdout",
        "--simple-log",
        "--no-stdout-log",
        "--pidfile=/dev/null",
        "--no-rfc5780",
    ]);
    args.push(format!("--listening-port={port}"));
    args.push(format!("--realm={}", turn::REALM));
    args.push(format!("--user={}:{}", turn::USER, turn::PASSWORD));
    args
}

fn turn_server(binary: &str, listen: SocketAddr) -> Result<Vec<String>> {
    let config = format!(
        "[server]\nport-range = \"20000..65000\"\nmax-threads = 1\nrealm = \"{}\"\n\
         [[server.interfaces]]\ntransport = \"udp\"\nlisten = \"{listen}\"\n\
         external = \"{listen}\"\nidle-timeout = 600\nmtu = 1500\n\
         [log]\nlevel = \"error\"\nstdout = false\n\
         [auth]\nenable-hooks-auth = false\n[auth.static-credentials]\n{} = \"{}\"\n",
        turn::REALM,
        turn::USER,
        turn::PASSWORD,
    );
    let path = std::env::temp_dir().join(format!("authloop-loadtest-{}.toml", listen.port()));
    std::fs::write(&path, config)?;
    Ok(to_strings(&[
        binary,
        &format!("--config={}", path.display()),
    ]))
}

fn free_port() -> Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn to_strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
