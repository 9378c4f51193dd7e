//! Whether a limiter's own statements agree with its answers.
//!
//! A statement is made a little after the decision, and quota may return in between, or between two
//! checks. So a statement that needs quota to have returned is excused where it can have:
//!
//! - *sliding*: as soon as the first check can have left the window; at any time where earlier
//!   checks are not recorded;
//! - *fixed*: once a window, at its edge;
//! - *token-bucket*: by the tokens of the time between, and one for a bucket that rounds.
//!
//! A time to retry is wrong where it lies before the answer, or so late that no limiter of any form
//! needs it: all quota is back within a window, within two where the one before it counts as well,
//! and clocks, seconds and dates are rounded up.

use std::time::Duration;

use ratelimiter_api::{Operation, Outcome, StatedTime};
use ratelimiter_invariants::{Charging, Contract, ContractKind, History, HistoryChecker};

/// The most by which a stated time is rounded up: to a whole second; the second of a date is read
/// to its end; and another machine's clock is known to a second.
const ROUNDED: Duration = Duration::from_secs(3);

/// The least number of seconds that may be a time since 1970.
const SINCE_1970: u64 = 1_000_000_000;

/// Contradictions between header fields and answers. A record that is not `fresh` begins with its
/// quota perhaps used up. Of several limits, a statement may be about any.
///
/// Fields about the quota left are compared only for checks that no other one overlaps: at the time
/// of a burst they are out of date when they arrive.
pub(crate) fn contradictions(
    history: &History,
    checker: &HistoryChecker,
    fresh: bool,
) -> Vec<String> {
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
    let limits = checker.promise().limits();
    // A check that costs more than a limit may wait for ever.
    let fits = |op: &Operation| limits.iter().all(|limit| op.cost <= limit.max());
    let retries = history
        .iter()
        .filter(|op| op.outcome == Outcome::Denied && fits(op));
    let wrong = retries.filter_map(|op| {
        let by_limit = limits
            .iter()
            .map(|limit| wrong_time(&op, limit, checker.slack(limit)));
        by_limit.collect::<Option<Vec<_>>>()?.into_iter().next()
    });
    let mut found = Vec::from_iter(negative);
    found.extend(first_and_number(wrong));
    let by_limit = limits
        .iter()
        .map(|limit| impossible(history, limit, checker.slack(limit), fresh));
    let by_all: Option<Vec<_>> = by_limit.collect();
    found.extend(by_all.into_iter().flatten().next());
    found
}

/// A denial whose stated time for a retry cannot be right.
fn wrong_time(op: &Operation, limit: &Contract, slack: Duration) -> Option<String> {
    // The answer was on its way for a part of this.
    let late = op.complete - op.invoke + slack;
    let retry = op.claims.retry_after;
    let says = |what: String| Some(format!("{} denied a check and stated {what}", op.node));
    let reset = op
        .claims
        .reset
        .map(|reset| reset.ago().saturating_sub(ROUNDED));
    if let Some(ago) = retry.map(StatedTime::ago).filter(|ago| *ago > late) {
        return says(format!("a retry {:.3} s in the past", ago.as_secs_f64()));
    }
    if let Some(ago) = reset.filter(|ago| *ago > late) {
        let ago = (ago + ROUNDED).as_secs_f64();
        return says(format!("a reset {ago:.3} s in the past"));
    }
    if !at_once(limit) {
        return None;
    }
    let wait = retry.map(StatedTime::wait);
    let wait = wait.filter(|wait| *wait > limit.window() * 2 + ROUNDED + slack)?;
    let since_1970 = if wait.as_secs() >= SINCE_1970 {
        " (seconds since 1970?)"
    } else {
        ""
    };
    says(format!(
        "a retry in {:.3} s{since_1970}, and {limit} has its quota back within {:.3} s",
        wait.as_secs_f64(),
        limit.window().as_secs_f64()
    ))
}

/// Whether all quota of a limit is back a window after the last check. An estimate, a queue and a
/// place return it at other times, and so does a cost that is settled after the call.
fn at_once(limit: &Contract) -> bool {
    let charged = matches!(limit.charging(), Charging::Before | Charging::All);
    charged && limit.by().is_empty() && ContractKind::WINDOWS.contains(&limit.kind())
}

/// The first of some texts, and how many more there are.
fn first_and_number(mut texts: impl Iterator<Item = String>) -> Option<String> {
    let first = texts.next()?;
    Some(match texts.count() {
        0 => first,
        more => format!("{first}; {more} more like it"),
    })
}

fn left(op: &Operation) -> Option<i64> {
    op.claims.remaining
}

