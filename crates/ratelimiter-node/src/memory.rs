use std::sync::atomic::{AtomicUsize, Ordering};

/// Admissions that a node remembers, over all keys: 64 MB, and while their number grows at most
/// twice that.
const MAX_REMEMBERED: usize = 4_000_000;

/// The number of admissions that a node remembers, over all keys and counting modes: counted
/// exactly at every sync, and added up between two.
#[derive(Debug, Default)]
pub(crate) struct Memory(AtomicUsize);

impl Memory {
    /// Whether `cost` more admissions can be remembered; if so they count as remembered.
    pub(crate) fn has_room(&self, cost: u32) -> bool {
        let room = self.remembered() + cost as usize <= MAX_REMEMBERED;
        if room {
            self.0.fetch_add(cost as usize, Ordering::Relaxed);
        }
        room
    }

    /// Admissions remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes an exact count.
    pub(crate) fn counted(&self, remembered: usize) {
        self.0.store(remembered, Ordering::Relaxed);
    }
}
