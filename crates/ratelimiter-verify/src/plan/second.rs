use std::time::Duration;

use ratelimiter_invariants::{Contract, ContractKind, Promise};

/// Keys of a common label, where the limit to exceed counts them together.
const KEYS: u32 = 4;

/// A limit of a promise that can be exceeded while another one is kept: by checks that go on for
/// longer than the window of the other, or over several of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecondLimit {
    /// The limit that the checks keep.
    pub(crate) kept: Contract,
    /// Keys that share them.
    pub(crate) keys: u32,
    /// Checks in a window of the limit that is kept: four fifths of it a key.
    pub(crate) a_window: u64,
    /// Checks until the other limit was exceeded for a while.
    pub(crate) checks: u64,
}

impl SecondLimit {
    /// The first pair of limits of which one can be exceeded alone, by checks of this cost.
    pub(crate) fn of(promise: &Promise, cost: u32) -> Option<Self> {
        let limits = || promise.limits().iter();
        limits().find_map(|kept| {
            limits().find_map(|other| Self::exceeding(other, kept, f64::from(cost)))
        })
    }

    fn exceeding(other: &Contract, kept: &Contract, cost: f64) -> Option<Self> {
        let windows = [kept, other].map(|limit| limit.window().as_secs_f64());
        let [of_kept, of_other] = [kept, other].map(|limit| f64::from(limit.max()) / cost);
        let keys = match (kept.by(), other.by()) {
            ([], [_, ..]) => KEYS,
            _ => 1,
        };
        let a_window = (of_kept * f64::from(keys) * 0.8).floor();
        let (rate, returning) = (a_window / windows[0], of_other / windows[1]);
        let until = match other.kind() {
            ContractKind::InFlight => return None,
            ContractKind::TokenBucket | ContractKind::Paced => of_other / (1.0 - returning / rate),
            _ => of_other,
        };
        let bucket = until > of_other;
        let is_reached = rate > returning && (bucket || (until + 1.0) / rate < windows[1]);
        (is_reached && rate.is_finite()).then(|| Self {
            kept: kept.clone(),
            keys,
            a_window: a_window as u64,
            checks: (until * 1.5) as u64 + 2,
        })
    }

    /// The time of the checks.
    pub(crate) fn takes(&self) -> Duration {
        self.kept
            .window()
            .mul_f64(self.checks as f64 / self.a_window as f64)
    }
}
