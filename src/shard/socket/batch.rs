//! What batches of received datagrams and of those to send share.

use std::mem;

use super::{control::ControlBuffer, sockaddr::RawSockAddr};

/// Datagrams per system call.
pub(in crate::shard) const BATCH_SIZE: usize = 64;

/// The header of a datagram for an address, or for the kernel to write one to.
pub(super) fn message(address: &mut RawSockAddr, vectors: &mut [libc::iovec]) -> libc::mmsghdr {
    // SAFETY: all zeroes is a valid header without address, vectors or control bytes.
    let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
    message.msg_hdr.msg_name = std::ptr::from_mut(address).cast();
    message.msg_hdr.msg_namelen = size_of::<RawSockAddr>() as _;
    message.msg_hdr.msg_iov = vectors.as_mut_ptr();
    message.msg_hdr.msg_iovlen = vectors.len() as _;
    message
}

/// Gives a header control messages, or room for the kernel to write some.
#[inline]
pub(super) fn set_control(message: &mut libc::mmsghdr, control: &mut ControlBuffer, used: usize) {
    message.msg_hdr.msg_control = std::ptr::from_mut(control).cast();
    message.msg_hdr.msg_controllen = used as _;
}
