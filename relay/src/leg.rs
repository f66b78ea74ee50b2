//! One ICE-lite leg: its credentials, its paths, and which of them is used.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use crate::{
    LegCredentials, LocalPwd, LocalUfrag, PathAddr, RemoteCredentials,
    path::{Path, Tick},
    pending::{Pending, PendingBudget},
    stun::TransactionId,
};

/// A phone has a handful of interfaces, and a relay a few addresses for each; an attacker with the
/// password gets no more than that.
const MAX_PATHS: usize = 8;
/// Checks remembered against replay: about twenty seconds of them on a quiet path.
const MAX_REMEMBERED_CHECKS: usize = 8;

/// One side's transport at the relay.
#[derive(Debug)]
pub(crate) struct LegState {
    current: LegCredentials,
    /// Still valid until `current` is used: an ICE restart takes a while to arrive.
    previous: Option<Box<LegCredentials>>,
    /// Counts restarts, so that paths of the newest credentials win.
    generation: u8,
    remote: Option<RemoteCredentials>,
    paths: SmallVec<[Path; 1]>,
    active: Option<u8>,
    nominated: Option<u8>,
    recent_checks: RecentChecks,
    /// What came from this leg while the other could not take it.
    pub(crate) pending: Pending,
}

/// A leg has no room for one more path.
#[derive(Debug)]
pub(crate) struct TooManyPaths;

/// The last few transactions and where each came from.
///
/// ICE checks carry no nonce. An attacker who overhears one can send it again from elsewhere, but
/// cannot make another: of a transaction that comes from two addresses, one is a replay, not
/// necessarily the second.
#[derive(Debug, Default)]
struct RecentChecks {
    ring: [(u32, u32); MAX_REMEMBERED_CHECKS],
    next: u8,
}

impl LegState {
    pub(crate) fn new(credentials: LegCredentials) -> Self {
        Self {
            current: credentials,
            previous: None,
            generation: 0,
            remote: None,
            paths: SmallVec::new(),
            active: None,
            nominated: None,
            recent_checks: RecentChecks::default(),
            pending: Pending::default(),
        }
    }

    pub(crate) fn ufrag(&self) -> LocalUfrag {
        self.current.ufrag
    }

    pub(crate) fn remote(&self) -> Option<&RemoteCredentials> {
        self.remote.as_ref()
    }

    pub(crate) fn set_remote(&mut self, remote: RemoteCredentials) {
        self.remote = Some(remote);
    }

    /// Every ufrag that is valid now.
    pub(crate) fn ufrags(&self) -> impl Iterator<Item = LocalUfrag> {
        let previous = self.previous.as_ref().map(|old| old.ufrag);
        std::iter::once(self.current.ufrag).chain(previous)
    }

    pub(crate) fn pwd_of(&self, ufrag: LocalUfrag) -> Option<&LocalPwd> {
        if self.current.ufrag == ufrag {
            return Some(&self.current.pwd);
        }
        let previous = self.previous.as_ref()?;
        (previous.ufrag == ufrag).then_some(&previous.pwd)
    }

    /// Takes new credentials and returns the ufrag that is no longer valid, if any.
    ///
    /// Credentials that were never used give way before those in use do.
    pub(crate) fn restart(&mut self, credentials: LegCredentials) -> Option<LocalUfrag> {
        self.generation = self.generation.wrapping_add(1);
        let replaced = std::mem::replace(&mut self.current, credentials);
        if self.previous.is_some() {
            return Some(replaced.ufrag);
        }
        self.previous = Some(Box::new(replaced));
        None
    }

    /// Records that `ufrag` was used, and returns the one that is no longer valid because of it.
    pub(crate) fn mark_used(&mut self, ufrag: LocalUfrag) -> Option<LocalUfrag> {
        if self.current.ufrag != ufrag {
            return None;
        }
        let previous = self.previous.take()?;
        self.nominated = None;
        Some(previous.ufrag)
    }

    /// Whether this transaction was seen before, from another address.
    pub(crate) fn is_replay(
        &mut self,
        hasher: &FixedState,
        id: TransactionId,
        from: PathAddr,
    ) -> bool {
        let entry = (hasher.hash_one(id) as u32, hasher.hash_one(from) as u32);
        match self
            .recent_checks
            .ring
            .iter()
            .find(|(id, _)| *id == entry.0)
        {
            Some((_, source)) => *source != entry.1,
            None => {
                let slot = usize::from(self.recent_checks.next) % MAX_REMEMBERED_CHECKS;
                self.recent_checks.ring[slot] = entry;
                self.recent_checks.next = self.recent_checks.next.wrapping_add(1);
                false
            }
        }
    }

    /// Whether the leg uses a proven path that is alive.
    pub(crate) fn is_served(&self, now: Tick) -> bool {
        let active = self.active.and_then(|at| self.paths.get(usize::from(at)));
        active.is_some_and(|path| path.is_proven() && !path.is_quiet(now))
    }

    /// The path at an address, to look at.
    pub(crate) fn path(&self, addr: PathAddr) -> Option<&Path> {
        self.paths.iter().find(|path| path.addr == addr)
    }

    #[inline]
    pub(crate) fn path_at(&mut self, addr: PathAddr) -> Option<(usize, &mut Path)> {
        let mut paths = self.paths.iter_mut().enumerate();
        paths.find(|(_, path)| path.addr == addr)
    }

    #[inline]
    pub(crate) fn active(&mut self) -> Option<&mut Path> {
        self.paths.get_mut(usize::from(self.active?))
    }

