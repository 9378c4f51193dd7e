use std::time::Duration;

use ratelimiter_store::{Link, StoreError, StoreUrl, StoreVersion};
use redis::{Cmd, cmd};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::probe::foreign_pause;
use crate::samples::Samples;
use crate::{ChaosError, Scope};

/// Length of one pause command: the longest time that a pause outlives its owner or its guard.
pub const LEASE: Duration = Duration::from_millis(300);
/// Time between two pause commands. A shorter pause never shortens a longer one, so they overlap without a gap.
pub const RENEWAL: Duration = Duration::from_millis(100);

/// How long one command on the control connection may take.
const CONTROL: Duration = Duration::from_secs(1);
/// Longest wait for a passing write after the lease has run out.
const RELEASE: Duration = Duration::from_secs(2);
/// Time between two probes while a passing write is awaited.
const RELEASE_POLL: Duration = Duration::from_millis(5);
/// Time between two probes while the pause is held.
const SAMPLING: Duration = Duration::from_millis(50);

/// The fault: a store that answers reads and takes no writes.
///
/// Held by `CLIENT PAUSE ... WRITE` on a connection that never writes, as a lease: [`LEASE`] long, renewed every
/// [`RENEWAL`]. However the process ends, the store takes writes again less than half a second later.
///
/// The pause is never ended by command: `CLIENT UNPAUSE` ends the pauses of all clients, and a shorter pause of another
/// client cannot be seen behind ours. Healing lets the lease run out, which ends ours alone.
#[derive(Clone, Debug)]
pub struct RedisPause {
    url: StoreUrl,
}

/// A pause being held. Dropping it lets the lease run out; [`heal`](Self::heal) also waits until a write passes.
#[must_use = "dropping the guard ends the pause"]
#[derive(Debug)]
pub struct PauseGuard {
    url: StoreUrl,
    started: Instant,
    release: CancellationToken,
    lease: JoinHandle<Lease>,
    sampling: JoinHandle<Samples>,
}

/// The measurements of one pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseReport {
    /// When the store confirmed the first pause command.
    pub started: Instant,
    /// When the first write passed after the lease had been given up.
    pub ended: Instant,
    /// When the lease ran out. Writes that were held back much longer were held back by another client.
    pub lease_ended: Instant,
    /// Number of confirmed renewals of the lease.
    pub renewals: u32,
    /// Longest time between two confirmed renewals. Above [`LEASE`], writes may have passed in between.
    pub longest_renewal: Duration,
    /// Number of test writes during the pause.
    pub probes: u32,
    /// Number of those that passed.
    pub passed: u32,
    held: Duration,
}

impl PauseReport {
    /// Time in which test writes were held back: the sum of the spans from one to the next where both were.
    pub fn held(&self) -> Duration {
        self.held
    }

    /// Whether the lease was renewed in time throughout and no test write passed.
    pub fn is_without_gap(&self) -> bool {
        self.longest_renewal < LEASE && self.passed == 0
    }

    /// Time for which another client held writes back after the lease had run out. `None` within the time that a store
    /// takes to notice that a pause is over.
    pub fn outlasted_by(&self) -> Option<Duration> {
        let late = self.ended.saturating_duration_since(self.lease_ended);
        (late > NOTICE).then_some(late)
    }
}

/// Time within which a store notices the end of a pause, and a probe the passing write. Stores look ten times a second.
const NOTICE: Duration = Duration::from_millis(500);

impl RedisPause {
    /// A pause of the store at `url`. Opens nothing.
    ///
    /// # Errors
    /// When the store is outside the scope.
    pub fn new(url: StoreUrl, scope: Scope) -> Result<Self, ChaosError> {
        scope.permit_store(&url)?;
        Ok(Self { url })
    }

    /// Makes the store take no writes until the guard is dropped, and proves that it does.
    ///
    /// # Errors
    /// When the store cannot be reached, is too old, does not allow the command, or is being paused by someone else.
    pub async fn inject(&self) -> Result<PauseGuard, ChaosError> {
        let control = Link::new(self.url.clone())?;
        StoreVersion::check(&control, CONTROL).await?;
        if let Some(pause) = foreign_pause(&self.url).await.map_err(|e| self.explain(e))? {
            return Err(ChaosError::ForeignPause { url: self.url.clone(), pause });
        }
        control.query::<()>(&pause_command(), CONTROL).await.map_err(|e| self.explain(e))?;
        let started = Instant::now();
        let release = CancellationToken::new();
        let lease = tokio::spawn(hold(control, started, release.clone()));
        // Ends the lease unless the guard takes over.
        let unproven = release.clone().drop_guard();
        let mut samples = Samples::default();
        if samples.take(&self.url).await? {
            return Err(ChaosError::PauseWithoutEffect { url: self.url.clone() });
        }
        let release = unproven.disarm();
        let sampling = tokio::spawn(sample(self.url.clone(), samples, release.clone()));
        Ok(PauseGuard { url: self.url.clone(), started, release, lease, sampling })
    }

