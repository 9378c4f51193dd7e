use ratelimiter_api::Outcome;

/// Number of checks by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckTally {
    /// Admitted.
    pub allowed: u64,
    /// Denied.
    pub denied: u64,
    /// Not admitted, for another reason than quota.
    pub failed: u64,
    /// Without a complete answer.
    pub unknown: u64,
    /// Sent, and not answered yet.
    pub waiting: u64,
    /// Not sent, since too many were in flight.
    pub skipped: u64,
}

impl CheckTally {
    pub(crate) fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Allowed => self.allowed += 1,
            Outcome::Denied => self.denied += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Unknown => self.unknown += 1,
        }
    }

    /// Number of checks sent.
    pub fn sent(&self) -> u64 {
        self.allowed + self.denied + self.failed + self.unknown + self.waiting
    }
}

impl FromIterator<Outcome> for CheckTally {
    fn from_iter<I: IntoIterator<Item = Outcome>>(outcomes: I) -> Self {
        let mut tally = Self::default();
        outcomes.into_iter().for_each(|outcome| tally.add(outcome));
        tally
    }
}
