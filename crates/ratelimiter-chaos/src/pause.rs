use std::time::Duration;

use ratelimiter_store::{Link, StoreError, StoreUrl, StoreVersion};
use redis::{Cmd, cmd};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::guard::{PauseGuard, PauseReport};
use crate::hold::{Hold, LEASE, Lease, RENEWAL};
use crate::probe::foreign_pause;
use crate::samples::Samples;
use crate::{ChaosError, PauseDuration, Scope};

/// How long one command on the control connection may take.
const CONTROL: Duration = Duration::from_secs(1);

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
        Ok(PauseGuard::new(self.url.clone(), started, unproven.disarm(), Hold::Lease(lease), samples))
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
pub async fn redis_pause(
    url: StoreUrl,
    duration: PauseDuration,
    scope: Scope,
) -> Result<PauseReport, ChaosError> {
    let guard = RedisPause::new(url, scope)?.inject().await?;
    tokio::time::sleep_until(guard.started() + duration.get()).await;
    guard.heal().await
}

fn pause_command() -> Cmd {
    let mut command = cmd("CLIENT");
    command.arg("PAUSE").arg(u64::try_from(LEASE.as_millis()).unwrap_or(300)).arg("WRITE");
    command
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
