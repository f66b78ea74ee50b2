//! Talks to the kernel directly: everything unsafe is here.

pub(super) mod batch;
mod control;
mod local_addrs;
pub(super) mod rx_batch;
mod sockaddr;
pub(super) mod tx_batch;

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use socket2::{Domain, Protocol, Type};

/// How long a receive with [`rx_batch::RecvMode::BoundedWait`] waits; commands wait no longer.
const RECV_TIMEOUT: Duration = Duration::from_millis(5);

/// Room for tens of milliseconds at full rate; the system's limit may allow less.
pub(super) const SOCKET_BUFFER_BYTES: usize = 8 << 20;

/// One unconnected UDP socket.
#[derive(Debug)]
pub(super) struct Socket {
    socket: socket2::Socket,
    v6: bool,
    /// Whether it listens at every address of this machine. The kernel then says to which of them a
    /// datagram came, and has to be told from which to send: endpoints, NATs and firewalls expect an
    /// answer from the address that was asked (RFC 8445 §7.2.5.2.1).
    wildcard: bool,
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
        socket.set_read_timeout(Some(RECV_TIMEOUT))?;
        never_fragment(&socket, addr.is_ipv6())?;
        let wildcard = addr.ip().is_unspecified();
        if wildcard {
            tell_destinations(&socket, addr.is_ipv6())?;
        }
        // The kernel takes as much as it allows and says nothing.
        socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
        socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
        socket.bind(&addr.into())?;
        Ok(Self {
            socket,
            v6: addr.is_ipv6(),
            wildcard,
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

/// Lets this thread's sleeps end on time: by default the kernel may add 50 us to each.
pub(super) fn sleep_exactly() {
    // SAFETY: the call takes no pointers. If it fails, sleeps are longer and nothing else.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
}

/// Sends whole datagrams, whatever a router, or a sender that claims to be one, says of the MTU.
///
/// Endpoints find the MTU themselves (RFC 8899); fragments are lost in many networks, and their
/// identification costs the kernel a look-up per packet.
fn never_fragment(socket: &socket2::Socket, v6: bool) -> io::Result<()> {
    set_option(
        socket,
        libc::IPPROTO_IP,
        libc::IP_MTU_DISCOVER,
        libc::IP_PMTUDISC_PROBE,
    )?;
    if !v6 {
        return Ok(());
    }
    set_option(
        socket,
        libc::IPPROTO_IPV6,
        libc::IPV6_MTU_DISCOVER,
        libc::IPV6_PMTUDISC_PROBE,
    )
}

/// Has the kernel say to which address each datagram came; a socket of IPv6 hears of IPv4's, too.
fn tell_destinations(socket: &socket2::Socket, v6: bool) -> io::Result<()> {
    if v6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

fn set_option(
    socket: &socket2::Socket,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` outlives the call, and `length` is its size.
    let result = unsafe {
        let value = std::ptr::from_ref(&value).cast();
        libc::setsockopt(socket.as_raw_fd(), level, name, value, length)
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
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
