//! Batches of received datagrams: `recvmmsg`.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
};

use authloop_relay::{MAX_DATAGRAM_BYTES, PathAddr};

use super::{
    Socket,
    batch::{BATCH_SIZE, message, set_control},
    control::ControlBuffer,
    local_addrs::LocalAddrs,
    sockaddr::RawSockAddr,
};

/// A received datagram.
pub(in crate::shard) struct Datagram<'a> {
    pub(in crate::shard) from: PathAddr,
    pub(in crate::shard) payload: &'a [u8],
    pub(in crate::shard) truncated: bool,
}

/// Buffers that the kernel fills.
pub(in crate::shard) struct RxBatch {
    pub(super) buffers: Box<[[u8; MAX_DATAGRAM_BYTES]]>,
    addresses: Box<[RawSockAddr]>,
    received: Box<[libc::mmsghdr]>,
    /// How many headers the last receive wrote to.
    written: usize,
    controls: Box<[ControlBuffer]>,
    /// Bytes of each that the kernel may fill: none where a socket has one address only.
    control_bytes: usize,
    pub(super) local_addrs: LocalAddrs,
    /// Keeps the vectors alive that `received` points to.
    _vectors: Box<[libc::iovec]>,
}

/// Whether a receive waits for its first datagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::shard) enum RecvMode {
    /// Returns at once.
    #[default]
    NonBlocking,
    /// Waits as long as the socket's timeout allows.
    BoundedWait,
}

// SAFETY: every pointer inside leads to the same value's own heap memory, which moves along with it.
unsafe impl Send for RxBatch {}

impl RxBatch {
    pub(in crate::shard) fn new(socket: &Socket) -> Self {
        let mut controls = vec![ControlBuffer::EMPTY; BATCH_SIZE].into_boxed_slice();
        let control_bytes = if socket.wildcard {
            ControlBuffer::BYTES
        } else {
            0
        };
        let mut buffers = vec![[0; MAX_DATAGRAM_BYTES]; BATCH_SIZE].into_boxed_slice();
        let mut addresses = vec![RawSockAddr::EMPTY; BATCH_SIZE].into_boxed_slice();
        let mut vectors: Box<[libc::iovec]> = buffers
            .iter_mut()
            .map(|buffer| libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: MAX_DATAGRAM_BYTES,
            })
            .collect();
        let received = std::iter::zip(&mut addresses, &mut vectors)
            .zip(&mut controls)
            .map(|((address, vector), control)| {
                let mut header = message(address, std::slice::from_mut(vector));
                if control_bytes > 0 {
                    set_control(&mut header, control, control_bytes);
                }
                header
            })
            .collect();
        Self {
            buffers,
            addresses,
            received,
            written: 0,
            controls,
            control_bytes,
            local_addrs: LocalAddrs::default(),
            _vectors: vectors,
        }
    }

    /// One datagram of the last batch.
    #[inline]
    pub(in crate::shard) fn get(&mut self, index: usize) -> Datagram<'_> {
        let header = &self.received[index];
        let length = (header.msg_len as usize).min(MAX_DATAGRAM_BYTES);
        let mut from = self.addresses[index].addr();
        if self.control_bytes > 0 {
            let destination = self.controls[index].destination(header.msg_hdr.msg_controllen);
            from = from.with_local(self.local_addrs.id_of(destination));
        }
        Datagram {
            from,
            payload: &self.buffers[index][..length],
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        }
    }
}

impl RxBatch {
    /// The path of datagrams from `src` to `destination`, an address of this machine's.
    pub(in crate::shard) fn path_addr(&mut self, src: SocketAddr, destination: IpAddr) -> PathAddr {
        let destination = PathAddr::from(SocketAddr::new(destination, 0)).octets();
        let destination = Some(destination).filter(|_| self.control_bytes > 0);
        PathAddr::from(src).with_local(self.local_addrs.id_of(destination))
    }
}

impl Socket {
    /// Receives what is there, up to a batch; zero when nothing is, or nothing comes in time.
    pub(in crate::shard) fn receive(
        &self,
        rx: &mut RxBatch,
        recv_mode: RecvMode,
    ) -> io::Result<usize> {
        let flags = match recv_mode {
            RecvMode::NonBlocking => libc::MSG_DONTWAIT,
            RecvMode::BoundedWait => libc::MSG_WAITFORONE,
        };
        // The others still say so. Each is a cache line, and cold after a pause: for one packet,
        // all of them would cost more than the rest of its way through the relay.
        for header in &mut rx.received[..rx.written] {
            header.msg_hdr.msg_namelen = size_of::<RawSockAddr>() as _;
            header.msg_hdr.msg_controllen = rx.control_bytes as _;
        }
        // SAFETY: each header points at an address, at room for control messages and at a vector, and
        // through it at a buffer, all owned by `rx`, which is borrowed mutably.
        let received = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                rx.received.as_mut_ptr(),
                BATCH_SIZE as u32,
                flags as _,
                std::ptr::null_mut(),
            )
        };
        rx.written = usize::try_from(received).unwrap_or(0);
        usize::try_from(received).or_else(|_| {
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::socket::RECV_TIMEOUT;

    #[test]
    fn a_patient_receive_gives_up_soon() {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let start = std::time::Instant::now();

        let received = socket
            .receive(&mut RxBatch::new(&socket), RecvMode::BoundedWait)
            .unwrap();

        assert_eq!(received, 0);
        assert!(start.elapsed() >= RECV_TIMEOUT, "{:?}", start.elapsed());
    }
}
