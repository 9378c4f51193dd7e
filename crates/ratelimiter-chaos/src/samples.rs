use std::time::Duration;

use ratelimiter_store::{StoreError, StoreUrl};
use tokio::time::Instant;

use crate::writes_pass;

/// Test writes over time, each on a connection of its own, and the time in which they were held
/// back.
///
/// ```text
///   probe 1       probe 2       probe 3
///   |-- held --|  |-- held --|  |- passed
///   |<-- counted as held --->|
/// ```
#[derive(Debug, Default)]
pub(crate) struct ProbeSamples {
    /// Number of test writes with an answer or a missed deadline.
    pub(crate) probes: u32,
    /// Number of those that passed.
    pub(crate) passed: u32,
    /// Sum of the spans in which all of them were held back.
    pub(crate) held: Duration,
    /// End of the latest test write, if it was held back.
    last_held: Option<Instant>,
}

impl ProbeSamples {
    /// Tries a write; true when it passes.
    ///
    /// # Errors
    /// When the store cannot be reached, or its user may not try.
    pub(crate) async fn take(&mut self, url: &StoreUrl) -> Result<bool, StoreError> {
        let began = Instant::now();
        let passes = writes_pass(url).await;
        match passes {
            Ok(passes) => self.add(began, Instant::now(), passes),
            Err(_) => self.last_held = None,
        }
        passes
    }

    fn add(&mut self, began: Instant, ended: Instant, passes: bool) {
        self.probes += 1;
        if passes {
            self.passed += 1;
            self.last_held = None;
        } else {
            self.held += ended - self.last_held.unwrap_or(began);
            self.last_held = Some(ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_write_interrupts_the_held_time() {
        let origin = Instant::now();
        let at = |ms| origin + Duration::from_millis(ms);
        let mut samples = ProbeSamples::default();
        for (began, ended, passes) in [
            (0, 100, false),
            (150, 250, false),
            (300, 301, true),
            (350, 450, false),
        ] {
            samples.add(at(began), at(ended), passes);
        }
        assert_eq!((samples.probes, samples.passed), (4, 1));
        assert_eq!(samples.held, Duration::from_millis(350));
    }
}
