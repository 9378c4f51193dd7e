use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::counter::CounterCell;

/// Admissions that a node remembers, over all keys: 64 MB, and while their number grows at most twice that.
const MAX_REMEMBERED: usize = 4_000_000;

/// The counters of the keys in use, which alone are synced with the store: keys checked within their window, or with
/// admissions left.
#[derive(Debug, Default)]
pub(super) struct Active {
    cells: Mutex<Vec<Arc<CounterCell>>>,
    /// Admissions remembered, counted exactly at every sync and added up between two.
    remembered: AtomicUsize,
}

impl Active {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<CounterCell>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the sync of a key that was idle.
    pub(super) fn wake(&self, cell: &Arc<CounterCell>) {
        self.lock().push(Arc::clone(cell));
    }

    pub(super) fn cells(&self) -> Vec<Arc<CounterCell>> {
        self.lock().clone()
    }

    /// Whether `cost` more admissions can be remembered; if so they count as remembered.
    pub(super) fn has_room(&self, cost: u32) -> bool {
        let room = self.remembered.load(Ordering::Relaxed) + cost as usize <= MAX_REMEMBERED;
        if room {
            self.remembered.fetch_add(cost as usize, Ordering::Relaxed);
        }
        room
    }

    /// Admissions remembered.
    pub(super) fn remembered(&self) -> usize {
        self.remembered.load(Ordering::Relaxed)
    }

    /// Drops admissions that left their window, and ends the sync of keys that are idle.
    pub(super) fn sweep(&self, now_us: u64) {
        let cells = self.cells();
        let mut remembered = 0;
        let mut idle = Vec::new();
        for cell in &cells {
            let mut counter = cell.lock();
            if counter.stays_active(now_us) {
                remembered += counter.remembered();
            } else {
                idle.push(Arc::as_ptr(cell));
            }
        }
        self.remembered.store(remembered, Ordering::Relaxed);
        if !idle.is_empty() {
            idle.sort_unstable();
            // One that woke up since was added behind those looked at, and stays.
            let mut place = 0;
            self.lock().retain(|cell| {
                place += 1;
                place > cells.len() || idle.binary_search(&Arc::as_ptr(cell)).is_err()
            });
        }
    }
}
