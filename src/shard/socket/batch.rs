//! Batches of datagrams: `recvmmsg` in, `sendmmsg` out, and no copy between.

use std::{io, mem, os::fd::AsRawFd};

use authloop_relay::{MAX_DATAGRAM_BYTES, PathAddr};

use super::{
    Socket,
    sockaddr::{RawSockAddr, SegmentControl},
};
use crate::shard::stats::SocketStats;

/// Datagrams per system call.
pub(in crate::shard) const BATCH_SIZE: usize = 64;
/// Most bytes that the relay itself sends during one batch.
const MAX_OWN_BYTES: usize = 64 * 1024;
/// The longest UDP payload over IPv4; the kernel's GSO takes no more at once.
const MAX_GSO_BYTES: usize = 65_507;

/// A received datagram.
pub(in crate::shard) struct Datagram<'a> {
    pub(in crate::shard) from: PathAddr,
    pub(in crate::shard) payload: &'a [u8],
    pub(in crate::shard) truncated: bool,
}

/// Buffers that the kernel fills.
pub(in crate::shard) struct RxBatch {
    buffers: Box<[[u8; MAX_DATAGRAM_BYTES]]>,
    addresses: Box<[RawSockAddr]>,
    received: Box<[libc::mmsghdr]>,
    /// How many headers the last receive wrote to.
    written: usize,
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

/// Datagrams that wait to be sent.
pub(in crate::shard) struct TxBatch {
    queue: Vec<QueuedDatagram>,
    own: Vec<u8>,
    addresses: Box<[RawSockAddr]>,
    vectors: Box<[libc::iovec]>,
    messages: Box<[libc::mmsghdr]>,
    controls: Box<[SegmentControl]>,
}

#[derive(Clone, Copy)]
struct QueuedDatagram {
    to: PathAddr,
    payload: PayloadLocation,
    length: u32,
}

/// Where a payload lies: still in the buffer that received it, or among the relay's own bytes.
#[derive(Clone, Copy)]
enum PayloadLocation {
    RxBuffer(u32),
    OwnBytes(u32),
}

// SAFETY: every pointer inside leads to the same value's own heap memory, which moves along with it.
unsafe impl Send for RxBatch {}
// SAFETY: as above; between calls the pointers are not used at all.
unsafe impl Send for TxBatch {}

impl RxBatch {
    pub(in crate::shard) fn new() -> Self {
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
            .map(|(address, vector)| message(address, std::slice::from_mut(vector)))
            .collect();
        Self {
            buffers,
            addresses,
            received,
            written: 0,
            _vectors: vectors,
        }
    }

    /// One datagram of the last batch.
    #[inline]
    pub(in crate::shard) fn get(&self, index: usize) -> Datagram<'_> {
        let header = &self.received[index];
        let length = (header.msg_len as usize).min(MAX_DATAGRAM_BYTES);
        Datagram {
            from: self.addresses[index].addr(),
            payload: &self.buffers[index][..length],
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        }
    }
}

impl TxBatch {
    pub(in crate::shard) fn new() -> Self {
        let mut placeholder = RawSockAddr::EMPTY;
        Self {
            queue: Vec::with_capacity(BATCH_SIZE),
            own: Vec::with_capacity(MAX_OWN_BYTES),
            addresses: vec![RawSockAddr::EMPTY; BATCH_SIZE].into(),
            vectors: vec![EMPTY_VECTOR; BATCH_SIZE].into(),
            messages: vec![message(&mut placeholder, &mut []); BATCH_SIZE].into(),
            controls: vec![SegmentControl::EMPTY; BATCH_SIZE].into(),
        }
    }

    pub(in crate::shard) fn is_full(&self) -> bool {
        self.queue.len() == BATCH_SIZE
    }

    /// Queues the first `length` bytes of received datagram `index`, where they lie.
    ///
    /// They must be sent before the next batch is received.
    #[inline]
    pub(in crate::shard) fn push_received(&mut self, to: PathAddr, index: usize, length: usize) {
        self.queue.push(QueuedDatagram {
            to,
            payload: PayloadLocation::RxBuffer(index as u32),
            length: length as u32,
        });
    }

    /// Queues a copy, or says that there is no room before a send.
    pub(in crate::shard) fn push_copy(&mut self, to: PathAddr, payload: &[u8]) -> bool {
        let start = self.own.len();
        if self.is_full() || start + payload.len() > MAX_OWN_BYTES {
            return false;
        }
        self.own.extend_from_slice(payload);
        self.queue.push(QueuedDatagram {
            to,
            payload: PayloadLocation::OwnBytes(start as u32),
            length: payload.len() as u32,
        });
        true
    }

