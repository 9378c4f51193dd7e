use std::time::Duration;

/// What store and nodes agree on for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseTerms {
    limit: u32,
    window: Duration,
    lease: Duration,
    drift_permille: u32,
}

/// Terms under which the protocol cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseTermsError {
    /// A window or a lease of no length.
    #[error("the {0} is zero: it must be longer")]
    Zero(&'static str),
    /// A node whose clock may stand still could spend for ever.
    #[error("the clock drift is {0} per thousand: it must be below 1000")]
    Drift(u32),
}

impl LeaseTerms {
    /// At most `limit` admissions in any sliding `window`, by grants that last `lease`, on nodes
    /// whose clocks differ from the store's by at most `drift_permille` microseconds per
    /// millisecond.
    ///
    /// # Errors
    /// When window or lease are zero, or the drift is 1000 or more.
    pub fn new(
        limit: u32,
        window: Duration,
        lease: Duration,
        drift_permille: u32,
    ) -> Result<Self, LeaseTermsError> {
        if window.is_zero() {
            return Err(LeaseTermsError::Zero("window"));
        }
        if lease.is_zero() {
            return Err(LeaseTermsError::Zero("lease"));
        }
        if drift_permille >= 1000 {
            return Err(LeaseTermsError::Drift(drift_permille));
        }
        Ok(Self {
            limit,
            window,
            lease,
            drift_permille,
        })
    }

    /// Admissions per window.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Length of the sliding window.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// How long a grant lasts on the store's clock.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// How long a node may spend a grant by its own clock: `D (1 - rho)`. However slow that clock
    /// is within the bound, the lease has not ended in the store by then.
    pub fn usable(&self) -> Duration {
        self.at_least(self.lease)
    }

    /// The least time on the store's clock in which a node's clock advances by `span`.
    pub fn at_least(&self, span: Duration) -> Duration {
        span * (1000 - self.drift_permille) / 1000
    }
}
