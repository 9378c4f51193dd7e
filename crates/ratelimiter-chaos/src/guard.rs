use std::time::Duration;

use ratelimiter_store::StoreUrl;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::ChaosError;
use crate::samples::ProbeSamples;
use crate::writes_held::{LEASE, WritesHeld, finished};

/// Longest wait for a passing write after the lease has run out.
const RELEASE: Duration = Duration::from_secs(2);
/// Time between two probes while a passing write is awaited.
const RELEASE_POLL: Duration = Duration::from_millis(5);
/// Time between two probes while the pause is held.
const SAMPLING: Duration = Duration::from_millis(50);

/// Holds writes back, by a lease or by a proxy. Dropping it ends the fault;
/// [`heal`](Self::heal) also waits until a write passes.
#[must_use = "dropping the guard ends the pause"]
#[derive(Debug)]
pub struct PauseGuard {
    url: StoreUrl,
    started: Instant,
    release: DropGuard,
    writes: WritesHeld,
    sampling: JoinHandle<ProbeSamples>,
}

/// The measurements of one pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseReport {
    /// When the store confirmed the first pause command, or the proxy's rule came into force.
    pub started: Instant,
    /// When the first write passed after the fault had been given up.
    pub ended: Instant,
    /// When the lease ran out, or the rule ended. Writes that were held back much longer were held
    /// back by another client.
    pub lease_ended: Instant,
    /// Number of confirmed renewals of the lease; zero with a proxy, which needs none.
    pub renewals: u32,
    /// Longest time between two confirmed renewals; zero with a proxy. Above [`LEASE`], writes may
    /// have passed in between.
    pub longest_renewal: Duration,
    /// Number of commands that the proxy held back; `None` with a lease, where the store does not
    /// count them.
    pub held_commands: Option<u64>,
    /// Number of test writes during the pause.
    pub probes: u32,
    /// Number of those that passed.
    pub passed: u32,
    held: Duration,
}

impl PauseReport {
    /// Time in which test writes were held back: the sum of the spans from one to the next where
    /// both were.
    pub fn held(&self) -> Duration {
        self.held
    }

    /// Whether the lease was renewed in time throughout and no test write passed.
    pub fn is_without_gap(&self) -> bool {
        self.longest_renewal < LEASE && self.passed == 0
    }

    /// Time for which another client held writes back after the lease had run out. `None` within
    /// the time that a store takes to notice that a pause is over.
    pub fn outlasted_by(&self) -> Option<Duration> {
        let late = self.ended.saturating_duration_since(self.lease_ended);
        (late > NOTICE).then_some(late)
    }
}

/// Time within which a store notices the end of a pause, and a probe the passing write. Stores look
/// ten times a second.
const NOTICE: Duration = Duration::from_millis(500);

/// Tries writes until `release`.
async fn sample(
    url: StoreUrl,
    mut samples: ProbeSamples,
    release: CancellationToken,
) -> ProbeSamples {
    while release.run_until_cancelled(sleep(SAMPLING)).await.is_some() {
        // A store that cannot be reached shows nothing about writes; the lease reports the loss.
        let _ = samples.take(&url).await;
    }
    samples
}

impl PauseGuard {
    pub(crate) fn new(
        url: StoreUrl,
        started: Instant,
        release: DropGuard,
        writes: WritesHeld,
        samples: ProbeSamples,
    ) -> Self {
        let release = release.disarm();
        let sampling = tokio::spawn(sample(url.clone(), samples, release.clone()));
        Self {
            url,
            started,
            release: release.drop_guard(),
            writes,
            sampling,
        }
    }

    /// When the store confirmed the first pause command, or the proxy's rule came into force.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Whether writes are still held back. A lease is lost when the store is.
    pub fn is_held(&self) -> bool {
        self.writes.in_force()
    }

    /// Ends the fault and waits until a write passes: about a third of a second for a lease, and
    /// longer while another client holds writes back.
    ///
    /// # Errors
    /// When the store was lost meanwhile, or no write passes within two seconds after the lease has
    /// run out.
    pub async fn heal(mut self) -> Result<PauseReport, ChaosError> {
        drop(self.release);
        // Sampling ends first: a test write would pass after the end of a proxy's rule.
        let mut samples = finished(&mut self.sampling).await;
        let course = self.writes.release().await;
        let (probes, passed) = (samples.probes, samples.passed);
        while !samples.take(&self.url).await? {
            let after = course.ends.elapsed();
            if after > RELEASE {
                return Err(ChaosError::NotReleased {
                    url: self.url.clone(),
                    after,
                });
            }
            sleep(RELEASE_POLL).await;
        }
        let ended = Instant::now();
        match course.lost {
            Some(source) => Err(ChaosError::PauseLost {
                after: course.ends - self.started,
                source,
            }),
            None => Ok(PauseReport {
                started: self.started,
                ended,
                lease_ended: course.ends,
                renewals: course.renewals,
                longest_renewal: course.longest_renewal,
                held_commands: course.held_commands,
                probes,
                passed,
                held: samples.held,
            }),
        }
    }
}
