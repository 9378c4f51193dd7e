//! The promises of the counting modes, and the judgement of a run by them.

use std::time::Duration;

use ratelimiter_api::{CountingMode, Operation, Outcome, StoreFailurePolicy};
use ratelimiter_invariants::{Contract, ContractChange, History, HistoryChecker, Verdict, Witness};

use super::fault::{Fault, FaultKind};
use super::plan::RunPlan;
use super::records::{LimitEvent, RunRecords};

/// A promise that was broken.
#[derive(Debug, PartialEq)]
pub(crate) struct BrokenPromise {
    pub(crate) key: usize,
    pub(crate) promise: String,
    pub(crate) witness: Witness,
}

/// The first key whose promise was certainly broken.
pub(crate) fn judge(plan: &RunPlan, records: &RunRecords) -> Option<BrokenPromise> {
    (0..plan.limits.len()).find_map(|key| {
        let operations = records.operations(plan, key);
        let history: History = operations.as_slice().try_into().unwrap();
        let promise = Promise::of(plan, records, key, &operations);
        let window = Duration::from_secs(plan.limits[key].window_sec.unsigned_abs());
        let checker = HistoryChecker::new(Contract::new(promise.most, window).unwrap())
            .clock_tolerance(promise.clock_ppm)
            .uncertainty(Duration::from_millis(1));
        let witness = if promise.follows_changes {
            checker.excess_under_changes(&history, &changes(records, key))
        } else {
            match checker.check(&history).verdict {
                Verdict::Violated(witness) => Some(witness),
                Verdict::Pass | Verdict::Unknown { .. } => None,
            }
        };
        let promise = promise.text;
        witness.map(|witness| BrokenPromise {
            key,
            promise,
            witness,
        })
    })
}

/// The changes of a key's limit after the first, which is set before any check.
fn changes(records: &RunRecords, key: usize) -> Vec<ContractChange> {
    let own = records.changes.iter().filter(|change| change.key == key);
    let changes = own.map(|change| ContractChange {
        requested: Duration::from_micros(change.requested_us),
        acknowledged: change.acknowledged_us.map(Duration::from_micros),
        limit: match change.event {
            LimitEvent::Set(limit) => Some(limit),
            LimitEvent::Deleted | LimitEvent::Reset => None,
        },
    });
    changes.collect()
}

/// The most that a counting mode admits in a window.
struct Promise {
    most: u32,
    /// Whether it follows the changes of the limit, each from its acknowledgement on.
    follows_changes: bool,
    /// The most by which the clock that measures windows differs in rate from the world's.
    clock_ppm: u32,
    text: String,
}

impl Promise {
    fn of(plan: &RunPlan, records: &RunRecords, key: usize, operations: &[Operation]) -> Self {
        let spec = &plan.limits[key];
        let limit = u32::try_from(spec.limit).unwrap();
        let largest = records.changes.iter().filter(|change| change.key == key);
        let largest = largest.filter_map(|change| match change.event {
            LimitEvent::Set(limit) => Some(limit),
            LimitEvent::Deleted | LimitEvent::Reset => None,
        });
        let largest = largest.fold(limit, u32::max);
        let counters = records.changes.iter().filter(|change| {
            change.key == key && matches!(change.event, LimitEvent::Deleted | LimitEvent::Reset)
        });
        let counters = 1 + u32::try_from(counters.count()).unwrap();
        let lost = plan.faults.iter().any(|planned| planned.kind.loses_state());
        let failovers = plan
            .faults
            .iter()
            .filter(|planned| planned.kind == FaultKind::Failover);
        let failovers = u32::try_from(failovers.count()).unwrap();
        let lives = lives(plan, records, spec.window_sec.unsigned_abs());
        let (mode, policy) = (spec.counting.unwrap(), spec.on_store_failure.unwrap());
        let exact = |most: u32, text: &str| Self {
            most,
            follows_changes: true,
            // The store's clock.
            clock_ppm: 1000,
            text: format!("{mode}, {policy}: {text}"),
        };
        let many = |most: u32, text: &str| Self {
            most: most * counters,
            follows_changes: false,
            // A node's own, while the store does not answer.
            clock_ppm: 5000,
            text: format!("{mode}, {policy}: {text}"),
        };
        match (mode, policy) {
            (CountingMode::Leased, StoreFailurePolicy::Deny) if failovers == 0 => exact(limit, "L"),
            // What a replica lacks may be granted once more.
            (CountingMode::Leased, StoreFailurePolicy::Deny) => {
                many(largest * (1 + failovers), "L, and what a failover lost")
            }
            (CountingMode::Atomic, StoreFailurePolicy::Deny) if !lost => exact(limit, "L"),
            (CountingMode::Atomic | CountingMode::Cached, StoreFailurePolicy::Deny) => {
                many(lives * largest, "L for each node that lived, after a loss")
            }
            _ => many(
                lives * largest + in_flight(operations),
                "L for each node that lived, and the checks in flight",
            ),
        }
    }
}

/// The most processes of nodes that have lived within one window.
fn lives(plan: &RunPlan, records: &RunRecords, window_sec: u64) -> u32 {
    let (nodes, span_us) = (plan.rates_ppm.len(), window_sec * 1_000_000);
    let restarts = records.lives_us.get(nodes..).unwrap_or_default();
    let within = |end: &u64| {
        let span = (end.saturating_sub(span_us))..=*end;
        restarts.iter().filter(|at| span.contains(at)).count()
    };
    let most = restarts.iter().map(within).max().unwrap_or(0);
    u32::try_from(nodes + most).unwrap()
}

/// The largest cost of checks on their way at one instant.
fn in_flight(operations: &[Operation]) -> u32 {
    let overlapping = |one: &Operation| {
        let others = operations.iter().filter(|other| {
            other.invoke <= one.invoke
                && (other.complete >= one.invoke || other.outcome == Outcome::Unknown)
        });
        others.map(|other| other.cost).sum()
    };
    operations.iter().map(overlapping).max().unwrap_or(0)
}

/// A fault as a line, with its place in the plan.
pub(crate) fn line(place: usize, at_us: u64, fault: &Fault) -> String {
    format!("{place}: at {:.3} s {fault:?}", at_us as f64 / 1e6)
}
