use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::counter::CounterCell;

/// Keys that are read at a sync although they were not checked lately. A store that silently lost one key's admissions, as by
/// eviction, is so found out in the course of time, at a cost that does not grow with the keys.
const REVISITED: usize = 20;

/// The counters of the keys in use: those checked within their window, or with admissions left.
#[derive(Debug, Default)]
pub(super) struct Active {
    cells: Mutex<Vec<Arc<CounterCell>>>,
    /// The place of the next key to be revisited.
    next: AtomicUsize,
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

    /// The counters whose windows a sync reads: of the keys checked lately, and of some others by turns.
    pub(super) fn due(&self, now_us: u64) -> Vec<Arc<CounterCell>> {
        let cells = self.cells();
        let first = self.next.fetch_add(REVISITED, Ordering::Relaxed);
        let turn = |place: usize| place.wrapping_sub(first % cells.len().max(1)) % cells.len() < REVISITED;
        let due = |(place, cell): (usize, &Arc<CounterCell>)| {
            (cell.lock().is_warm(now_us) || turn(place)).then(|| Arc::clone(cell))
        };
        cells.iter().enumerate().filter_map(due).collect()
    }

    /// Drops admissions that left their window, and ends the sync of keys that are idle. Returns the number of admissions
    /// remembered.
    pub(super) fn sweep(&self, now_us: u64) -> usize {
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
        if !idle.is_empty() {
            idle.sort_unstable();
            // One that woke up since was added behind those looked at, and stays.
            let mut place = 0;
            self.lock().retain(|cell| {
                place += 1;
                place > cells.len() || idle.binary_search(&Arc::as_ptr(cell)).is_err()
            });
        }
        remembered
    }
}
