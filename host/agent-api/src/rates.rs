//! How often each key may ask.

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};

use super::{
    error::ApiError,
    keys::{ApiKeys, Owner},
};

/// One bucket for each key.
pub(super) struct Rates(Vec<DefaultDirectRateLimiter>);

impl Rates {
    pub(super) fn new(keys: &ApiKeys, quota: Quota) -> Self {
        Self(
            (0..keys.len())
                .map(|_| RateLimiter::direct(quota))
                .collect(),
        )
    }

    pub(super) fn check(&self, owner: Owner) -> Result<(), ApiError> {
        let Some(bucket) = self.0.get(owner.0) else {
            return Ok(());
        };
        bucket.check().map_err(|late| {
            let wait = late.wait_time_from(DefaultClock::default().now());
            ApiError::Rate {
                wait: wait.as_secs() + 1,
            }
        })
    }
}
