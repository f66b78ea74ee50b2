//! The two least things that could relay at all: what the kernel alone costs.

use std::{
    collections::HashMap,
    io::{self, BufRead, Write},
    mem,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
};

use anyhow::{Context, Result};
use authloop_relay::PathAddr;

use crate::net::{BATCH_SIZE, SideSocket};

/// Marks a registration; no packet of the load begins with it.
const REGISTRATION_BYTE: u8 = b'R';
const MAX_DATAGRAM_BYTES: usize = 2048;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FloorKind {
    /// `recvfrom` and `sendto`.
    Recvfrom,
    /// `recvmmsg` and `sendmmsg`.
    Sendmmsg,
}

/// Serves on a port of the system's choice, which it prints, until standard input ends.
pub(crate) fn run(floor: FloorKind) -> Result<()> {
    let socket = socket2::Socket::from(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
    socket.set_recv_buffer_size(8 << 20)?;
    socket.set_send_buffer_size(8 << 20)?;
    let socket = UdpSocket::from(socket);
    let mut out = io::stdout().lock();
    writeln!(out, "{}", socket.local_addr()?)?;
    out.flush()?;
    std::thread::spawn(move || match floor {
        FloorKind::Recvfrom => recvfrom_sendto(&socket),
        FloorKind::Sendmmsg => sendmmsg(&socket),
    });
    for line in io::stdin().lock().lines() {
        line?;
    }
    Ok(())
}

/// Who is whose other half.
#[derive(Default)]
struct FloorRoutes {
    half: HashMap<u32, SocketAddr>,
    other: HashMap<PathAddr, SocketAddr>,
}

impl FloorRoutes {
    /// The destination, or nothing if the datagram was a registration.
    fn route(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<SocketAddr> {
        if let [REGISTRATION_BYTE, id @ ..] = datagram {
            let id = u32::from_be_bytes(id.try_into().ok()?);
            match self.half.remove(&id) {
                Some(other) if other != from => {
                    self.other.insert(other.into(), from);
                    self.other.insert(from.into(), other);
                }
                _ => drop(self.half.insert(id, from)),
            }
            return None;
        }
        self.other.get(&from.into()).copied()
    }
}

/// Pairs session `n`'s two sides at a floor.
pub(crate) fn connect(sides: [&mut SideSocket; 2], sessions: u32) -> Result<()> {
    for side in sides {
        for n in 0..sessions {
            side.push(n, |out| {
                out.push(REGISTRATION_BYTE);
                out.extend_from_slice(&n.to_be_bytes());
            })?;
        }
        side.flush()?;
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(())
}

/// `recvfrom`, look up, `sendto`, for ever.
fn recvfrom_sendto(socket: &UdpSocket) -> Result<()> {
    let mut table = FloorRoutes::default();
    let mut buffer = [0; MAX_DATAGRAM_BYTES];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        if let Some(to) = table.route(from, &buffer[..length]) {
            // A full buffer loses the packet, as the relay would.
            let _ = socket.send_to(&buffer[..length], to);
        }
    }
}

/// `recvmmsg`, look up, `sendmmsg`, for ever; blocks for the first datagram of a batch.
fn sendmmsg(socket: &UdpSocket) -> Result<()> {
    let mut table = FloorRoutes::default();
    let mut buffers = vec![[0u8; MAX_DATAGRAM_BYTES]; BATCH_SIZE];
    // SAFETY: all zeroes is a valid name, vector or header.
    let (mut names, mut vectors, mut messages): (
        [libc::sockaddr_in; BATCH_SIZE],
        [libc::iovec; BATCH_SIZE],
        [libc::mmsghdr; BATCH_SIZE],
    ) = unsafe { mem::zeroed() };
    loop {
        for at in 0..BATCH_SIZE {
            vectors[at].iov_base = buffers[at].as_mut_ptr().cast();
            vectors[at].iov_len = MAX_DATAGRAM_BYTES;
            messages[at].msg_hdr.msg_name = (&raw mut names[at]).cast();
            messages[at].msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as _;
            messages[at].msg_hdr.msg_iov = &raw mut vectors[at];
            messages[at].msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: every header points into arrays that live as long as the loop.
        let received = unsafe {
            let (fd, flags) = (socket.as_raw_fd(), libc::MSG_WAITFORONE as _);
            libc::recvmmsg(
                fd,
                messages.as_mut_ptr(),
                BATCH_SIZE as u32,
                flags,
                std::ptr::null_mut(),
            )
        };
        let received = usize::try_from(received)
            .map_err(|_| io::Error::last_os_error())
            .context("recvmmsg")?;
        let mut due = 0;
        for at in 0..received {
            let length = messages[at].msg_len as usize;
            let from = SocketAddr::from((
                u32::from_be(names[at].sin_addr.s_addr).to_be_bytes(),
                u16::from_be(names[at].sin_port),
            ));
            let Some(SocketAddr::V4(to)) = table.route(from, &buffers[at][..length]) else {
                continue;
            };
            vectors[due].iov_base = buffers[at].as_mut_ptr().cast();
            vectors[due].iov_len = length;
            names[due].sin_family = libc::AF_INET as _;
            names[due].sin_addr.s_addr = u32::from(*to.ip()).to_be();
            names[due].sin_port = to.port().to_be();
            due += 1;
        }
        // SAFETY: as above. What the kernel has no room for is lost, as it would be at the relay.
        unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), due as u32, 0) };
    }
}
