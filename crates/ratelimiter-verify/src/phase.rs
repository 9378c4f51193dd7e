use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use ratelimiter_api::choice;
use ratelimiter_invariants::{Charging, ContractKind, Promise};

choice! {
    /// A kind of promise, by the checks that reach its limits.
    PromiseShape, "promise" {
        /// A window or a bucket, charged with the decision.
        Windows = "windows",
        /// Calls wait instead of being denied.
        Paced = "paced",
        /// Calls hold a place at once.
        InFlight = "in-flight",
        /// The cost used is charged after the call.
        After = "after",
        /// The cost asked for is charged, and the rest given back after the call.
        Reserved = "reserved",
        /// A second limit that can be exceeded while the first one is kept.
        Several = "several",
    }
}

use PromiseShape::{After, InFlight, Paced, Reserved, Several, Windows};

impl PromiseShape {
    /// The shape of the first limit, by which checks are planned.
    pub(crate) fn of(promise: &Promise) -> Self {
        let first = promise.first();
        match (first.kind(), first.charging()) {
            (ContractKind::InFlight, _) => InFlight,
            (ContractKind::Paced, _) => Paced,
            (_, Charging::After) => After,
            (_, Charging::Reserved) => Reserved,
            (_, Charging::Before | Charging::All) => Windows,
        }
    }
}

/// The sizes from which the size of a step follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepScale {
    /// Checks that fit into a window.
    pub(crate) limit: u64,
    /// Checks of a burst.
    pub(crate) burst: u64,
    /// The window.
    pub(crate) window: Duration,
    /// Nodes of the target.
    pub(crate) nodes: u64,
    /// Keys of the step.
    pub(crate) keys: u64,
    /// The rest between bursts on one key.
    pub(crate) rest_on_key: Duration,
    /// Time from the end of calls until their places or costs are back.
    pub(crate) back: Duration,
    /// Checks that exceed the second limit, and their time.
    pub(crate) second: (u64, Duration),
}

impl StepScale {
    /// A burst of calls that last, and the limit again once their places or costs are back.
    fn again(self) -> (u64, Duration) {
        (self.burst + self.limit + 2, 2 * (LASTS + self.back) + SHORT)
    }
}

/// The part of a row of the table that is not text.
struct PhaseRow {
    fits: &'static [PromiseShape],
    /// Number of keys that one step needs.
    keys: u32,
    /// Checks of a step at most, and its time.
    size: fn(StepScale) -> (u64, Duration),
}