    /// Sends all that waits; what the kernel has no room for is dropped and counted.
    pub(in crate::shard) fn send(
        &mut self,
        socket: &Socket,
        rx: &RxBatch,
        stats: &mut SocketStats,
    ) {
        if self.queue.is_empty() {
            return;
        }
        let messages = self.prepare(socket.v6, rx);
        let mut next = 0;
        while next < messages {
            let batch = &mut self.messages[next..messages];
            // SAFETY: `prepare` pointed each header at an address, vectors and control bytes of `self`,
            // and the vectors at bytes of `self` and `rx`; all of them are borrowed here.
            let sent = unsafe {
                let fd = socket.socket.as_raw_fd();
                libc::sendmmsg(
                    fd,
                    batch.as_mut_ptr(),
                    batch.len() as u32,
                    libc::MSG_DONTWAIT as _,
                )
            };
            let sent = match usize::try_from(sent) {
                Ok(sent) => sent,
                Err(_) => {
                    let segmented = batch[0].msg_hdr.msg_iovlen > 1;
                    match io::Error::last_os_error().kind() {
                        io::ErrorKind::Interrupted => continue,
                        io::ErrorKind::WouldBlock => {
                            let rest = batch.iter().map(|m| m.msg_hdr.msg_iovlen as u64);
                            stats.send_full += rest.sum::<u64>();
                            break;
                        }
                        // No segmentation on this route, or a smaller MTU: one by one, then.
                        _ if segmented => send_individually(socket, &batch[0], stats),
                        _ => stats.send_errors += 1,
                    }
                    next += 1;
                    continue;
                }
            };
            let mut packets = 0;
            for message in &batch[..sent] {
                packets += message.msg_hdr.msg_iovlen;
                stats.sent_bytes += u64::from(message.msg_len);
            }
            stats.sent_packets += packets as u64;
            stats.send_batches.count(packets);
            next += sent;
        }
        self.queue.clear();
        self.own.clear();
    }

    /// Fills the headers from the queue and returns how many there are.
    ///
    /// Neighbours of one destination and one size (the last may be shorter) become one message that
    /// the kernel segments (`UDP_SEGMENT`): a video frame's packets pass its stack once.
    fn prepare(&mut self, v6: bool, rx: &RxBatch) -> usize {
        let mut count = 0;
        let mut at = 0;
        while at < self.queue.len() {
            let run = run_length(&self.queue[at..]);
            for offset in at..at + run {
                self.vectors[offset] = self.queue[offset].vector(&self.own, rx);
            }
            let first = self.queue[at];
            let address = &mut self.addresses[count];
            let length = address.set(first.to, v6);
            let mut header = message(address, &mut self.vectors[at..at + run]);
            header.msg_hdr.msg_namelen = length;
            if run > 1 {
                let control = &mut self.controls[count];
                *control = SegmentControl::segment(first.length as u16);
                header.msg_hdr.msg_control = std::ptr::from_mut(control).cast();
                header.msg_hdr.msg_controllen = size_of::<SegmentControl>() as _;
            }
            self.messages[count] = header;
            count += 1;
            at += run;
        }
        count
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
        }
        // SAFETY: each header points at an address and a vector, and through it at a buffer, all owned
        // by `rx`, which is borrowed mutably.
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

impl QueuedDatagram {
    fn vector(&self, own: &[u8], rx: &RxBatch) -> libc::iovec {
        let bytes = match self.payload {
            PayloadLocation::RxBuffer(index) => &rx.buffers[index as usize][..self.length as usize],
            PayloadLocation::OwnBytes(start) => {
                &own[start as usize..(start + self.length) as usize]
            }
        };
        libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        }
    }
}

const EMPTY_VECTOR: libc::iovec = libc::iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

/// How many at the head of the queue can leave as one segmented message.
fn run_length(queue: &[QueuedDatagram]) -> usize {
    let Some((first, rest)) = queue.split_first() else {
        return 0;
    };
    let (mut run, mut bytes) = (1, first.length as usize);
    for next in rest {
        bytes += next.length as usize;
        if next.to != first.to || next.length > first.length || bytes > MAX_GSO_BYTES {
            break;
        }
        run += 1;
        if next.length < first.length {
            break;
        }
    }
    run
}

fn send_individually(socket: &Socket, run: &libc::mmsghdr, stats: &mut SocketStats) {
    let mut header = run.msg_hdr;
    header.msg_control = std::ptr::null_mut();
    header.msg_controllen = 0;
    header.msg_iovlen = 1;
    for _ in 0..run.msg_hdr.msg_iovlen {
        // SAFETY: the header's address and vectors are borrowed by the caller, `run` counts the
        // vectors, and each of them is passed over once.
        unsafe {
            let sent = libc::sendmsg(socket.socket.as_raw_fd(), &header, libc::MSG_DONTWAIT);
            match u64::try_from(sent) {
                Ok(bytes) => {
                    stats.sent_packets += 1;
                    stats.sent_bytes += bytes;
                }
                Err(_) => stats.send_errors += 1,
            }
            header.msg_iov = header.msg_iov.add(1);
        }
    }
}

fn message(address: &mut RawSockAddr, vectors: &mut [libc::iovec]) -> libc::mmsghdr {
    // SAFETY: all zeroes is a valid header without address, vectors or control bytes.
    let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
    message.msg_hdr.msg_name = std::ptr::from_mut(address).cast();
    message.msg_hdr.msg_namelen = size_of::<RawSockAddr>() as _;
    message.msg_hdr.msg_iov = vectors.as_mut_ptr();
    message.msg_hdr.msg_iovlen = vectors.len() as _;
    message
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
            .receive(&mut RxBatch::new(), RecvMode::BoundedWait)
            .unwrap();

        assert_eq!(received, 0);
        assert!(start.elapsed() >= RECV_TIMEOUT, "{:?}", start.elapsed());
    }
}
