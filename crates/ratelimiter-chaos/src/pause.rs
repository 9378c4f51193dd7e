use std::collections::HashMap;
use std::time::Duration;

use ratelimiter_store::{Link, StoreError, StoreUrl, StoreVersion};
use redis::{Cmd, cmd};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::guard::{PauseGuard, PauseReport};
use crate::probe::foreign_pause;
use crate::samples::ProbeSamples;
use crate::writes_held::{LEASE, PauseCourse, RENEWAL, WritesHeld};
use crate::{ChaosError, PauseDuration, Reach};

/// Deadline of one command on the control connection.
const CONTROL: Duration = Duration::from_secs(1);

/// The fault: a store that answers reads and takes no writes.
///
/// Held by `CLIENT PAUSE ... WRITE` on a connection that never writes, as a lease: [`LEASE`] long,
/// renewed after a third of it. However the process ends, the store takes writes again less than
/// half a second later.
///
/// The pause is never ended by command: `CLIENT UNPAUSE` ends the pauses of all clients, and a
/// shorter pause of another client cannot be seen behind ours. Healing lets the lease run out,
/// which ends ours alone.
///
/// In a cluster every primary is paused, at the address that it has at the start; the URL of one
/// member pauses that alone, and a part of the keys with it. Sentinels take a paused primary for a
/// dead one and fail over, since its messages to them are writes: there, a pause that is as long as
/// their patience is refused.
#[derive(Clone, Debug)]
pub struct RedisPause {
    url: StoreUrl,
    length: Option<Duration>,
}

impl RedisPause {
    /// A pause of the store at `url`. Opens nothing.
    ///
    /// # Errors
    /// When the store is out of reach.
    pub fn new(url: StoreUrl, reach: Reach) -> Result<Self, ChaosError> {
        reach.permit(url.is_loopback(), &url)?;
        Ok(Self { url, length: None })
    }

    /// States the longest time for which it will be held.
    #[must_use]
    pub fn at_most(mut self, length: Duration) -> Self {
        self.length = Some(length);
        self
    }

    /// Makes the store take no writes until the guard is dropped, and proves that it does.
    ///
    /// # Errors
    /// When the store cannot be reached, is too old, does not allow the command, or is being paused
    /// by someone else; or when sentinels would fail over.
    pub async fn inject(&self) -> Result<PauseGuard, ChaosError> {
        let link = Link::new(self.url.clone());
        StoreVersion::check(&link, CONTROL).await?;
        self.refuse_failover().await?;
        if let Some(pause) = foreign_pause(&self.url)
            .await
            .map_err(|e| self.explain(e))?
        {
            return Err(ChaosError::ForeignPause {
                url: self.url.clone(),
                pause,
            });
        }
        let mut controls = Vec::new();
        for primary in link.primaries(CONTROL).await? {
            let control = Link::new(primary);
            control
                .query::<()>(&pause_command(), CONTROL)
                .await
                .map_err(|e| self.explain(e))?;
            controls.push(control);
        }
        let started = Instant::now();
        let release = CancellationToken::new();
        let lease = tokio::spawn(hold(controls, started, release.clone()));
        // Ends the lease unless the guard takes over.
        let unproven = release.drop_guard();
        let mut samples = ProbeSamples::default();
        if samples.take(&self.url).await? {
            return Err(ChaosError::PauseWithoutEffect {
                url: self.url.clone(),
            });
        }
        Ok(PauseGuard::new(
            self.url.clone(),
            started,
            unproven,
            WritesHeld::Lease(lease),
            samples,
        ))
    }

    /// Asks the sentinels for their patience.
    async fn refuse_failover(&self) -> Result<(), ChaosError> {
        let Some(service) = self.url.service() else {
            return Ok(());
        };
        for sentinel in self.url.sentinels() {
            let mut ask = cmd("SENTINEL");
            ask.arg("MASTER").arg(service);
            let answer = Link::new(sentinel)
                .query::<HashMap<String, String>>(&ask, CONTROL)
                .await;
            let patience = answer
                .ok()
                .and_then(|fields| fields.get("down-after-milliseconds")?.parse().ok());
            let Some(patience) = patience.map(Duration::from_millis) else {
                continue;
            };
            if self.length.is_none_or(|length| length + LEASE >= patience) {
                return Err(ChaosError::PauseFailsOver {
                    url: self.url.clone(),
                    patience,
                });
            }
            return Ok(());
        }
        Ok(())
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

/// Holds the store's writes back for `duration` and the rest of the last lease, and returns once a
/// write has passed again.
///
/// # Errors
/// As [`RedisPause::inject`] and [`PauseGuard::heal`].
pub async fn redis_pause(
    url: StoreUrl,
    duration: PauseDuration,
    reach: Reach,
) -> Result<PauseReport, ChaosError> {
    let guard = RedisPause::new(url, reach)?
        .at_most(duration.get())
        .inject()
        .await?;
    tokio::time::sleep_until(guard.started() + duration.get()).await;
    guard.heal().await
}

fn pause_command() -> Cmd {
    let mut command = cmd("CLIENT");
    command
        .arg("PAUSE")
        .arg(u64::try_from(LEASE.as_millis()).unwrap_or(300))
        .arg("WRITE");
    command
}

/// Renews the lease until `release`, then lets it run out.
async fn hold(controls: Vec<Link>, started: Instant, release: CancellationToken) -> PauseCourse {
    let mut course = PauseCourse::ending_at(started + LEASE);
    let mut ticks = interval(RENEWAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    let mut last = started;
    loop {
        tokio::select! {
            biased;
            () = release.cancelled() => break,
            _ = ticks.tick() => match renew(&controls).await {
                Ok(()) => {
                    let now = Instant::now();
                    course.longest_renewal = course.longest_renewal.max(now - last);
                    course.renewals += 1;
                    course.ends = now + LEASE;
                    last = now;
                }
                Err(error) => {
                    course.lost = Some(error);
                    break;
                }
            }
        }
    }
    course
}

/// Renews the lease on every primary, one after the other: a command on loopback takes well under a
/// millisecond.
async fn renew(controls: &[Link]) -> Result<(), StoreError> {
    for control in controls {
        control.query::<()>(&pause_command(), CONTROL).await?;
    }
    Ok(())
}
