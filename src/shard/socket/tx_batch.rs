//! Batches of datagrams to send: `sendmmsg`, and no copy of what was received.

use std::{io, os::fd::AsRawFd};

use authloop_relay::PathAddr;

use super::{
    Socket,
    batch::{BATCH_SIZE, message, set_control},
    control::{ControlBuffer, SEGMENT_BYTES},
    rx_batch::RxBatch,
    sockaddr::RawSockAddr,
};
use crate::shard::stats::SocketStats;

/// Most bytes that the relay itself sends during one batch.
const MAX_OWN_BYTES: usize = 64 * 1024;
/// The longest UDP payload over IPv4; the kernel's GSO takes no more at once.
const MAX_GSO_BYTES: usize = 65_507;

/// Datagrams that wait to be sent.
pub(in crate::shard) struct TxBatch {
    queue: Vec<QueuedDatagram>,
    own: Vec<u8>,
    addresses: Box<[RawSockAddr]>,
    vectors: Box<[libc::iovec]>,
    messages: Box<[libc::mmsghdr]>,
    controls: Box<[ControlBuffer]>,
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

// SAFETY: every pointer inside leads to the same value's own heap memory, which moves along with it,
// and between calls none is used at all.
unsafe impl Send for TxBatch {}

impl TxBatch {
    pub(in crate::shard) fn new() -> Self {
        let mut placeholder = RawSockAddr::EMPTY;
        Self {
            queue: Vec::with_capacity(BATCH_SIZE),
            own: Vec::with_capacity(MAX_OWN_BYTES),
            addresses: vec![RawSockAddr::EMPTY; BATCH_SIZE].into(),
            vectors: vec![EMPTY_VECTOR; BATCH_SIZE].into(),
            messages: vec![message(&mut placeholder, &mut []); BATCH_SIZE].into(),
            controls: vec![ControlBuffer::EMPTY; BATCH_SIZE].into(),
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
            let control = &mut self.controls[count];
            let mut used = match rx.local_addrs.ip(first.to.local()) {
                Some(ip) => control.set_source(ip, v6),
                None => 0,
            };
            if run > 1 {
                used = control.add_segment_size(used, first.length as u16);
            }
            if used > 0 {
                set_control(&mut header, control, used);
            }
            self.messages[count] = header;
            count += 1;
            at += run;
        }
        count
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
    // The segments' size comes last; what is left says from which address to send.
    header.msg_controllen -= SEGMENT_BYTES;
    if header.msg_controllen == 0 {
        header.msg_control = std::ptr::null_mut();
    }
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

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_the_kernel_does_not_cut_leaves_one_by_one_from_the_same_address() {
        let socket = Socket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let endpoint = UdpSocket::bind("127.0.0.1:0").unwrap();
        // A connected socket takes nothing from elsewhere.
        endpoint.connect(("127.0.0.3", port)).unwrap();
        let mut rx = RxBatch::new(&socket);
        let to = rx.path_addr(endpoint.local_addr().unwrap(), "127.0.0.3".parse().unwrap());
        let mut tx = TxBatch::new();
        for n in 0..3 {
            assert!(tx.push_copy(to, &[n; 100]));
        }
        assert_eq!(tx.prepare(socket.v6, &rx), 1);

        let mut stats = SocketStats::default();
        send_individually(&socket, &tx.messages[0], &mut stats);

        assert_eq!((stats.sent_packets, stats.send_errors), (3, 0));
        let mut received = [0; 200];
        let patience = std::time::Duration::from_secs(5);
        endpoint.set_read_timeout(Some(patience)).unwrap();
        for n in 0..3 {
            assert_eq!(endpoint.recv(&mut received).unwrap(), 100);
            assert_eq!(received[..100], [n; 100]);
        }
    }
}
