//! Counting mode `leased`: the store grants the right to admit, and this node spends it. Protocol
//! and proof are in `ratelimiter-lease`; here are the messages, the waiting checks and the clock.

#[cfg(not(test))]
mod clock;
mod exchange;
mod lease;
mod ledger;
mod metrics;
mod terms;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use ratelimiter_api::{FormerGrants, Key, LeaseCounter, LimitEntry};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{CheckContext, CheckOutcome, PendingCheck};
use crate::admissions::RETENTION;
use crate::clock::micros;
#[cfg(test)]
use crate::tests::simulation::clock;
use lease::{KeyLease, LeaseCell, WaitingCheck};
use ledger::GrantMessage;
pub(crate) use metrics::GrantMetrics;
pub(super) use terms::LEASE_ENDS;

/// How often unspent grants are looked for: with the time for which they are meant, the bound on
/// how long they are held.
const TICK: Duration = Duration::from_millis(25);

/// Every leased key of this node. Each has its own lock, so that one key's work never delays
/// another's.
#[derive(Debug)]
pub(crate) struct LeaseTable {
    context: Arc<CheckContext>,
    /// The number of the next grant.
    number: AtomicU64,
    /// Nodes that share the limits.
    nodes: AtomicU32,
    keys: Mutex<HashMap<Key, Arc<LeaseCell>>>,
    /// Those that hold grants or have some to settle, each once.
    open: Mutex<Vec<Arc<LeaseCell>>>,
    metrics: GrantMetrics,
}

/// Facts that a node has at a check, and that the store may have lost or not received yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NodeFacts {
    /// The newest version of the limits that the node has read.
    pub(crate) version: u64,
    /// Own admissions that no grant covers, on their way to the store.
    pub(crate) coming: u64,
}

impl LeaseTable {
    pub(super) fn new(context: Arc<CheckContext>) -> Self {
        Self {
            context,
            number: AtomicU64::new(1),
            nodes: AtomicU32::new(1),
            keys: Mutex::default(),
            open: Mutex::default(),
            metrics: GrantMetrics::new(),
        }
    }

    /// Decides one check: from a grant that the node holds, or with the next one. `version` is the
    /// newest of the limits that the node has read.
    pub(super) async fn ask(
        self: &Arc<Self>,
        check: &PendingCheck<'_>,
        version: u64,
    ) -> CheckOutcome {
        let (entry, cost) = (&check.entry, check.cost);
        let facts = NodeFacts {
            version,
            coming: check.counter.lock().log.unconfirmed(),
        };
        let cell = {
            let mut keys = self.keys.lock();
            let new = || Arc::new(Mutex::new(KeyLease::new(entry.clone())));
            Arc::clone(keys.entry(entry.key.clone()).or_insert_with(new))
        };
        let answer = {
            let mut lease = cell.lock();
            self.settle_later(lease.follow(entry));
            lease.facts = facts;
            let now = clock::now();
            lease.holder.note(now, cost.admissions);
            // Checks that wait already come first.
            let now_us = self.context.clock.now_us();
            if lease.waiting.is_empty()
                && let Some(decision) = lease.decide(now, now_us, cost, &self.context)
            {
                if lease.holder.wants_refill(now) {
                    self.pump(&cell, &mut lease);
                }
                return CheckOutcome::Decided(decision);
            }
            let (reply, answer) = oneshot::channel();
            lease.waiting.push_back(WaitingCheck { cost, reply });
            self.pump(&cell, &mut lease);
            answer
        };
        check.outcome(answer).await
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
        let open = std::mem::take(&mut *self.open.lock());
        for cell in open {
            let mut lease = cell.lock();
            let now = clock::now();
            if lease.holder.tick(now) && now >= lease.quiet_until {
                self.pump(&cell, &mut lease);
            }
            lease.open = false;
            self.look_after(&cell, &mut lease);
        }
    }

    /// Has the tick look at a lease that holds grants or has some to settle.
    fn look_after(&self, cell: &Arc<LeaseCell>, lease: &mut KeyLease) {
        if !lease.holder.is_idle() && !std::mem::replace(&mut lease.open, true) {
            self.open.lock().push(Arc::clone(cell));
        }
    }

