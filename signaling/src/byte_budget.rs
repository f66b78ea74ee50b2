//! Bytes that wait in memory for somebody, counted over all who wait.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes that may wait in all; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct ByteBudget {
    left: Arc<AtomicUsize>,
}

/// Bytes taken from a budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct BudgetShare {
    left: Arc<AtomicUsize>,
    bytes: usize,
}

impl ByteBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            left: Arc::new(AtomicUsize::new(bytes)),
        }
    }

    /// Takes so many bytes, or says that there are not as many left.
    pub(crate) fn try_take(&self, bytes: usize) -> Option<BudgetShare> {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            });
        taken.is_ok().then(|| BudgetShare {
            left: self.left.clone(),
            bytes,
        })
    }
}

/// Without a bound: for tests of what is inside.
#[cfg(test)]
impl Default for ByteBudget {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        self.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back() {
        let budget = ByteBudget::new(10);
        let share = budget.try_take(8);
        assert!(share.is_some() && budget.try_take(3).is_none());
        drop(share);
        assert!(budget.try_take(10).is_some());
    }
}
