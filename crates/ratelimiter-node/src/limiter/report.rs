//! The lists of a node: limits, and its admissions of each key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ratelimiter_api::{CountingMode, Key, LimitEntry, NodeCounters};

use super::Limiter;
use super::counter::CounterCell;

/// A choice of keys with limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySelection {
    /// These keys.
    Keys(Vec<Key>),
    /// At most `most`, by key, after a key.
    Page { after: Option<Key>, most: usize },
    /// At most `most` of the keys in use after a key: checked within their window, or with
    /// admissions left. And these others.
    Active {
        after: Option<Key>,
        most: usize,
        also: Vec<Key>,
    },
}

impl Limiter {
    /// The selected limits, by key.
    pub(crate) fn entries(&self, select: &KeySelection) -> Vec<LimitEntry> {
        self.select(select)
            .iter()
            .map(|cell| cell.lock().entry.clone())
            .collect()
    }

    /// This node's admissions in the window of each selected key before `at_us`, or before now, by
    /// key.
    pub(crate) fn counters(&self, select: &KeySelection, at_us: Option<u64>) -> NodeCounters {
        let at_us = at_us.unwrap_or_else(|| self.context.clock.now_us());
        let report = |cell: &Arc<CounterCell>| {
            let (mut counter, entry) = {
                let counter = cell.lock();
                (counter.report(at_us), counter.entry.clone())
            };
            // Grants cover further admissions.
            if entry.counting == CountingMode::Leased {
                let start_us = at_us.saturating_sub(entry.limit.window_us());
                counter.lease = self.leases.report(&entry, start_us, at_us);
                counter.count += counter.lease.map_or(0, |lease| lease.admitted);
            }
            counter
        };
        NodeCounters {
            node: self.node.clone(),
            boot: self.context.store.names.boot().to_owned(),
            started_at_us: self.started_us,
            at_us,
            counters: self.select(select).iter().map(report).collect(),
        }
    }

    fn select(&self, select: &KeySelection) -> Vec<Arc<CounterCell>> {
        match select {
            KeySelection::Keys(keys) => {
                let keys: BTreeSet<&Key> = keys.iter().collect();
                let limits = self.limits();
                keys.into_iter()
                    .filter_map(|key| limits.get(key))
                    .map(Arc::clone)
                    .collect()
            }
            KeySelection::Page { after, most } => self
                .limits()
                .counters(after.as_ref())
                .take(*most)
                .map(Arc::clone)
                .collect(),
            KeySelection::Active { after, most, also } => {
                let mut cells: BTreeMap<Key, _> = self
                    .active
                    .page(after.as_ref(), *most)
                    .into_iter()
                    .collect();
                let limits = self.limits();
                let also = also
                    .iter()
                    .filter_map(|key| Some((key.clone(), Arc::clone(limits.get(key)?))));
                cells.extend(also);
                cells.into_values().collect()
            }
        }
    }
}
