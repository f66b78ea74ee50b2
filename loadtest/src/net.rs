//! One socket that speaks for ten thousand addresses.
//!
//! All of 127.0.0.0/8 is local on Linux, and `IP_PKTINFO` picks the source of each datagram. So a
//! leg needs an address of its own but no socket of its own, and the generator stays cheap.

use std::{
    io, mem,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::AsRawFd,
};

use anyhow::{Context, Result, bail};

/// Datagrams per system call.
pub(crate) const BATCH_SIZE: usize = 64;
const MAX_DATAGRAM_BYTES: usize = 2048;
const CONTROL_BYTES: usize = 32;

/// A side's socket, the server it talks to, and its batches.
pub(crate) struct SideSocket {
    socket: socket2::Socket,
    side: u8,
    server: libc::sockaddr_in,
    queue: Vec<(u32, Vec<u8>)>,
    queued: usize,
    buffers: Vec<[u8; MAX_DATAGRAM_BYTES]>,
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct ControlMessage([u8; CONTROL_BYTES]);

/// Refuses any address that load must not go to.
pub(crate) fn loopback_only(addr: SocketAddr) -> Result<SocketAddrV4> {
    match addr {
        SocketAddr::V4(addr) if addr.ip().is_loopback() => Ok(addr),
        other => bail!("load goes to 127.0.0.0/8 only, not to {other}"),
    }
}

impl SideSocket {
    /// Side 1 speaks from 127.1.x.y, side 2 from 127.2.x.y.
    pub(crate) fn new(side: u8, server: SocketAddr) -> Result<Self> {
        let server = loopback_only(server)?;
        let udp = Some(socket2::Protocol::UDP);
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, udp)?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(8 << 20)?;
        socket.set_send_buffer_size(8 << 20)?;
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        socket.bind(&any.into()).context("no port for the load")?;
        Ok(Self {
            socket,
            side,
            server: libc::sockaddr_in {
                sin_family: libc::AF_INET as _,
                sin_port: server.port().to_be(),
                sin_addr: libc::in_addr {
                    s_addr: u32::from(*server.ip()).to_be(),
                },
                sin_zero: [0; 8],
            },
            queue: vec![(0, Vec::with_capacity(MAX_DATAGRAM_BYTES)); BATCH_SIZE],
            queued: 0,
            buffers: vec![[0; MAX_DATAGRAM_BYTES]; BATCH_SIZE],
        })
    }

    #[cfg(test)]
    fn addr(&self, n: u32) -> Result<SocketAddr> {
        let local = self
            .socket
            .local_addr()?
            .as_socket()
            .context("no address")?;
        Ok(SocketAddr::from((Ipv4Addr::from(self.ip(n)), local.port())))
    }

    /// Queues what `write` puts into the datagram that session `n` sends; sends when full.
    pub(crate) fn push(&mut self, n: u32, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let ip = self.ip(n);
        let (source, bytes) = &mut self.queue[self.queued];
        *source = ip;
        bytes.clear();
        write(bytes);
        self.queued += 1;
        match self.queued {
            BATCH_SIZE => self.flush(),
            _ => Ok(()),
        }
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let count = mem::take(&mut self.queued);
        if count == 0 {
            return Ok(());
        }
        // SAFETY: all zeroes is a valid header, vector or control buffer.
        let (mut messages, mut vectors): ([libc::mmsghdr; BATCH_SIZE], [libc::iovec; BATCH_SIZE]) =
            unsafe { (mem::zeroed(), mem::zeroed()) };
        let mut controls = [ControlMessage([0; CONTROL_BYTES]); BATCH_SIZE];
        for at in 0..count {
            let (source, bytes) = &self.queue[at];
            controls[at] = ControlMessage::source(*source);
            vectors[at] = libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            };
            let header = &mut messages[at].msg_hdr;
            header.msg_name = std::ptr::from_ref(&self.server).cast_mut().cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as _;
            header.msg_iov = &raw mut vectors[at];
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut controls[at]).cast();
            header.msg_controllen = CONTROL_BYTES as _;
        }
        let mut next = 0;
        while next < count {
            let left = &mut messages[next..count];
            // SAFETY: every header points into the arrays above and the queue, all alive here.
            let sent = unsafe {
                libc::sendmmsg(
                    self.socket.as_raw_fd(),
                    left.as_mut_ptr(),
                    left.len() as u32,
                    0,
                )
            };
            match usize::try_from(sent) {
                Ok(sent) => next += sent,
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::WouldBlock {
                        return Err(error).context("sending load");
                    }
                }
            }
        }
        Ok(())
    }

    /// Receives what is there, up to a batch, and shows each datagram.
    pub(crate) fn receive(&mut self, mut show: impl FnMut(&[u8]) -> Result<()>) -> Result<usize> {
        // SAFETY: all zeroes is a valid header or vector.
        let (mut messages, mut vectors): ([libc::mmsghdr; BATCH_SIZE], [libc::iovec; BATCH_SIZE]) =
            unsafe { (mem::zeroed(), mem::zeroed()) };
        for at in 0..BATCH_SIZE {
            vectors[at] = libc::iovec {
                iov_base: self.buffers[at].as_mut_ptr().cast(),
                iov_len: MAX_DATAGRAM_BYTES,
            };
            messages[at].msg_hdr.msg_iov = &raw mut vectors[at];
            messages[at].msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: every header points at a vector, and that at a buffer, all alive here.
        let received = unsafe {
            let flags = libc::MSG_DONTWAIT as _;
            let fd = self.socket.as_raw_fd();
            libc::recvmmsg(
                fd,
                messages.as_mut_ptr(),
                BATCH_SIZE as u32,
                flags,
                std::ptr::null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error).context("receiving load"),
            };
        };
        for (message, buffer) in std::iter::zip(&messages[..received], &self.buffers) {
            show(&buffer[..(message.msg_len as usize).min(MAX_DATAGRAM_BYTES)])?;
        }
        Ok(received)
    }

    fn ip(&self, n: u32) -> u32 {
        u32::from_be_bytes([127, self.side, (n / 250) as u8, (n % 250) as u8 + 1])
    }
}

impl ControlMessage {
    /// `IP_PKTINFO` with the source address (host order).
    fn source(ip: u32) -> Self {
        let mut bytes = [0; CONTROL_BYTES];
        // SAFETY: the length is a constant's; nothing is dereferenced.
        let length = unsafe { libc::CMSG_LEN(size_of::<libc::in_pktinfo>() as u32) } as usize;
        bytes[..8].copy_from_slice(&length.to_ne_bytes());
        bytes[8..12].copy_from_slice(&libc::IPPROTO_IP.to_ne_bytes());
        bytes[12..16].copy_from_slice(&libc::IP_PKTINFO.to_ne_bytes());
        // The interface's index stays zero: any.
        bytes[20..24].copy_from_slice(&ip.to_be_bytes());
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_never_leaves_the_machine() {
        let refused = ["192.0.2.1:3478", "[::1]:3478", "10.0.0.1:1"];

        assert!(
            refused
                .iter()
                .all(|addr| loopback_only(addr.parse().unwrap()).is_err())
        );
    }

    #[test]
    fn each_session_speaks_from_an_address_of_its_own() {
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut side = SideSocket::new(2, receiver.local_addr().unwrap()).unwrap();

        side.push(251, |out| out.push(7)).unwrap();
        side.flush().unwrap();

        let (length, from) = receiver.recv_from(&mut [0; 9]).unwrap();
        assert_eq!((length, from), (1, side.addr(251).unwrap()));
    }
}
