use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use ratelimiter_api::Key;

use super::counter::CounterCell;

/// Keys that are read at a sync although they were not checked lately. A store that silently lost
/// one key's admissions, as by eviction, is so found out in the course of time, at a cost that does
/// not grow with the keys.
const REVISITED: usize = 20;

/// The counters of the keys in use: those checked within their window, or with admissions left.
#[derive(Debug, Default)]
pub(super) struct ActiveKeys {
    in_use: Mutex<KeysInUse>,
    /// The place of the next key to be revisited.
    next: AtomicUsize,
}

#[derive(Debug, Default)]
struct KeysInUse {
    cells: BTreeMap<Key, (WakeNumber, Arc<CounterCell>)>,
    wakes: u64,
}

/// Number of a beginning of use, among all keys of the node.
type WakeNumber = u64;

impl ActiveKeys {
    /// Begins the sync of a key that was idle.
    pub(super) fn wake(&self, key: &Key, cell: &Arc<CounterCell>) {
        let mut in_use = self.in_use.lock();
        in_use.wakes += 1;
        let wake = in_use.wakes;
        in_use.cells.insert(key.clone(), (wake, Arc::clone(cell)));
    }

    /// The counters, by key.
    pub(super) fn cells(&self) -> Vec<Arc<CounterCell>> {
        self.in_use
            .lock()
            .cells
            .values()
            .map(|(_, cell)| Arc::clone(cell))
            .collect()
    }

    /// At most `most` counters of keys after `after`, by key.
    pub(super) fn page(&self, after: Option<&Key>, most: usize) -> Vec<(Key, Arc<CounterCell>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.in_use
            .lock()
            .cells
            .range::<Key, _>((from, Bound::Unbounded))
            .take(most)
            .map(|(key, (_, cell))| (key.clone(), Arc::clone(cell)))
            .collect()
    }

    /// The counters whose windows a sync reads: of the keys checked lately, and of some others by
    /// turns.
    pub(super) fn due(&self, now_us: u64) -> Vec<Arc<CounterCell>> {
        let cells = self.cells();
        let first = self.next.fetch_add(REVISITED, Ordering::Relaxed);
        let turn =
            |place: usize| place.wrapping_sub(first % cells.len().max(1)) % cells.len() < REVISITED;
        let due = |(place, cell): (usize, &Arc<CounterCell>)| {
            (cell.lock().is_warm(now_us) || turn(place)).then(|| Arc::clone(cell))
        };
        cells.iter().enumerate().filter_map(due).collect()
    }

    /// Drops admissions that left their window, and ends the sync of keys that are idle. Returns
    /// the number of admissions remembered.
    pub(super) fn sweep(&self, now_us: u64) -> usize {
        let cells: Vec<(WakeNumber, Arc<CounterCell>)> =
            self.in_use.lock().cells.values().cloned().collect();
        let mut remembered = 0;
        for (wake, cell) in cells {
            let mut counter = cell.lock();
            if counter.stays_active(now_us) {
                remembered += counter.log.len();
                continue;
            }
            let key = counter.entry.key.clone();
            drop(counter);
            // One that woke up since has another wake, and stays. One lock a key: checks wait for
            // none of the others.
            let mut in_use = self.in_use.lock();
            if in_use
                .cells
                .get(&key)
                .is_some_and(|(latest, _)| *latest == wake)
            {
                in_use.cells.remove(&key);
            }
        }
        remembered
    }
}
