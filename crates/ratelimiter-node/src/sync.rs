//! What a node does in the background, once a sync interval: flush its admissions, read everybody's, say that it is
//! there.

use std::sync::Arc;
use std::time::Duration;

use ratelimiter_api::NodeId;
use ratelimiter_api::layout::Heartbeat;
use ratelimiter_store::StoreError;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::StoreClock;
use crate::limiter::Limiter;
use crate::metrics::Metrics;
use crate::roster::Roster;
use crate::shared::SharedStore;

/// Admissions that one round trip of a flush takes along: enough to be quick, few enough not to hold up the store.
const FLUSH_MOST: usize = 1000;

/// What the node knows of its store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StoreStatus {
    pub(crate) connected: bool,
    pub(crate) latency: Option<Duration>,
}

/// The node's side of the conversation with the store.
#[derive(Debug)]
pub(crate) struct Sync {
    pub(crate) node: NodeId,
    pub(crate) address: String,
    pub(crate) interval: Duration,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) store: Arc<SharedStore>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) status: tokio::sync::watch::Sender<StoreStatus>,
}

impl Sync {
    /// Flushes and refreshes until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut flushing: Option<JoinHandle<_>> = None;
        loop {
            ticks.tick().await;
            // One flush at a time: while the store takes no writes, a second would wait behind the first. What is
            // refreshed after a flush is known to hold it; a flush that takes long is not waited for, since reads pass.
            let mut flush = flushing.take().unwrap_or_else(|| tokio::spawn(Arc::clone(&self).flush()));
            if timeout(self.interval / 2, &mut flush).await.is_err() {
                flushing = Some(flush);
            }
            let was = self.status.borrow().connected;
            match self.refresh().await {
                Ok(latency) => {
                    self.status.send_replace(StoreStatus { connected: true, latency: Some(latency) });
                    if !was {
                        tracing::info!("the store answers");
                    }
                }
                Err(error) => {
                    self.status.send_replace(StoreStatus::default());
                    if was {
                        tracing::warn!(%error, "the store does not answer; deciding without it");
                    }
                }
            }
        }
    }

    /// Says that this node is there, until dropped.
    ///
    /// A heartbeat that was given up is sent again at once, so that there is always one on its way: when a store takes
    /// writes again, it hears of every node at the same moment, and none looks as if it had been silent.
    pub(crate) async fn beat(self: Arc<Self>) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            loop {
                let at_us = self.clock.now_us();
                let boot = self.limiter.boot().to_owned();
                let beat = Heartbeat { address: self.address.clone(), boot, at_us };
                match self.store.beat(&self.node, &beat, &self.roster.gone()).await {
                    Ok(()) => self.roster.confirmed(at_us),
                    Err(StoreError::Deadline { .. }) => continue,
                    Err(_) => {}
                }
                break;
            }
        }
    }

    /// Tells the store what it has not confirmed yet. A batch that fails stays pending and is told again as it was.
    pub(crate) async fn flush(self: Arc<Self>) -> Result<(), StoreError> {
        loop {
            let batches = self.limiter.send(FLUSH_MOST);
            if batches.is_empty() {
                return Ok(());
            }
            let sent: Vec<_> = batches.iter().map(|b| (&b.span, b.admissions.as_slice())).collect();
            let forgot = self.store.flush(self.limiter.members(), &sent).await?;
            self.limiter.confirm(&batches, &forgot);
            if batches.iter().map(|b| b.admissions.len()).sum::<usize>() < FLUSH_MOST {
                return Ok(());
            }
        }
    }

    /// Reads the store's clock, the limits if they changed, the heartbeats and every window.
    async fn refresh(&self) -> Result<Duration, StoreError> {
        let watched = self.limiter.windows();
        let spans: Vec<_> = watched.iter().map(|w| &w.span).collect();
        let answer = self.store.refresh(self.limiter.members(), &spans).await?;
        self.clock.adjust(answer.time_us, answer.sent, answer.received);
        self.roster.read(answer.heartbeats);
        self.limiter.refresh(&watched, answer.windows);
        let (known, listed) = {
            let limits = self.limiter.limits();
            (limits.version(), limits.are_listed_at(answer.version))
        };
        if answer.version < known {
            // It may also be that the version grew since it was read; then the store has nothing to be told.
            self.restore_limits().await?;
        } else if !listed {
            let (version, entries) = self.store.limits().await?;
            self.limiter.limits().replace(version, entries);
            self.metrics.retain(|key| self.limiter.limits().get(key).is_some());
        }
        Ok(answer.received - answer.sent)
    }

    /// Gives a store that lost its state the limits this node remembers, unless another was first.
    pub(crate) async fn restore_limits(&self) -> Result<(), StoreError> {
        let known = self.limiter.limits().version();
        self.store.restore_limits(known, &self.limiter.entries()).await
    }

    /// Tells the store all that is pending and says goodbye.
    pub(crate) async fn leave(self: Arc<Self>) -> Result<(), StoreError> {
        Arc::clone(&self).flush().await?;
        self.store.leave(&self.node).await
    }
}