    fn explain(&self, error: StoreError) -> ChaosError {
        let url = self.url.clone();
        match error {
            StoreError::NotPermitted { why, .. } => ChaosError::NotPermitted { url, why },
            StoreError::Answer { why, .. } => ChaosError::PauseRefused { url, why },
            other => other.into(),
        }
    }
}

/// Holds the store's writes back for `duration` and the rest of the last lease, and returns once a write has passed again.
///
/// # Errors
/// As [`RedisPause::inject`] and [`PauseGuard::heal`].
pub async fn redis_pause(url: StoreUrl, duration: Duration, scope: Scope) -> Result<PauseReport, ChaosError> {
    let config = demo_core::ChaosType::Pause { duration };
    demo_core::ChaosConfig::new(config)?;
    let guard = RedisPause::new(url, scope)?.inject().await?;
    tokio::time::sleep_until(guard.started() + duration).await;
    guard.heal().await
}

fn pause_command() -> Cmd {
    let mut command = cmd("CLIENT");
    command.arg("PAUSE").arg(u64::try_from(LEASE.as_millis()).unwrap_or(300)).arg("WRITE");
    command
}

/// The course of a lease.
#[derive(Debug)]
struct Lease {
    renewals: u32,
    longest: Duration,
    ends: Instant,
    lost: Option<StoreError>,
}

/// Renews the lease until `release`, then lets it run out.
async fn hold(control: Link, started: Instant, release: CancellationToken) -> Lease {
    let mut lease = Lease { renewals: 0, longest: Duration::ZERO, ends: started + LEASE, lost: None };
    let mut ticks = interval(RENEWAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    let mut last = started;
    loop {
        tokio::select! {
            biased;
            () = release.cancelled() => break,
            _ = ticks.tick() => match control.query::<()>(&pause_command(), CONTROL).await {
                Ok(()) => {
                    let now = Instant::now();
                    lease.longest = lease.longest.max(now - last);
                    lease.renewals += 1;
                    lease.ends = now + LEASE;
                    last = now;
                }
                Err(error) => {
                    lease.lost = Some(error);
                    break;
                }
            }
        }
    }
    lease
}

/// Tries writes until `release`.
async fn sample(url: StoreUrl, mut samples: Samples, release: CancellationToken) -> Samples {
    while release.run_until_cancelled(sleep(SAMPLING)).await.is_some() {
        // A store that cannot be reached shows nothing about writes; the lease reports the loss.
        let _ = samples.take(&url).await;
    }
    samples
}

impl PauseGuard {
    /// When the store confirmed the first pause command.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Whether the lease is still renewed. It is lost when the store is.
    pub fn is_held(&self) -> bool {
        !self.lease.is_finished()
    }

    /// Lets the lease run out and waits until a write passes: about a third of a second, and longer while another client
    /// holds writes back.
    ///
    /// # Errors
    /// When the store was lost meanwhile, or no write passes within two seconds after the lease has run out.
    pub async fn heal(mut self) -> Result<PauseReport, ChaosError> {
        self.release.cancel();
        let lease = finished((&mut self.lease).await);
        let mut samples = finished((&mut self.sampling).await);
        let (probes, passed) = (samples.probes, samples.passed);
        while !samples.take(&self.url).await? {
            let after = lease.ends.elapsed();
            if after > RELEASE {
                return Err(ChaosError::NotReleased { url: self.url.clone(), after });
            }
            sleep(RELEASE_POLL).await;
        }
        let ended = Instant::now();
        match lease.lost {
            Some(source) => Err(ChaosError::PauseLost { after: lease.ends - self.started, source }),
            None => Ok(PauseReport {
                started: self.started,
                ended,
                lease_ended: lease.ends,
                renewals: lease.renewals,
                longest_renewal: lease.longest,
                probes,
                passed,
                held: samples.held,
            }),
        }
    }
}

/// The value of a task that is never aborted.
fn finished<T>(task: Result<T, JoinError>) -> T {
    task.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

impl Drop for PauseGuard {
    fn drop(&mut self) {
        self.release.cancel();
    }
}
