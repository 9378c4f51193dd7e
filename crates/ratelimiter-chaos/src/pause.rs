use std::time::Duration;

use ratelimiter_store::{Link, StoreError, StoreUrl, StoreVersion};
use redis::{Cmd, cmd};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::probe::{foreign_pause, writes_pass};
use crate::{ChaosError, Scope};

/// How long the store holds writes back without being told again: the longest a pause outlives its owner.
pub const LEASE: Duration = Duration::from_millis(300);
/// How often it is told again. A shorter pause never shortens a longer one, so renewals overlap without a gap.
pub const RENEWAL: Duration = Duration::from_millis(100);

/// How long one command on the control connection may take.
const CONTROL: Duration = Duration::from_secs(1);
/// How long writes may take to pass again after the pause was ended.
const RELEASE: Duration = Duration::from_secs(2);
/// How often that is looked at.
const RELEASE_POLL: Duration = Duration::from_millis(5);

/// The fault: a store that answers reads and takes no writes.
///
/// Held by `CLIENT PAUSE ... WRITE` on a connection that never writes, as a lease: [`LEASE`] long, renewed every
/// [`RENEWAL`]. However the process ends, the store takes writes again less than half a second later.
#[derive(Clone, Debug)]
pub struct RedisPause {
    url: StoreUrl,
}

/// A pause being held. Dropping it heals; [`heal`](Self::heal) also waits for the proof.
#[must_use = "dropping the guard ends the pause"]
#[derive(Debug)]
pub struct PauseGuard {
    url: StoreUrl,
    started: Instant,
    release: CancellationToken,
    lease: Option<JoinHandle<Lease>>,
}

/// What was measured of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseReport {
    /// When the store confirmed the first pause.
    pub started: Instant,
    /// When a write was seen to pass again.
    pub ended: Instant,
    /// How often the lease was renewed.
    pub renewals: u32,
    /// The longest time between two confirmed renewals. Above [`LEASE`], writes may have passed in between.
    pub longest_renewal: Duration,
}

impl PauseReport {
    /// How long the store took no writes.
    pub fn held(&self) -> Duration {
        self.ended - self.started
    }

    /// Whether the lease was renewed in time throughout.
    pub fn is_without_gap(&self) -> bool {
        self.longest_renewal < LEASE
    }
}

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
        let guard = PauseGuard { url: self.url.clone(), started, release, lease: Some(lease) };
        if writes_pass(&self.url).await? {
            return Err(ChaosError::PauseWithoutEffect { url: self.url.clone() });
        }
        Ok(guard)
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

/// Holds the store's writes back for `duration`, and returns when a write was seen to pass again.
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

/// What the task that holds the lease has to say in the end.
#[derive(Debug)]
struct Lease {
    renewals: u32,
    longest: Duration,
    /// When the store was last known to be paused, and why it could not be told again.
    lost: Option<(Instant, StoreError)>,
}

/// Renews the lease until `release`, then ends it.
async fn hold(control: Link, started: Instant, release: CancellationToken) -> Lease {
    let mut lease = Lease { renewals: 0, longest: Duration::ZERO, lost: None };
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
                    last = now;
                }
                Err(error) => {
                    lease.lost = Some((last, error));
                    break;
                }
            }
        }
    }
    // If this fails the lease runs out by itself, and whoever waits for the proof will see when.
    let _ = control.query::<()>(cmd("CLIENT").arg("UNPAUSE"), CONTROL).await;
    lease
}

impl PauseGuard {
    /// When the store confirmed the pause.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Whether the lease is still held. It is lost when the store is.
    pub fn is_held(&self) -> bool {
        self.lease.as_ref().is_some_and(|lease| !lease.is_finished())
    }

    /// Ends the pause and waits until a write is seen to pass.
    ///
    /// # Errors
    /// When the store was lost meanwhile, or writes do not pass within two seconds.
    pub async fn heal(mut self) -> Result<PauseReport, ChaosError> {
        self.release.cancel();
        let Some(lease) = self.lease.take() else { unreachable!("only healing takes the lease") };
        let lease = lease.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let asked = Instant::now();
        while !writes_pass(&self.url).await? {
            if asked.elapsed() > RELEASE {
                return Err(ChaosError::NotReleased { url: self.url.clone(), after: asked.elapsed() });
            }
            sleep(RELEASE_POLL).await;
        }
        let ended = Instant::now();
        match lease.lost {
            Some((last, source)) => Err(ChaosError::PauseLost { after: last + LEASE - self.started, source }),
            None => Ok(PauseReport {
                started: self.started,
                ended,
                renewals: lease.renewals,
                longest_renewal: lease.longest,
            }),
        }
    }
}

impl Drop for PauseGuard {
    fn drop(&mut self) {
        self.release.cancel();
    }
}
