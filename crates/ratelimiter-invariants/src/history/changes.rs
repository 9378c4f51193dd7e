//! Histories in whose course the limit changed.

use std::time::Duration;

use ratelimiter_api::Outcome;

use super::records::{HistoryRecord, nanos};
use super::{Contract, History, HistoryChecker, Proof, Witness};

/// A change of a limit. It holds from some instant between request and acknowledgement on; one
/// without an acknowledgement from some instant after its request on, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContractChange {
    /// The time at which the change was asked for, on the history's clock.
    pub requested: Duration,
    /// The time at which the limiter confirmed it, likewise.
    pub acknowledged: Option<Duration>,
    /// Cost that a window may hold from then on; none for a new counter, to which earlier
    /// admissions do not count.
    pub limit: Option<u32>,
}

impl HistoryChecker {
    /// A proof that a sliding limit was exceeded although it changed: the first contract is the
    /// first of the checker's promise, and `changes` follow it.
    ///
    /// An admission is judged by the largest limit that may have been in force when it was decided,
    /// together with the admissions that were surely decided before it, or by as small a limit as
    /// its own:
    ///
    /// ```text
    ///   limit   20 ----------[requested .. acknowledged]---------- 10
    ///   judged  by 20        by 20                      by 10, with those before it in the window
    /// ```
    ///
    /// The last decided of these has all the others in its window, so that their cost is at most
    /// its limit.
    pub fn excess_under_changes(
        &self,
        history: &History,
        changes: &[ContractChange],
    ) -> Option<Witness> {
        let contract = self.promise().first();
        let window = nanos(contract.window().saturating_sub(self.slack(contract)));
        let course = LimitCourse::new(contract.max(), changes);
        let records = history.records().iter().enumerate();
        let allowed = records.filter(|(_, record)| record.outcome == Outcome::Allowed);
        let mut allowed: Vec<_> = allowed
            .map(|(place, record)| (place, record, course.largest(record)))
            .collect();
        allowed.sort_by_key(|(_, record, _)| record.complete);
        for (end, (_, last, limit)) in allowed.iter().enumerate() {
            let start = last
                .complete
                .saturating_sub(window)
                .max(course.begin(last.complete));
            let counted = |(_, record, other): &&(usize, &HistoryRecord, u32)| {
                record.invoke > start && (other <= limit || record.complete <= last.invoke)
            };
            let inside = allowed[..=end].iter().rev();
            let inside = inside.take_while(|(_, record, _)| record.complete > start);
            let inside: Vec<_> = inside.filter(counted).collect();
            let cost: u64 = inside
                .iter()
                .map(|(_, record, _)| u64::from(record.cost))
                .sum();
            if cost > u64::from(*limit) {
                let contract = Contract::new(*limit, contract.window()).ok()?;
                let operations = inside
                    .iter()
                    .map(|(place, ..)| history.get(*place))
                    .collect();
                return Some(Witness::new(contract, Proof::Span, operations));
            }
        }
        None
    }
}

/// The limits of a history in the course of time, nanoseconds.
struct LimitCourse {
    /// Each from its request on; the first holds from the begin.
    limits: Vec<(u64, u64, u32)>,
    /// New counters: request and acknowledgement.
    counters: Vec<(u64, u64)>,
}

impl LimitCourse {
    fn new(first: u32, changes: &[ContractChange]) -> Self {
        let mut course = Self {
            limits: vec![(0, 0, first)],
            counters: Vec::new(),
        };
        for change in changes {
            let requested = nanos(change.requested);
            let acknowledged = change.acknowledged.map_or(u64::MAX, nanos);
            match change.limit {
                Some(limit) => course.limits.push((requested, acknowledged, limit)),
                None => course.counters.push((requested, acknowledged)),
            }
        }
        course
    }

