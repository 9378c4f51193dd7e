//! The background work of a node, once a sync interval: flush its admissions, read the others',
//! send a heartbeat.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use ratelimiter_api::layout::{Heartbeat, NODES};
use ratelimiter_api::{LimitEntry, NodeId};
use ratelimiter_store::StoreError;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::clock::StoreClock;
use crate::limiter::Limiter;
use crate::metrics::NodeMetrics;
use crate::roster::NodeRoster;
use crate::shared::{SharedStore, StoreStatus};

/// Admissions that one round trip of a flush takes along: enough to be quick, few enough not to
/// hold up the store.
const FLUSH_MOST: usize = 1000;

/// Time between two looks at the store's eviction policy.
const EVICTION_INTERVAL: Duration = Duration::from_secs(60);

/// The node's background work with the store.
#[derive(Debug)]
pub(crate) struct StoreSync {
    pub(crate) node: NodeId,
    pub(crate) address: String,
    pub(crate) interval: Duration,
    /// Longest wait of a check for the store.
    pub(crate) store_timeout: Duration,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) store: Arc<SharedStore>,
    pub(crate) roster: Arc<NodeRoster>,
    pub(crate) metrics: Arc<NodeMetrics>,
    /// Limits of the node's own file, until the store has them.
    pub(crate) seeds: Mutex<Vec<LimitEntry>>,
    pub(crate) status: tokio::sync::watch::Sender<StoreStatus>,
}

impl StoreSync {
    /// Flushes and refreshes until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut flushing: Option<JoinHandle<_>> = None;
        loop {
            ticks.tick().await;
            // One flush at a time: while the store takes no writes, a second would wait behind the
            // first. What is refreshed after a flush is known to hold it; a flush that takes long
            // is not waited for, since reads pass.
            let mut flush = flushing
                .take()
                .unwrap_or_else(|| tokio::spawn(Arc::clone(&self).flush()));
            if timeout(self.interval / 2, &mut flush).await.is_err() {
                flushing = Some(flush);
            }
            let was = self.status.borrow().connected;
            match self.refresh().await {
                // Whether the store's clock can be believed is not known yet.
                Ok(_) if !self.clock.is_read() => {}
                Ok(latency) => {
                    self.status.send_replace(StoreStatus {
                        connected: true,
                        latency: Some(latency),
                    });
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

    /// Reads what the store may drop, at once and then every minute, until dropped.
    pub(crate) async fn watch_eviction(self: Arc<Self>) {
        let mut ticks = interval(EVICTION_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.store.read_eviction().await {
                tracing::debug!(%error, "the store's eviction policy is not known");
            }
        }
    }

    /// Sends heartbeats until dropped.
    ///
    /// A heartbeat that missed its deadline is sent again at once: one is always on its way. When a
    /// store takes writes again, the heartbeats of all nodes arrive at the same moment, and no node
    /// seems to have been silent.
    pub(crate) async fn beat(self: Arc<Self>) {
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            while let Err(StoreError::Deadline { .. }) = self.beat_once().await {}
        }
    }

    async fn beat_once(&self) -> Result<(), StoreError> {
        let at_us = self.clock.now_us();
        let beat = Heartbeat {
            address: self.address.clone(),
            boot: self.store.names.boot().to_owned(),
            also_at: self.roster.duplicate(),
            at_us,
        };
        let gone = self.roster.gone();
        let replaced = self
            .store
            .beat(&self.node, &beat, &self.clock, &gone)
            .await?;
        self.roster.confirmed(at_us, replaced);
        let latency = self.status.borrow().latency;
        if latency.is_some_and(|latency| latency < self.store_timeout / 2) {
            self.store.circuits.of(NODES).close();
        }
        Ok(())
    }

    /// Sends unconfirmed admissions to the store. Those of a batch that fails are sent again under
    /// the same names.
    pub(crate) async fn flush(self: Arc<Self>) -> Result<(), StoreError> {
        // Without the common clock they have no time yet.
        while self.clock.is_read() {
            let batches = self.limiter.unsynced(FLUSH_MOST);
            if batches.is_empty() {
                break;
            }
            let forgot = self.store.flush(&batches).await;
            self.limiter.confirm(&batches, &forgot);
            forgot.into_iter().collect::<Result<Vec<_>, _>>()?;
            if batches.iter().map(|b| b.admissions.len()).sum::<usize>() < FLUSH_MOST {
                break;
            }
        }
        Ok(())
    }

    /// Reads the store's clock, the changed limits, the heartbeats and the windows of the keys in
    /// use.
    async fn refresh(&self) -> Result<Duration, StoreError> {
        let known = self.limiter.known();
        self.limiter.sweep();
        let watched = self.limiter.windows();
        let windows: Vec<_> = watched.iter().map(|w| (&w.key, &w.window)).collect();
        let mut answer = self.store.refresh(&windows).await?;
        let own = self.store.names.boot();
        answer.clock.is_heard = answer.heartbeats.iter().any(|(_, beat)| beat.boot == own);
        self.limiter.follow_clock(answer.clock);
        if self.clock.change().is_some() {
            self.beat_once().await.ok();
        }
        self.roster.read(std::mem::take(&mut answer.heartbeats));
        if !self.clock.is_read() {
            return Ok(answer.clock.round_trip());
        }
        let keys = self
            .limiter
            .refresh(&watched, std::mem::take(&mut answer.windows));
        if answer.wrong_type {
            self.store.quarantine_state().await?;
            return Ok(answer.clock.round_trip());
        }
        self.limiter
            .leases()
            .refresh(self.roster.nodes().nodes.len());
        let seeds = self.seeds.lock().clone();
        if self.limiter.follow(&known, &answer, &seeds).await? {
            self.seeds.lock().clear();
            self.metrics
                .retain(|key| self.limiter.limits().get(key).is_some());
        }
        // A part of the store may not answer while the others do.
        let keys = keys?;
        for entry in &keys.wrong_type {
            self.store.quarantine_key(entry).await?;
        }
        self.store.copy_limits(&keys.behind, None).await?;
        self.audit().await?;
        Ok(answer.clock.round_trip())
    }

    /// After the store lost admissions that it had confirmed: asks for each by its name, so that
    /// the loss has a number and what is lost is sent again. Goes on at the next sync when there
    /// are many.
    async fn audit(&self) -> Result<(), StoreError> {
        let started = Instant::now();
        while started.elapsed() < self.interval {
            let batches = self.limiter.doubts(FLUSH_MOST);
            if batches.is_empty() {
                return Ok(());
            }
            let held = self.store.audit(&batches).await?;
            for (key, lost) in self.limiter.settle(&batches, &held) {
                tracing::warn!(%key, lost, "the store lost admissions that it had confirmed; \
                    sending them again");
            }
            if held.iter().any(Option::is_none) {
                // The limit changed, and the next sync follows.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends all that is pending and removes the heartbeat.
    pub(crate) async fn leave(self: Arc<Self>) -> Result<(), StoreError> {
        self.limiter.leases().leave().await;
        Arc::clone(&self).flush().await?;
        self.store.leave(&self.node).await
    }
}
