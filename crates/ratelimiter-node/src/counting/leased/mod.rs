//! Leased counting: the store grants the right to admit, and this node spends it. Protocol and proof are in
//! `ratelimiter-lease`; here are the messages, the waiting checks and the clock.

mod clock;
mod lease;
mod metrics;
mod pump;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ratelimiter_api::{Key, LeaseCounter, LimitEntry};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Decision, Undecided};
use crate::admissions::RETENTION;
use crate::clock::{StoreClock, micros};
use crate::shared::{Members, SharedStore};
use lease::{Lease, Waiter};
pub(crate) use metrics::GrantMetrics;

/// How often unspent grants are looked for: with the time for which they are meant, the bound on how long they are held.
const TICK: Duration = Duration::from_millis(25);

/// Every leased key of this node.
#[derive(Debug)]
pub(crate) struct Leases {
    store: Arc<SharedStore>,
    store_clock: Arc<StoreClock>,
    members: Members,
    store_timeout: Duration,
    /// The number of the next grant.
    number: AtomicU64,
    /// Nodes that share the limits.
    nodes: AtomicU32,
    keys: Mutex<HashMap<Key, Lease>>,
    metrics: GrantMetrics,
}

/// Facts that a node has at a check, and that the store may have lost or not received yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// The newest version of the limits that the node has read.
    pub(crate) version: u64,
    /// Own admissions that no grant covers, on their way to the store.
    pub(crate) coming: u64,
}

impl Leases {
    pub(crate) fn new(
        store: Arc<SharedStore>,
        store_clock: Arc<StoreClock>,
        members: Members,
        store_timeout: Duration,
    ) -> Self {
        Self {
            store,
            store_clock,
            members,
            store_timeout,
            number: AtomicU64::new(1),
            nodes: AtomicU32::new(1),
            keys: Mutex::default(),
            metrics: GrantMetrics::new(),
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Key, Lease>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides one check: from a grant that the node holds, or with the next one.
    pub(crate) async fn check(
        self: &Arc<Self>,
        entry: &LimitEntry,
        cost: u32,
        first_sequence: u64,
        known: Known,
    ) -> Result<Decision, Undecided> {
        let answer = {
            let mut keys = self.keys();
            let lease = match keys.get_mut(&entry.key) {
                Some(lease) => lease,
                None => keys.entry(entry.key.clone()).or_insert_with(|| Lease::new(entry.clone())),
            };
            lease.follow(entry);
            lease.known = known;
            let now = clock::now();
            lease.holder.note(now, cost);
            // Checks that wait already come first.
            if lease.waiting.is_empty()
                && let Some(decision) = lease.decide(now, self.store_clock.now_us(), cost, first_sequence)
            {
                if lease.holder.wants_refill(now) {
                    self.pump(lease);
                }
                return Ok(decision);
            }
            let (reply, answer) = oneshot::channel();
            lease.waiting.push_back(Waiter { cost, first_sequence, reply });
            self.pump(lease);
            answer
        };
        match timeout(self.store_timeout, answer).await {
            Ok(Ok(decided)) => decided,
            Ok(Err(_)) | Err(_) => Err(Undecided::NoGrant),
        }
    }

    /// Gives unspent grants back in time, until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    fn tick(self: &Arc<Self>) {
        let now_us = self.store_clock.now_us();
        self.keys().retain(|_, lease| {
            let now = clock::now();
            if lease.holder.tick(now) && now >= lease.quiet_until {
                self.pump(lease);
            }
            let kept = lease.entry.limit.window_us() + micros(RETENTION);
            !lease.expire(now_us.saturating_sub(kept))
        });
    }

    /// Gives everything back, as a node does that stops.
    pub(crate) async fn leave(&self) {
        let now = clock::now();
        let mut open = Vec::new();
        for lease in self.keys().values_mut() {
            lease.holder.close_all(now);
            let settlements: Vec<_> = lease.holder.settlements().collect();
            if !settlements.is_empty() {
                open.push((lease.entry.clone(), lease.terms, settlements));
            }
        }
        for (entry, terms, settlements) in open {
            if let Err(error) = self.settle(&entry, &terms, &settlements).await {
                tracing::warn!(key = %entry.key, %error, "unspent grants are missing until their lease and window end");
                return;
            }
        }
    }

    /// The number of nodes that share the limits, as of the last sync.
    pub(crate) fn refresh(&self, nodes: usize) {
        self.nodes.store(u32::try_from(nodes).unwrap_or(u32::MAX).max(1), Ordering::Relaxed);
    }

    /// This node's grants of a counter, with the admissions in the span that they cover.
    pub(crate) fn report(&self, entry: &LimitEntry, from_us: u64, until_us: u64) -> Option<LeaseCounter> {
        let mut keys = self.keys();
        let Entry::Occupied(lease) = keys.entry(entry.key.clone()) else { return None };
        let lease = lease.get();
        if lease.entry.epoch != entry.epoch {
            return None;
        }
        let now_us = self.store_clock.now_us();
        let spent = lease.count(now_us.saturating_sub(entry.limit.window_us()), u64::MAX);
        let (unspent, stranded) = (lease.holder.unspent().into(), lease.holder.stranded().into());
        let admitted = lease.count(from_us, until_us);
        Some(LeaseCounter { admitted, charged: spent + unspent + stranded, unspent, stranded })
    }

    /// Requests for grants, for Prometheus.
    pub(crate) fn metrics(&self) -> &GrantMetrics {
        &self.metrics
    }
}