    /// The largest limit that may have been in force when an admission was decided: of all that
    /// were asked for and that no later one had replaced for certain.
    fn largest(&self, record: &HistoryRecord) -> u32 {
        let replaced = |held: u64| {
            let mut later = self.limits.iter().filter(|(asked, ..)| *asked > held);
            later.any(|(_, held, _)| *held < record.invoke)
        };
        let possible = self.limits.iter().filter(|(requested, acknowledged, _)| {
            *requested <= record.complete && !replaced(*acknowledged)
        });
        possible.map(|(.., limit)| *limit).max().unwrap_or(u32::MAX)
    }

    /// The instant from which on admissions certainly count together with one at `time`.
    fn begin(&self, time: u64) -> u64 {
        let begun = self
            .counters
            .iter()
            .filter(|(requested, _)| *requested <= time);
        begun
            .map(|(_, acknowledged)| *acknowledged)
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use ratelimiter_api::{Key, NodeId, Operation};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Admissions of these spans, milliseconds, under 3 a second and then these changes.
    fn excess(spans: &[(u64, u64)], changes: &[ContractChange]) -> Option<usize> {
        let mut history = History::default();
        for (invoke, complete) in spans {
            let (invoke, complete) = (
                Duration::from_millis(*invoke),
                Duration::from_millis(*complete),
            );
            let key = Key::new("k").unwrap();
            let operation =
                Operation::new(key, NodeId::from("n"), invoke, complete, Outcome::Allowed);
            history.push(operation).unwrap();
        }
        let checker = HistoryChecker::new(Contract::new(3, SECOND).unwrap());
        let witness = checker.excess_under_changes(&history, changes);
        witness.map(|witness| witness.operations.len())
    }

    fn change(requested: u64, acknowledged: Option<u64>, limit: Option<u32>) -> ContractChange {
        ContractChange {
            requested: Duration::from_millis(requested),
            acknowledged: acknowledged.map(Duration::from_millis),
            limit,
        }
    }

    #[test]
    fn without_changes_one_limit_holds() {
        let full = [(100, 101), (200, 201), (300, 301)];
        assert_eq!(excess(&full, &[]), None);
        assert_eq!(excess(&[&full[..], &[(1050, 1060)]].concat(), &[]), Some(4));
        assert_eq!(excess(&[&full[..], &[(1102, 1103)]].concat(), &[]), None);
    }

    #[test]
    fn lowered_limit_holds_from_its_acknowledgement_on() {
        let lowered = [change(350, Some(400), Some(1))];
        let full = [(100, 101), (200, 201)];
        assert_eq!(excess(&[&full[..], &[(390, 399)]].concat(), &lowered), None);
        assert_eq!(excess(&[&full[..], &[(399, 402)]].concat(), &lowered), None);
        assert_eq!(
            excess(&[&full[..], &[(401, 402)]].concat(), &lowered),
            Some(3)
        );
        assert_eq!(
            excess(&[&full[..], &[(1210, 1212)]].concat(), &lowered),
            None
        );
        let unconfirmed = [change(350, None, Some(1))];
        assert_eq!(
            excess(&[&full[..], &[(401, 402)]].concat(), &unconfirmed),
            None
        );
    }

    #[test]
    fn raised_limit_holds_from_its_request_on() {
        let raised = [change(350, Some(400), Some(4))];
        let full = [(100, 101), (200, 201), (300, 301)];
        assert_eq!(
            excess(&[&full[..], &[(340, 349)]].concat(), &raised),
            Some(4)
        );
        assert_eq!(excess(&[&full[..], &[(340, 351)]].concat(), &raised), None);
        assert_eq!(
            excess(&[&full[..], &[(360, 361), (370, 371)]].concat(), &raised),
            Some(5)
        );
    }

    #[test]
    fn new_counter_forgets_the_admissions_before_it() {
        let reset = [change(350, Some(400), None)];
        let full = [(100, 101), (200, 201), (300, 301)];
        assert_eq!(
            excess(&[&full[..], &[(340, 349)]].concat(), &reset),
            Some(4)
        );
        assert_eq!(excess(&[&full[..], &[(340, 351)]].concat(), &reset), None);
        assert_eq!(
            excess(
                &[&full[..], &[(401, 402), (403, 404), (405, 406)]].concat(),
                &reset
            ),
            None
        );
    }
}
