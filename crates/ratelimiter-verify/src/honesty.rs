//! Whether a limiter's own statements agree with its answers.
//!
//! A statement is made a little after the decision, and quota may return in between, or between two
//! checks. So a statement that needs quota to have returned is excused where it can have:
//!
//! - *sliding*: as soon as the first check can have left the window;
//! - *fixed*: once a window, at its edge;
//! - *token-bucket*: by the tokens of the time between, and one for a bucket that rounds.

use std::time::Duration;

use ratelimiter_api::{Operation, Outcome};
use ratelimiter_invariants::{Charging, Contract, ContractKind, History, HistoryChecker};

/// Contradictions between header fields and answers. Fields about the quota left are compared only
/// for checks that were made one after the other: at the time of a burst they are out of date when
/// they arrive. Recorded times may be wrong by `slack`.
///
/// Of several limits, a statement may be about any.
pub(crate) fn contradictions(history: &History, checker: &HistoryChecker) -> Vec<String> {
    if !history.has_claims() {
        return Vec::new();
    }
    // Without a decision there is no limit that a statement could be about.
    let decided = |op: &Operation| matches!(op.outcome, Outcome::Allowed | Outcome::Denied);
    let negative = history
        .iter()
        .filter(decided)
        .find_map(|op| Some((left(&op).filter(|left| *left < 0)?, op)));
    let negative = negative.map(|(left, op)| format!("{} stated {left} remaining", op.node));
    let mut found = Vec::from_iter(negative);
    if pairs(history).all(|(before, after)| before.complete <= after.invoke) {
        let limits = checker.promise().limits().iter();
        let each = limits.map(|limit| impossible(history, limit, checker.slack(limit)));
        let all: Option<Vec<String>> = each.collect();
        found.extend(all.and_then(|statements| statements.into_iter().next()));
    }
    found
}

/// Each check and the next one.
fn pairs(history: &History) -> impl Iterator<Item = (Operation, Operation)> {
    history.iter().zip(history.iter().skip(1))
}

fn left(op: &Operation) -> Option<i64> {
    op.claims.remaining
}

/// Quota that must have returned between two instants for a statement to be true.
struct NeededReturn {
    from: Duration,
    to: Duration,
    quota: i64,
    statement: String,
}

impl NeededReturn {
    /// A denial whose answer states enough quota.
    fn in_denial(op: &Operation) -> Option<Self> {
        let cost = i64::from(op.cost);
        let left = left(op).filter(|left| op.outcome == Outcome::Denied && *left >= cost)?;
        Some(Self {
            from: op.invoke,
            to: op.complete,
            quota: left - cost + 1,
            statement: format!(
                "{} denied a check of cost {cost} and stated {left} remaining",
                op.node
            ),
        })
    }

    /// An admission after which one node states more quota than after the one before.
    fn between(before: &Operation, after: &Operation) -> Option<Self> {
        let admitted = |op: &Operation| op.outcome == Outcome::Allowed;
        let (from, to) = (left(before)?, left(after)?);
        let same = admitted(before) && admitted(after) && before.node == after.node;
        (same && to > from).then(|| Self {
            from: before.invoke,
            to: after.complete,
            quota: to - from + i64::from(after.cost),
            statement: format!(
                "{} stated {from} remaining and, one admission later, {to}",
                after.node
            ),
        })
    }
}

/// The first statement for which no quota can have returned.
fn impossible(history: &History, limit: &Contract, slack: Duration) -> Option<String> {
    let at_once = matches!(limit.charging(), Charging::Before | Charging::All);
    if !at_once || !limit.by().is_empty() {
        return None;
    }
    let window = limit.window().saturating_sub(slack);
    let first = history.iter().next()?;
    let between = pairs(history).filter_map(|(before, after)| {
        NeededReturn::between(&before, &after).or_else(|| NeededReturn::in_denial(&after))
    });
    let mut edge: Option<NeededReturn> = None;
    for needed in NeededReturn::in_denial(&first).into_iter().chain(between) {
        let possible = match limit.kind() {
            ContractKind::Sliding => needed.to >= first.invoke + window,
            ContractKind::Fixed | ContractKind::Aligned => edge
                .as_ref()
                .is_none_or(|edge| needed.from <= edge.to || needed.to >= edge.from + window),
            ContractKind::TokenBucket => {
                let elapsed = (needed.to - needed.from + slack).as_secs_f64();
                let refilled = f64::from(limit.max()) * elapsed / limit.window().as_secs_f64();
                needed.quota <= 1 + refilled.ceil() as i64
            }
            // An estimate, a queue and a place give quota back at any time.
            ContractKind::TwoPeriod | ContractKind::Paced | ContractKind::InFlight => true,
        };
        if !possible {
            return Some(needed.statement);
        }
        edge = Some(needed);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 60_000;

    /// One check a line: from, to, outcome, stated quota left.
    fn found(kind: ContractKind, checks: &[(u64, u64, Outcome, i64)]) -> Vec<String> {
        let mut history = History::default();
        for &(from, to, outcome, left) in checks {
            let [invoke, complete] = [from, to].map(Duration::from_millis);
            let (key, node) = ("k".parse().unwrap(), ratelimiter_api::NodeId::new("n"));
            let mut op = Operation::new(key, node, invoke, complete, outcome);
            op.claims.remaining = Some(left);
            history.push(op).unwrap();
        }
        let limit = Contract::new(2, Duration::from_millis(WINDOW)).unwrap();
        let checker = HistoryChecker::new(limit.of_kind(kind));
        contradictions(&history, &checker.uncertainty(Duration::from_micros(500)))
    }

    use ContractKind::{Fixed, Sliding, TokenBucket};
    use Outcome::{Allowed, Denied, Unknown};

    #[test]
    fn quota_that_returned_inside_a_denial_is_excused() {
        let denied_at = |at| {
            [
                (0, 1, Allowed, 1),
                (5, 6, Allowed, 0),
                (at, at + 2, Denied, 1),
            ]
        };
        assert_eq!(found(Sliding, &denied_at(WINDOW - 1)), [""; 0]);
        assert_eq!(found(Sliding, &denied_at(10)).len(), 1);
        assert_eq!(found(Fixed, &denied_at(10)), [""; 0]);
        assert_eq!(found(TokenBucket, &denied_at(10)), [""; 0]);
    }

    #[test]
    fn one_edge_excuses_one_statement_a_window() {
        let two = |at| {
            [
                (0, 1, Denied, 2),
                (2, 3, Allowed, 0),
                (at, at + 1, Denied, 2),
            ]
        };
        assert_eq!(found(Fixed, &two(30_000)).len(), 1);
        assert_eq!(found(Fixed, &two(WINDOW)), [""; 0]);
        // The edge may lie at the start of a slow check, and the next one a window later.
        let slow = [
            (0, 900, Denied, 2),
            (1_000, 1_001, Allowed, 0),
            (WINDOW, WINDOW + 1, Denied, 2),
        ];
        assert_eq!(found(Fixed, &slow), [""; 0]);
    }

    #[test]
    fn answers_that_decide_nothing_state_nothing() {
        assert_eq!(found(Sliding, &[(0, 1, Unknown, -1)]), [""; 0]);
        assert_eq!(
            found(Sliding, &[(0, 1, Denied, -1)]),
            ["n stated -1 remaining"]
        );
    }
}
