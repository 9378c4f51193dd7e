//! How one limit reads a history.

use std::time::Duration;

use super::records::nanos;
use super::{Charging, Contract, ContractKind};

/// How histories are read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CheckOptions {
    pub(super) complete_since: Option<Duration>,
    pub(super) uncertainty: Duration,
    pub(super) clock_ppm: u32,
}

impl CheckOptions {
    /// Difference of the two clocks after a time.
    pub(super) fn drift(self, time: u64) -> u64 {
        time / 1_000_000 * u64::from(self.clock_ppm)
            + time % 1_000_000 * u64::from(self.clock_ppm) / 1_000_000
    }
}

/// The judge of one limit.
#[derive(Clone, Copy)]
pub(super) struct LimitJudge<'a> {
    pub(super) contract: &'a Contract,
    pub(super) options: CheckOptions,
}

impl LimitJudge<'_> {
    /// The longest that its window can be on the axis of its operations.
    pub(super) fn longest_window(self) -> u64 {
        let window = self.contract.window();
        if self.has_grid() {
            nanos(window)
        } else {
            self.longest(window)
        }
    }

    /// The shortest that its window can be on that axis.
    pub(super) fn shortest_window(self) -> u64 {
        let window = nanos(self.contract.window());
        if self.has_grid() {
            window
        } else {
            window - self.options.drift(window)
        }
    }

    /// The longest that a time of the limiter can be on the clock of the history, nanoseconds.
    pub(super) fn longest(self, time: Duration) -> u64 {
        let time = nanos(time);
        time.saturating_add(self.options.drift(time))
    }

    /// Whether all its windows, or periods, are a whole number of them apart.
    pub(super) fn has_grid(self) -> bool {
        matches!(
            self.contract.kind(),
            ContractKind::Aligned | ContractKind::TwoPeriod
        )
    }

    /// The cost that may have been in use before the history, and whether that ends.
    pub(super) fn used_before(self) -> (u32, bool) {
        let max = self.contract.max();
        match (self.contract.kind(), self.contract.charging()) {
            (ContractKind::InFlight, _) => (max, false),
            // Calls of before may go on, and settle their costs at any time.
            (_, Charging::After | Charging::Reserved) => (u32::MAX, false),
            (ContractKind::Paced, _) => (u32::MAX, true),
            (ContractKind::TwoPeriod, _) => (max.saturating_mul(2), true),
            _ => (max, true),
        }
    }
}