    /// Drops admissions that left their window, and the leases of keys that are idle or whose
    /// counter is gone. Returns the number of admissions remembered.
    pub(crate) fn sweep(self: &Arc<Self>, epoch_of: impl Fn(&Key) -> Option<u64>) -> usize {
        let now_us = self.context.clock.now_us();
        let cells: Vec<_> = self.keys.lock().values().map(Arc::clone).collect();
        let (mut remembered, mut gone) = (0, Vec::new());
        for cell in cells {
            let mut lease = cell.lock();
            if epoch_of(&lease.entry.key) != Some(lease.entry.epoch) {
                self.settle_later(lease.end(None));
            }
            let kept = lease.entry.limit.window_us() + micros(RETENTION);
            lease.log.expire(now_us.saturating_sub(kept));
            remembered += lease.log.len();
            if lease.is_idle() {
                gone.push(lease.entry.key.clone());
            }
        }
        let mut keys = self.keys.lock();
        for key in gone {
            // A check that has the cell in its hands is about to use it.
            if keys
                .get(&key)
                .is_some_and(|cell| Arc::strong_count(cell) == 1 && cell.lock().is_idle())
            {
                keys.remove(&key);
            }
        }
        remembered
    }

    /// A key has another counter, or none any more: the grants of the one before are given back.
    pub(crate) fn replaced(self: &Arc<Self>, key: &Key, epoch: Option<u64>) {
        let cell = self.keys.lock().get(key).map(Arc::clone);
        if let Some(mut lease) = cell.as_ref().map(|cell| cell.lock())
            && Some(lease.entry.epoch) != epoch
        {
            self.settle_later(lease.end(None));
        }
    }

    /// Gives the grants of a counter back that has ended. Where that fails they end by themselves.
    fn settle_later(self: &Arc<Self>, message: Option<GrantMessage>) {
        if let Some(message) = message {
            let table = Arc::clone(self);
            tokio::spawn(async move { table.settle(&message).await });
        }
    }

    /// Waits until all grants of a limit are given back that were given before now, or have ended
    /// by `until`.
    pub(super) async fn former(&self, limit: &LimitEntry, until: Instant) -> FormerGrants {
        let mut instant_us = None;
        loop {
            if let Ok((out, at_us)) = ledger::former(&self.context, limit, instant_us).await {
                if out == 0 {
                    return FormerGrants::Returned;
                }
                instant_us = Some(at_us);
            }
            if Instant::now() >= until {
                return FormerGrants::Ended;
            }
            sleep_until(until.min(Instant::now() + TICK)).await;
        }
    }

    /// Gives everything back, as a node does that stops.
    pub(crate) async fn leave(&self) {
        let open = std::mem::take(&mut *self.open.lock());
        let messages: Vec<_> = open
            .iter()
            .filter_map(|cell| cell.lock().give_back())
            .collect();
        for message in messages {
            if let Err(error) = self.settle(&message).await {
                tracing::warn!(key = %message.entry.key, %error, "unspent grants are missing until \
                    their lease and window end");
                return;
            }
        }
    }

    /// The number of nodes that share the limits, as of the last sync.
    pub(crate) fn refresh(&self, nodes: usize) {
        self.nodes.store(
            u32::try_from(nodes).unwrap_or(u32::MAX).max(1),
            Ordering::Relaxed,
        );
    }

    /// Admissions in the window that ends now and that grants cover.
    pub(super) fn admitted(&self, entry: &LimitEntry, now_us: u64) -> u64 {
        let start_us = now_us.saturating_sub(entry.limit.window_us());
        self.report(entry, start_us, u64::MAX)
            .map_or(0, |lease| lease.admitted)
    }

    /// This node's grants of a counter, with the admissions in the span that they cover.
    pub(crate) fn report(
        &self,
        entry: &LimitEntry,
        from_us: u64,
        until_us: u64,
    ) -> Option<LeaseCounter> {
        let cell = self.keys.lock().get(&entry.key).map(Arc::clone)?;
        let lease = cell.lock();
        if lease.entry.epoch != entry.epoch {
            return None;
        }
        let now_us = self.context.clock.now_us();
        let spent = lease
            .log
            .count(now_us.saturating_sub(entry.limit.window_us()), u64::MAX);
        let (unspent, stranded) = (
            lease.holder.unspent().into(),
            lease.holder.stranded().into(),
        );
        let admitted = lease.log.count(from_us, until_us);
        Some(LeaseCounter {
            admitted,
            charged: spent + unspent + stranded,
            unspent,
            stranded,
        })
    }

    /// Requests for grants, for Prometheus.
    pub(crate) fn metrics(&self) -> &GrantMetrics {
        &self.metrics
    }
}