/// The checks that no other one overlaps, in the order of their times, each with the one just
/// before it, if that is another such check.
fn alone(history: &History) -> impl Iterator<Item = (Option<Operation>, Operation)> {
    let mut places = Vec::from_iter(0..history.len());
    places.sort_by_cached_key(|place| history.get(*place).invoke);
    let mut earlier = Duration::ZERO;
    let mut before = None;
    (0..places.len()).filter_map(move |n| {
        let op = history.get(places[n]);
        let next = places.get(n + 1).map(|place| history.get(*place).invoke);
        let is_alone = op.invoke >= earlier && next.is_none_or(|next| op.complete <= next);
        earlier = earlier.max(op.complete);
        let before = std::mem::replace(&mut before, is_alone.then(|| op.clone()));
        is_alone.then_some((before, op))
    })
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
fn impossible(history: &History, limit: &Contract, slack: Duration, fresh: bool) -> Option<String> {
    if !at_once(limit) {
        return None;
    }
    let window = limit.window().saturating_sub(slack);
    let first_leaves = history.start().unwrap_or_default() + window;
    let needed = alone(history).filter_map(|(before, op)| {
        let between = before.and_then(|before| NeededReturn::between(&before, &op));
        between.or_else(|| NeededReturn::in_denial(&op))
    });
    let mut edge: Option<NeededReturn> = None;
    for needed in needed {
        let possible = match limit.kind() {
            ContractKind::Sliding => !fresh || needed.to >= first_leaves,
            ContractKind::Fixed | ContractKind::Aligned => edge
                .as_ref()
                .is_none_or(|edge| needed.from <= edge.to || needed.to >= edge.from + window),
            ContractKind::TokenBucket => {
                let elapsed = (needed.to - needed.from + slack).as_secs_f64();
                let refilled = f64::from(limit.max()) * elapsed / limit.window().as_secs_f64();
                needed.quota <= 1 + refilled.ceil() as i64
            }
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
    fn history(checks: &[(u64, u64, Outcome, i64)]) -> History {
        let mut history = History::default();
        for &(from, to, outcome, left) in checks {
            let mut op = op(from, to, outcome);
            op.claims.remaining = Some(left);
            history.push(op).unwrap();
        }
        history
    }

    fn op(from: u64, to: u64, outcome: Outcome) -> Operation {
        let [invoke, complete] = [from, to].map(Duration::from_millis);
        let (key, node) = ("k".parse().unwrap(), ratelimiter_api::NodeId::new("n"));
        Operation::new(key, node, invoke, complete, outcome)
    }

    fn limit(kind: ContractKind) -> Contract {
        let limit = Contract::new(2, Duration::from_millis(WINDOW)).unwrap();
        limit.of_kind(kind)
    }

    fn checker(kind: ContractKind) -> HistoryChecker {
        HistoryChecker::new(limit(kind)).uncertainty(Duration::from_micros(500))
    }

    fn found(kind: ContractKind, checks: &[(u64, u64, Outcome, i64)]) -> Vec<String> {
        contradictions(&history(checks), &checker(kind), true)
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

    #[test]
    fn overlapping_checks_state_nothing_about_each_other() {
        let checks = [
            (0, 1, Allowed, 1),
            (10, 30, Denied, 2),
            (20, 40, Denied, 2),
            (50, 51, Denied, 2),
        ];
        assert_eq!(found(Sliding, &checks[..3]), [""; 0]);
        // A record may have any order.
        let mut reversed = checks;
        reversed.reverse();
        for checks in [checks, reversed] {
            let found = found(Sliding, &checks);
            assert_eq!(found, ["n denied a check of cost 1 and stated 2 remaining"]);
        }
    }

    #[test]
    fn a_record_from_the_middle_excuses_returns() {
        let history = history(&[(0, 1, Denied, 2), (5, 6, Denied, 2)]);
        let found = |kind, fresh| contradictions(&history, &checker(kind), fresh).len();
        assert_eq!((found(Sliding, true), found(Sliding, false)), (1, 0));
        // Windows and buckets have no memory of checks.
        assert_eq!((found(Fixed, false), found(TokenBucket, false)), (1, 0));
    }

    /// What is found of one denial that takes 2 ms.
    fn of_denial(kind: ContractKind, cost: u32, retry: Option<f64>, reset: Option<f64>) -> String {
        let mut op = op(0, 2, Denied).costing(cost);
        let [retry, reset] = [retry, reset].map(|time| StatedTime::seconds(time?));
        (op.claims.retry_after, op.claims.reset) = (retry, reset);
        let history = History::try_from(&[op][..]).unwrap();
        contradictions(&history, &checker(kind), true).join(", ")
    }

    #[test]
    fn a_retry_after_more_than_two_windows_is_wrong() {
        for kind in ContractKind::WINDOWS {
            let retry = |seconds| of_denial(kind, 2, Some(seconds), None);
            // A limiter that counts the window before as well, in whole seconds, as a date.
            assert_eq!(retry(123.0), "");
            let sixty_times = retry(3_600.0);
            assert!(
                sixty_times.contains("a retry in 3600.000 s"),
                "{sixty_times}"
            );
            let epoch = retry(1_700_000_060.0);
            assert!(epoch.contains("(seconds since 1970?)"), "{epoch}");
            // What costs more than the limit never passes.
            assert_eq!(of_denial(kind, 3, Some(3_600.0), None), "");
        }
    }

    #[test]
    fn a_retry_in_the_past_is_wrong() {
        let retry = |seconds| of_denial(Fixed, 1, Some(seconds), None);
        assert_eq!((retry(0.0), retry(-0.002)), (String::new(), String::new()));
        assert!(retry(-1.0).ends_with("a retry 1.000 s in the past"));
        let reset = |seconds| of_denial(Fixed, 1, None, Some(seconds));
        // A time since 1970 is cut off to its second.
        assert_eq!(
            (reset(-0.999), reset(7_200.0)),
            (String::new(), String::new())
        );
        assert!(reset(-60.0).ends_with("a reset 60.000 s in the past"));
    }
}
