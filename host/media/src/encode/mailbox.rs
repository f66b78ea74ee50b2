//! What the encoding thread is to do next: the newest picture and pending requests, one slot each.

use std::time::Instant;

use authloop_protocol::quantity::Bitrate;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::capture::CapturedFrame;

/// What was asked for since the thread last took it.
#[derive(Debug, Default)]
pub(super) struct PendingWork {
    /// The newest picture; older ones that were not taken are gone.
    pub(super) frame: Option<CapturedFrame>,
    pub(super) keyframe: bool,
    pub(super) bitrate: Option<Bitrate>,
    pub(super) closed: bool,
}

impl PendingWork {
    fn is_empty(&self) -> bool {
        self.frame.is_none() && !self.keyframe && self.bitrate.is_none() && !self.closed
    }
}

/// Shared between the capture, the handle and the encoding thread.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    work: Mutex<PendingWork>,
    changed: Condvar,
}

impl Mailbox {
    /// Adds to the pending work; returns what `change` does.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut PendingWork) -> T) -> T {
        let mut work = self.work.lock();
        let result = change(&mut work);
        drop(work);
        self.changed.notify_one();
        result
    }

    /// Waits until `at`, for a path that has no room yet, and leaves the work where it is. Returns
    /// sooner if a new bitrate came, which is taken, or the mailbox was closed.
    pub(super) fn wait_for_room(&self, at: Instant) -> Option<Bitrate> {
        let idle = |work: &mut PendingWork| work.bitrate.is_none() && !work.closed;
        self.wait_while(Some(at), idle).bitrate.take()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.work.lock().closed
    }

    /// Waits for work, at most until `deadline`; returns none if that came first.
    pub(super) fn take(&self, deadline: Option<Instant>) -> PendingWork {
        let mut work = self.wait_while(deadline, |work| work.is_empty());
        let closed = work.closed;
        let taken = std::mem::take(&mut *work);
        work.closed = closed;
        taken
    }

    fn wait_while(
        &self,
        deadline: Option<Instant>,
        idle: impl FnMut(&mut PendingWork) -> bool,
    ) -> MutexGuard<'_, PendingWork> {
        let mut work = self.work.lock();
        match deadline {
            Some(deadline) => {
                let _whether_it_came = self.changed.wait_while_until(&mut work, idle, deadline);
            }
            None => self.changed.wait_while(&mut work, idle),
        }
        work
    }
}
