use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::Retry;

/// Answers of a cluster, or of a store that was demoted or is starting, that were followed by
/// another attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redirects {
    /// `MOVED`: the slot belongs to another member.
    pub moved: u64,
    /// `ASK`: the key is on its way to another member.
    pub ask: u64,
    /// `TRYAGAIN`: some keys of the command are on their way.
    pub try_again: u64,
    /// `CLUSTERDOWN` and `MASTERDOWN`: the cluster serves nothing at the moment.
    pub down: u64,
    /// `LOADING`: the store is reading its data.
    pub loading: u64,
    /// `READONLY`: the store is a replica now.
    pub read_only: u64,
    /// Connections that broke or did not open.
    pub lost: u64,
}

impl Redirects {
    /// Each count with its name.
    pub fn each(&self) -> [(&'static str, u64); 7] {
        let Self {
            moved,
            ask,
            try_again,
            down,
            loading,
            read_only,
            lost,
        } = *self;
        [
            ("moved", moved),
            ("ask", ask),
            ("tryagain", try_again),
            ("clusterdown", down),
            ("loading", loading),
            ("readonly", read_only),
            ("lost", lost),
        ]
    }
}

/// The counts of one link while it is used.
#[derive(Debug, Default)]
pub(crate) struct RedirectTally {
    counts: [AtomicU64; 7],
}

impl RedirectTally {
    pub(crate) fn add(&self, retry: &Retry) {
        let place = match retry {
            Retry::GiveUp => return,
            Retry::Moved(_) => 0,
            Retry::Ask(_) => 1,
            Retry::TryAgain => 2,
            Retry::Down => 3,
            Retry::Loading => 4,
            Retry::ReadOnly => 5,
            Retry::Lost => 6,
        };
        self.counts[place].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Redirects {
        let [moved, ask, try_again, down, loading, read_only, lost] = self
            .counts
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed));
        Redirects {
            moved,
            ask,
            try_again,
            down,
            loading,
            read_only,
            lost,
        }
    }
}
