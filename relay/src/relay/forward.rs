//! Passes on what is not STUN, from leg to leg.

use super::Relay;
use crate::{DropReason, PathAddr, demux::DatagramKind, path::Tick, routes::LegRef};

impl Relay {
    #[inline]
    pub(super) fn forward(
        &mut self,
        now: Tick,
        src: PathAddr,
        datagram: &[u8],
        kind: DatagramKind,
    ) -> Result<Option<PathAddr>, DropReason> {
        let from = self.routes.leg_at(src).ok_or(DropReason::UnknownSource)?;
        let session = self.sessions.get_mut(from.slot());
        let session = session.ok_or(DropReason::UnknownSource)?;
        let (near, far) = session.legs.split(from.leg());
        let (_, path) = near.path_at(src).ok_or(DropReason::UnknownSource)?;
        if !path.has_consent(now) {
            return Err(DropReason::ConsentExpired);
        }
        path.record_received(now, datagram.len());
        if !path.is_proven() {
            self.probe(now, from, src);
            return self.keep_pending(from, src, datagram, kind, DropReason::UnprovenSource);
        }
        let Some(path) = far.active() else {
            return self.keep_pending(from, src, datagram, kind, DropReason::PeerNotReady);
        };
        if !path.has_consent(now) {
            return Err(DropReason::ConsentExpired);
        }
        if !near.pending.holds_any_from(src) && path.try_reserve(datagram.len()) {
            self.counters.forward(datagram.len());
            return Ok(Some(path.addr));
        }
        let to = path.addr;
        self.probe(now, from.opposite(), to);
        self.keep_pending(from, src, datagram, kind, DropReason::Amplification)
    }

    /// Keeps a handshake packet until it can be passed on; media is never kept.
    #[cold]
    fn keep_pending(
        &mut self,
        from: LegRef,
        src: PathAddr,
        datagram: &[u8],
        kind: DatagramKind,
        refusal: DropReason,
    ) -> Result<Option<PathAddr>, DropReason> {
        if kind != DatagramKind::Dtls {
            return Err(refusal);
        }
        let session = self.sessions.get_mut(from.slot()).ok_or(refusal)?;
        let near = session.legs.get_mut(from.leg());
        if near.keep_pending(&mut self.pending_budget, src, datagram) {
            Ok(None)
        } else {
            Err(DropReason::BufferFull)
        }
    }
}
