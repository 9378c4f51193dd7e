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
use crate::roster::Roster;
use crate::shared::SharedStore;

/// Admissions of one key that one flush takes along; the next one takes the rest.
const FLUSH_MOST: usize = 5000;

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
    pub(crate) status: tokio::sync::watch::Sender<StoreStatus>,
}

impl Sync {
    /// Flushes and refreshes until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut version = None;
        let mut flushing: Option<JoinHandle<_>> = None;
        loop {
            ticks.tick().await;
            // One flush at a time: while the store takes no writes, a second would wait behind the first. What is
            // refreshed after a flush is known to hold it; a flush that takes long is not waited for, since reads pass.
            let flush = flushing.take().unwrap_or_else(|| tokio::spawn(Arc::clone(&self).flush()));
            let mut flush = flush;
            if timeout(self.interval / 2, &mut flush).await.is_err() {
                flushing = Some(flush);
            }
            let result = self.refresh(&mut version).await;
            let was = self.status.borrow().connected;
            match result {
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
    pub(crate) async fn beat(self: Arc<Self>) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let at_us = self.clock.now_us();
            let beat =
                Heartbeat { address: self.address.clone(), boot: self.limiter.boot().to_owned(), at_us };
            if self.store.beat(&self.node, &beat, &self.roster.gone()).await.is_ok() {
                self.roster.confirmed(at_us);
            }
        }
    }

    /// Tells the store what it has not confirmed yet. A batch that fails stays pending and is told again as it was.
    pub(crate) async fn flush(self: Arc<Self>) -> Result<(), StoreError> {
        for batch in self.limiter.pending(FLUSH_MOST) {
            self.store.flush(&batch.span, self.limiter.members(), &batch.admissions).await?;
            self.limiter.confirm(&batch);
        }
        Ok(())
    }

    /// Reads the store's clock, the limits if they changed, the heartbeats and every window.
    async fn refresh(&self, version: &mut Option<u64>) -> Result<Duration, StoreError> {
        let windows = self.limiter.windows();
        let spans: Vec<_> = windows.iter().map(|w| w.span.clone()).collect();
        let answer = self.store.refresh(&spans).await?;
        self.clock.adjust(answer.time_us, answer.sent, answer.received);
        self.roster.read(answer.heartbeats, answer.time_us);
        for (window, shared) in windows.iter().zip(answer.windows) {
            self.limiter.refresh(window, shared);
        }
        match answer.version {
            // A store that was used has a version. Without one it has lost its state, or never had any.
            None => {
                let limits = self.limiter.limits();
                if let Some(newest) = limits.iter().map(|l| l.epoch).max() {
                    tracing::warn!("the store lost its state; restoring the limits");
                    self.store.restore_limits(version.unwrap_or(0).max(newest) + 1, &limits).await?;
                }
            }
            now if now != *version => {
                self.limiter.replace_limits(self.store.limits().await?);
                *version = now;
            }
            _ => {}
        }
        Ok(answer.received - answer.sent)
    }

    /// Tells the store all that is pending and says goodbye.
    pub(crate) async fn leave(self: Arc<Self>) -> Result<(), StoreError> {
        while !self.limiter.pending(1).is_empty() {
            Arc::clone(&self).flush().await?;
        }
        self.store.leave(&self.node).await
    }
}
