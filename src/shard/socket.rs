//! The one place that talks to the kernel directly: everything unsafe is here.

mod batch;
mod name;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Type};

pub(super) use batch::{BATCH, Received, RxBatch, TxBatch};

/// Room for some tens of milliseconds at full rate; the system's limit may allow less.
const SOCKET_BUFFER: usize = 8 << 20;

/// One unconnected UDP socket.
#[derive(Debug)]
pub(super) struct Socket {
    socket: socket2::Socket,
    v6: bool,
}

/// Ends a shard's wait from another thread.
#[derive(Debug)]
pub(super) struct Waker(OwnedFd);

impl Socket {
    pub(super) fn bind(addr: SocketAddr) -> io::Result<Self> {
        let domain = Domain::for_address(addr);
        let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        // The kernel takes as much as it allows and says nothing.
        socket.set_recv_buffer_size(SOCKET_BUFFER)?;
        socket.set_send_buffer_size(SOCKET_BUFFER)?;
        socket.bind(&addr.into())?;
        Ok(Self {
            socket,
            v6: addr.is_ipv6(),
        })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        let addr = self.socket.local_addr()?.as_socket();
        addr.ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
    }

    /// Blocks until a datagram or a wake-up arrives, or the time is over.
    pub(super) fn wait(&self, waker: &Waker, time: Option<Duration>) -> io::Result<()> {
        let fds = [self.socket.as_raw_fd(), waker.0.as_raw_fd()];
        let mut polled = fds.map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        let time = time.map(|time| libc::timespec {
            tv_sec: time.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
        });
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: `polled` holds two entries, and `time` is null or points to a live timespec.
        let ready = unsafe { libc::ppoll(polled.as_mut_ptr(), 2, time, std::ptr::null()) };
        if polled[1].revents != 0 {
            waker.drain();
        }
        match ready {
            -1 => ignore_interruption(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

impl Waker {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: the call takes no pointers.
        match unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: the descriptor is fresh and owned by nobody else.
            fd => Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) })),
        }
    }

    /// Ends the current wait, or the next one.
    pub(super) fn wake(&self) {
        let one = 1u64;
        // SAFETY: `one` outlives the call. It fails only when a wake-up is pending already.
        unsafe { libc::write(self.0.as_raw_fd(), std::ptr::from_ref(&one).cast(), 8) };
    }

    fn drain(&self) {
        let mut count = 0u64;
        // SAFETY: `count` is eight writable bytes. It fails only when there is nothing to drain.
        unsafe { libc::read(self.0.as_raw_fd(), std::ptr::from_mut(&mut count).cast(), 8) };
    }
}

fn ignore_interruption(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_up_sent_ahead_ends_the_next_wait_only() {
        let socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let waker = Waker::new().unwrap();
        waker.wake();

        socket.wait(&waker, None).unwrap();
        let start = std::time::Instant::now();
        socket.wait(&waker, Some(Duration::from_millis(5))).unwrap();

        assert!(start.elapsed() >= Duration::from_millis(5));
    }
}