    pub(crate) fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// The endpoint's credentials beside one path to change.
    pub(crate) fn remote_and_path(
        &mut self,
        addr: PathAddr,
    ) -> (Option<&RemoteCredentials>, Option<&mut Path>) {
        let path = self.paths.iter_mut().find(|path| path.addr == addr);
        (self.remote.as_ref(), path)
    }

    /// Takes the waiting packets that came from proven addresses, as long as they fit.
    pub(crate) fn take_pending(
        &mut self,
        budget: &mut PendingBudget,
        fits: impl FnMut(&[u8]) -> bool,
    ) -> Vec<Box<[u8]>> {
        let paths = &self.paths;
        let is_proven = |from| {
            let mut proven = paths.iter().filter(|path| path.is_proven());
            proven.any(|path| path.addr == from)
        };
        self.pending.take(budget, is_proven, fits)
    }

    /// Keeps a packet until it can be passed on, or says that there is no room.
    pub(crate) fn keep_pending(
        &mut self,
        budget: &mut PendingBudget,
        from: PathAddr,
        packet: &[u8],
    ) -> bool {
        let paths = &self.paths;
        let is_ours = |from| paths.iter().any(|path| path.addr == from);
        self.pending.retain(budget, is_ours);
        self.pending.keep(budget, from, packet)
    }

    /// Adds a path, and returns the address that had to go for it, if any.
    pub(crate) fn add(
        &mut self,
        now: Tick,
        addr: PathAddr,
    ) -> Result<Option<PathAddr>, TooManyPaths> {
        let evicted = if self.paths.len() < MAX_PATHS {
            None
        } else {
            Some(self.evict(now)?)
        };
        self.paths.push(Path::new(now, addr, self.generation));
        Ok(evicted)
    }

    /// Records an authenticated check on a path.
    pub(crate) fn record_check(&mut self, now: Tick, at: usize, ufrag: LocalUfrag, nominate: bool) {
        let older = self.current.ufrag != ufrag;
        let generation = self.generation.wrapping_sub(u8::from(older));
        if let Some(path) = self.paths.get_mut(at) {
            path.consent(now, generation);
        }
        if !nominate || older {
            return;
        }
        let nobody_proven = !self.paths.iter().any(Path::is_proven);
        if let Some(path) = self.paths.get_mut(at) {
            path.nominated = true;
            if path.is_proven() || nobody_proven {
                self.nominated = Some(at as u8);
            }
        }
    }

    /// Records that a path's address receives what is sent there.
    pub(crate) fn record_proof(&mut self, now: Tick, at: usize) {
        if let Some(path) = self.paths.get_mut(at) {
            path.prove(now);
            // An address that only repeats what others sent nominates nothing.
            if path.nominated && path.generation == self.generation {
                self.nominated = Some(at as u8);
            }
        }
    }

    /// Moves to path `at` if it is better than the active one; returns whether the leg moved.
    pub(crate) fn move_if_better(&mut self, now: Tick, at: usize) -> bool {
        let Some(active) = self.active.map(usize::from) else {
            self.active = Some(at as u8);
            return false;
        };
        let (Some(old), Some(new)) = (self.paths.get(active), self.paths.get(at)) else {
            return false;
        };
        if active == at {
            return false;
        }
        // An ICE restart replaces every earlier path. Nobody can have overheard its credentials'
        // use before, so the first path that knows them needs no proof to be tried.
        let restarted = new.generation == self.generation && old.generation != self.generation;
        // Before a nomination the last validated path is used, after it the nominated one. An old
        // path that fell quiet gives way to any.
        let preferred = self
            .nominated
            .is_none_or(|nominated| usize::from(nominated) == at);
        let wanted = preferred || old.is_quiet(now) || (new.is_proven() && !old.is_proven());
        // A replayed check must not take traffic away from a path that proved itself.
        let trusted = new.is_proven() || !old.is_proven();
        if restarted || (wanted && trusted) {
            self.active = Some(at as u8);
            return true;
        }
        false
    }

    /// Drops the paths without consent, and moves off the active one if it was among them.
    pub(crate) fn expire(&mut self, now: Tick, mut dropped: impl FnMut(PathAddr)) {
        let mut at = 0;
        while let Some(path) = self.paths.get(at) {
            if path.has_consent(now) {
                at += 1;
            } else {
                dropped(path.addr);
                self.remove(at);
            }
        }
    }

    /// Removes an address that is no longer this leg's.
    pub(crate) fn remove_address(&mut self, addr: PathAddr) {
        if let Some((at, _)) = self.path_at(addr) {
            self.remove(at);
        }
    }

    fn evict(&mut self, now: Tick) -> Result<PathAddr, TooManyPaths> {
        let spare = |at: &usize| self.active.map(usize::from) != Some(*at);
        let victim = (0..self.paths.len())
            .filter(spare)
            .filter(|&at| !self.paths[at].is_proven() || self.paths[at].is_quiet(now))
            .min_by_key(|&at| (self.paths[at].is_proven(), self.paths[at].last_consent()))
            .ok_or(TooManyPaths)?;
        let addr = self.paths[victim].addr;
        self.remove(victim);
        Ok(addr)
    }

    fn remove(&mut self, at: usize) {
        self.paths.remove(at);
        let reindex = |index: Option<u8>| match index.map(usize::from) {
            Some(index) if index == at => None,
            Some(index) if index > at => Some(index as u8 - 1),
            _ => index,
        };
        self.nominated = reindex(self.nominated);
        self.active = reindex(self.active).or_else(|| {
            let best = |at: &usize| (self.paths[*at].is_proven(), self.paths[*at].last_consent());
            (0..self.paths.len()).max_by_key(best).map(|at| at as u8)
        });
    }
}