macro_rules! phases {
    (
        $($(#[$about:meta])+ $phase:ident: $fits:expr, $keys:literal, $size:expr;)+
    ) => {
        /// A part of a verification, in the order in which they are played.
        ///
        /// This is the one table of phases: the checks of each and the defects that they show, the
        /// promises that it fits, its keys, and the size of a step. Plan, `--help` and errors read
        /// it, and a test compares the README with it.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, ValueEnum,
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum Phase {
            $($(#[$about])+ $phase,)+
        }

        impl Phase {
            fn row(self) -> PhaseRow {
                match self {
                    $(Self::$phase => PhaseRow { fits: $fits, keys: $keys, size: $size },)+
                }
            }
        }
    };
}

const EVERY: &[PromiseShape] = &PromiseShape::ALL;
const AT_ONCE: &[PromiseShape] = &[Windows, Paced];
const BY_WINDOW: &[PromiseShape] = &[Windows, Paced, After, Reserved];
const CALLS: &[PromiseShape] = &[InFlight, After, Reserved];
const SHORT: Duration = Duration::from_millis(500);

phases! {
    /// A few checks of each node, before all others: shows answers that are neither allowed nor
    /// denied
    Probe: EVERY, 1, |scale| (u64::from(PROBES) * scale.nodes, SHORT);
    /// Many times the limit at one instant: shows races, nodes that count alone, an off-by-one
    Burst: AT_ONCE, 1, |scale| (scale.burst, SHORT);
    /// Checks of cost 1, 2 and 3 in turn, and one above the limit: shows a cost that is ignored
    Costs: AT_ONCE, 2, |scale| (scale.limit + 2, SHORT);
    /// One key used up, then another: shows a quota shared between keys
    TwoKeys: BY_WINDOW, 2, |scale| (2 * scale.limit + 5, 2 * SHORT);
    /// One after the other, all to one node: shows a limit that is split over nodes
    OneNode: BY_WINDOW, 1, |scale| (scale.limit + 2, SHORT);
    /// One after the other until denied: shows dishonest header fields, an off-by-one
    Fields: AT_ONCE, 1, |scale| (scale.limit + 3, SHORT);
    /// A retry after `Retry-After`, or after a window: shows quota that does not return when
    /// stated, or ever
    Return: AT_ONCE, 1, |scale| (scale.limit + 3, scale.window * 11 / 10 + SHORT);
    /// Used up, then silence for a part of a window: shows counters that expire early
    Silent: AT_ONCE, 3, |scale| ((2 * scale.limit + 1) * scale.keys, scale.window + SHORT);
    /// Three bursts on one key, a window and a part of a token apart: shows quota that grows beyond
    /// the limit at rest
    Again: AT_ONCE, 1, |scale| (3 * scale.burst, 2 * scale.rest_on_key + SHORT);
    /// Three times the limit for three windows: shows callers locked out by their own denied
    /// checks, windows that are too short
    Overload: BY_WINDOW, 1, |scale| (9 * scale.limit, 3 * scale.window + SHORT);
    /// The limit on both sides of the instant a window after the first check: shows windows that
    /// begin with a key's first check, counters that expire as a whole
    FirstEdge: AT_ONCE, 1, |scale| (2 * scale.limit, scale.window + 2 * SHORT);
    /// The limit on both sides of an edge of the wall clock's windows: shows windows that begin at
    /// whole minutes
    Edge: AT_ONCE, 1, |scale| (2 * scale.limit, scale.window + 2 * SHORT);
    /// Four fifths of the limit, evenly: shows false denials
    Steady: BY_WINDOW, 1, |scale| ((scale.limit * 6).div_ceil(5), scale.window * 3 / 2);
    /// Four fifths of one limit, until another is exceeded: shows a second limit that does nothing
    Second: &[Several], 4, |scale| scale.second;
    /// More calls at one instant than the limit, which last, then the limit again: shows places
    /// and costs counted too late, and those that do not return
    Calls: CALLS, 1, |scale| scale.again();
    /// Calls one after the other, of which one crosses the limit: shows costs that are never
    /// settled
    Crossing: &[After], 1, |scale| (CROSSING, SHORT + scale.back * CROSSING as u32);
    /// Calls that fail, then the limit again: shows failed calls that keep their place or cost
    Failures: CALLS, 1, |scale| scale.again();
    /// Callers that leave during the call, then the limit again: shows places and costs that are
    /// kept for callers that are gone
    HangUp: &[InFlight, Reserved], 1, |scale| scale.again();
    /// A node killed during its calls, then the limit again: shows places and costs that die with
    /// their holder
    Killed: &[InFlight, Reserved], 1, |scale| scale.again();
    /// Each check from another address by X-Forwarded-For and its kin: shows a limit that callers
    /// evade
    Forged: AT_ONCE, 1, |scale| (scale.burst, SHORT);
    /// Bursts before, during and after the command of `--during`: shows nodes that count alone
    /// without their store, counts that are lost
    Fault: AT_ONCE, 2, |scale| {
        // One burst before, two at the start, one a second of the limit, two at the end; the second
        // at the start may be one check more than the limit of each node.
        let checks = scale.burst * 5 + scale.limit * (scale.nodes + FAULT.as_secs()) + 1;
        (checks, FAULT.min(Duration::from_secs(10)))
    };
}

impl Phase {
    /// Every phase.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Number of keys that one step of it needs.
    pub(crate) fn keys(self) -> u32 {
        self.row().keys
    }

    /// Whether it can reach a limit of this shape.
    pub(crate) fn fits(self, shape: PromiseShape) -> bool {
        self.row().fits.contains(&shape)
    }

    /// The shapes that it fits, in words.
    pub(crate) fn fitting(self) -> String {
        match self.row().fits {
            EVERY => "every".to_owned(),
            some => Vec::from_iter(some.iter().map(|shape| shape.as_str())).join(", "),
        }
    }

    /// Checks of a step at most, and its time, apart from the limiter's own.
    pub(crate) fn size(self, scale: StepScale) -> (u64, Duration) {
        (self.row().size)(scale)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value().expect("no phase is hidden");
        f.pad(name.get_name())
    }
}

/// The longest time for which a run waits for the command of a fault. The plan reckons with ten
/// seconds.
pub(crate) const FAULT: Duration = Duration::from_secs(60);

/// The most checks of a node by the probe.
pub(crate) const PROBES: u32 = 3;

/// Calls of [`Phase::Crossing`], of which each uses three tenths of the limit.
pub(crate) const CROSSING: u64 = 6;

/// Time for which calls last that shall be in flight at once.
pub(crate) const LASTS: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes for `10/2s`, or ten calls with a lease of two seconds, and three nodes.
    const SCALE: StepScale = StepScale {
        limit: 10,
        burst: 20,
        window: Duration::from_secs(2),
        nodes: 3,
        keys: 1,
        rest_on_key: Duration::from_millis(2150),
        back: Duration::from_millis(2100),
        second: (30, Duration::from_millis(7500)),
    };

    #[test]
    fn readme_lists_every_phase() {
        let readme = include_str!("../README.md").to_lowercase();
        for phase in Phase::all() {
            let value = phase.to_possible_value().unwrap();
            let help = value.get_help().unwrap().to_string().to_lowercase();
            let keys = u64::from(phase.keys());
            let (checks, takes) = phase.size(StepScale { keys, ..SCALE });
            let row = format!(
                "| `{phase}` | {} | {} | {checks} | {:.1} s |",
                help.replace(": shows ", " | "),
                phase.fitting(),
                takes.as_secs_f64(),
            );
            assert!(readme.contains(&row), "the README lacks {row}");
        }
    }
}
