//! The forms beyond one window charged with the decision, against references that try every
//! placement; and promises of several limits against their limits one by one.
//!
//! Times are whole milliseconds. Periods may begin between two of them: an estimate grows with the
//! start of its period until an operation changes its place, so the instant just after a
//! millisecond suits the limiter best.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use ratelimiter_api::{Key, Operation, Outcome};
use ratelimiter_invariants::{
    Contract, ContractKind, History, HistoryChecker, Promise, Report, Verdict, VerdictBasis,
    check_history,
};

use crate::contracts::{Decision, between, bucket_at, placements};
use crate::{cases, ms, operation};
use Outcome::{Allowed, Denied, Failed, Unknown};

fn limit(text: &str) -> Contract {
    text.parse().unwrap()
}

/// Operations as outcome, invoke, length, cost, cost used, time held and label.
fn histories(
    longest: u64,
    outcomes: Vec<Outcome>,
    most: usize,
) -> impl Strategy<Value = Vec<Operation>> {
    let one = (
        prop::sample::select(outcomes),
        0..12_u64,
        0..=longest,
        1..4_u32,
        0..4_u32,
        0..=longest,
        0..3_usize,
    );
    let one = one.prop_map(|(outcome, invoke, length, cost, used, held, label)| {
        let mut op = operation(outcome, label, invoke, invoke + length)
            .costing(cost)
            .using(used)
            .holding(Duration::from_millis(held.min(length)))
            .labelled("user", ["a", "b", "c"][label / 2]);
        op.key = Key::new(["k", "l"][label % 2]).unwrap();
        op
    });
    prop::collection::vec(one, 0..most)
}

fn on_one_key(mut history: Vec<Operation>) -> Vec<Operation> {
    history
        .iter_mut()
        .for_each(|op| op.key = Key::new("k").unwrap());
    history
}

fn without_subject(op: &Operation) -> Operation {
    Operation {
        key: Key::new("k").unwrap(),
        labels: [].into(),
        ..op.clone()
    }
}

fn of<'a>(history: &'a [Operation], outcomes: &[Outcome]) -> Vec<&'a Operation> {
    history
        .iter()
        .filter(|op| outcomes.contains(&op.outcome))
        .collect()
}

fn horizon(history: &[Operation]) -> u64 {
    history.iter().map(|op| ms(op.complete)).max().unwrap_or(0) + 1
}

/// Whether some sequence of periods keeps the estimate within `max`. A period that begins in the
/// millisecond before `n` holds the decisions from `n` on; the next one follows it, or begins anew
/// after an idle period.
fn kept_by_periods(decisions: &[Decision], window: u64, max: u64) -> bool {
    let (window, max) = (window.cast_signed(), max.cast_signed());
    let decided = |from: i64, to: i64| {
        if to < 0 {
            0
        } else {
            between(decisions, from.max(0).cast_unsigned(), to.cast_unsigned()).cast_signed()
        }
    };
    let times: BTreeSet<i64> = decisions.iter().map(|(at, _)| at.cast_signed()).collect();
    let Some((&first, &last)) = times.first().zip(times.last()) else {
        return true;
    };
    fn from(
        n: i64,
        previous: i64,
        (window, max, last): (i64, i64, i64),
        times: &BTreeSet<i64>,
        decided: &dyn Fn(i64, i64) -> i64,
    ) -> bool {
        let fits = |at: &i64| previous * (window - (at - n + 1)) / window + decided(n, *at) <= max;
        let current = decided(n, n + window - 1);
        let next = n + window;
        times.range(n..next).all(fits)
            && (next > last
                || from(next, current, (window, max, last), times, decided)
                || (next + window..=last).any(|again| {
                    decided(next, again - 1) == 0
                        && from(again, 0, (window, max, last), times, decided)
                }))
    }
    (first - window + 1..=first).any(|n| from(n, 0, (window, max, last), &times, &decided))
}

/// The largest estimate at one of these instants, times the window, by all starts of a period.
fn largest_estimate(
    decisions: &[Decision],
    window: u64,
    instants: std::ops::RangeInclusive<u64>,
) -> u64 {
    let estimate = |at: u64, start: u64| {
        // Shifted by a window, so that no start is below zero.
        let inside = |from: u64, to: u64| {
            let shifted: Vec<Decision> = decisions
                .iter()
                .map(|(at, cost)| (at + 2 * window, *cost))
                .collect();
            between(&shifted, from, to)
        };
        let (at, start) = (at + 2 * window, start + 2 * window - window);
        inside(start, at) * window + inside(start - window, start - 1) * (window - (at - start))
    };
    let each = instants.flat_map(|at| (at + 1..=at + window).map(move |start| (at, start)));
    each.map(|(at, start)| estimate(at, start))
        .max()
        .unwrap_or(0)
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn limit_use_peaks_where_the_report_does(
        history in histories(3, vec![Allowed, Allowed, Denied, Unknown], 12),
        max in 1..5_u64,
        window in 2..8_u64,
        form in prop::sample::select(vec!["", " token-bucket", " paced wait=9ms", "in-flight"]),
    ) {
        let form = match form {
            "in-flight" => limit(&format!("{max} in-flight")),
            form => limit(&format!("{max}/{window}ms{form}")),
        };
        let history = History::try_from(&on_one_key(history)[..]).unwrap();
        let checker = HistoryChecker::new(form.clone()).uncertainty(Duration::from_micros(300));
        let report = checker.check(&history);
        let uses = checker.limit_use(&form, &history).uses;
        prop_assert!(uses.is_sorted_by_key(|one| one.at));
        prop_assert!(uses.iter().all(|one| one.certain <= one.possible), "{uses:?}");
        let possible = uses.iter().map(|one| one.possible).max();
        prop_assert_eq!(possible.unwrap_or(0), report.possible_peak, "{}", report);
        // A check that takes longer than a window is in one with itself, at no known instant.
        let costs = history.iter().filter(|op| op.outcome == Allowed).map(|op| op.cost.into());
        let costs = costs.filter(|_| form.kind() != ContractKind::InFlight);
        let certain = uses.iter().map(|one| one.certain).chain(costs).max();
        if report.settled == VerdictBasis::ByBounds {
            prop_assert_eq!(certain.unwrap_or(0), report.definite_peak, "{}", report);
        }
    }

    #[test]
    fn two_period_verdicts_hold_in_every_placement(
        history in histories(3, vec![Allowed, Allowed, Allowed, Unknown], 6),
        max in 1..5_u64,
        window in 2..8_u64,
    ) {
        let history = on_one_key(history);
        let form = limit(&format!("{max}/{window}ms two-period"));
        let report = check_history(&history, form).unwrap();
        let (mut some, mut all) = (false, true);
        let counted = of(&history, &[Allowed, Unknown]);
        placements(&counted, horizon(&history), &mut Vec::new(), &mut |decisions| {
            let kept = kept_by_periods(decisions, window, max);
            (some, all) = (some || kept, all && kept);
        });
        match &report.verdict {
            Verdict::Pass => prop_assert!(all, "{report}"),
            Verdict::Violated(witness) => {
                prop_assert!(!some, "{report}");
                let alone = check_history(&witness.operations, report.contract.clone()).unwrap();
                prop_assert!(matches!(alone.verdict, Verdict::Violated(_)), "{witness}");
            }
            Verdict::Unknown { .. } => {}
        }
    }

    #[test]
    fn instant_estimates_are_judged_exactly(
        history in histories(0, vec![Allowed], 9),
        max in 1..6_u64,
        window in 3..9_u64,
    ) {
        let history = on_one_key(history);
        let decisions: Vec<Decision> =
            history.iter().map(|op| (ms(op.invoke), op.cost.into())).collect();
        let mut times: Vec<u64> = decisions.iter().map(|decision| decision.0).collect();
        times.sort_unstable();
        let form = limit(&format!("{max}/{window}ms two-period"));
        let report = check_history(&history, form).unwrap();
        let kept = kept_by_periods(&decisions, window, max);
        if times.windows(2).all(|pair| pair[1] - pair[0] < window) {
            prop_assert_eq!(report.verdict == Verdict::Pass, kept, "{}", report);
            prop_assert_eq!(matches!(report.verdict, Verdict::Violated(_)), !kept, "{}", report);
        }
    }

    #[test]
    fn two_period_denials_are_accused_exactly(
        history in histories(2, vec![Allowed, Denied, Denied, Failed, Unknown], 5),
        max in 1..5_u64,
        window in 2..8_u64,
    ) {
        let history = on_one_key(history);
        let form = limit(&format!("{max}/{window}ms two-period"));
        let report = check_history(&history, form).unwrap();
        let charged = of(&history, &[Allowed, Failed, Unknown]);
        let mut expected = Vec::new();
        for denial in of(&history, &[Denied]) {
            let mut most = 0;
            placements(&charged, horizon(&history), &mut Vec::new(), &mut |decisions| {
                let instants = ms(denial.invoke)..=ms(denial.complete);
                most = most.max(largest_estimate(decisions, window, instants));
            });
            if most + u64::from(denial.cost) * window <= max * window {
                expected.push(denial.clone());
            }
        }
        let found = report.unjustified_denials.into_iter().map(|denial| denial.operation);
        prop_assert_eq!(Vec::from_iter(found), expected);
    }

    #[test]
    fn calls_in_flight_are_judged_by_every_placement(
        history in histories(5, vec![Allowed, Allowed, Denied, Unknown], 6),
        max in 1..6_u32,
        returns in 0..3_u64,
        lease in 0..6_u64,
    ) {
        let history = on_one_key(history);
        let text = format!("{max} in-flight returns={returns}ms lease={lease}ms");
        let report = check_history(&history, limit(&text)).unwrap();
        let most_at = |spans: &[(u64, u64, u32)], at: u64| -> u32 {
            let holding = spans.iter().filter(|(from, to, _)| (*from..*to).contains(&at));
            holding.map(|span| span.2).sum()
        };
        // Of every way to hold a place for the recorded time, the one with the fewest at once.
        let calls = of(&history, &[Allowed]);
        let mut least = u32::MAX;
        let mut ways = vec![Vec::new()];
        for op in calls {
            let (held, last) = (ms(op.held), ms(op.complete) - ms(op.held));
            let each = (ms(op.invoke)..=last).map(|from| (from, from + held, op.cost));
            ways = each.flat_map(|span| ways.iter().map(move |way: &Vec<_>| {
                let mut way = way.clone();
                way.push(span);
                way
            })).collect();
        }
        for way in &ways {
            let most = (0..40).map(|at| most_at(way, at)).max().unwrap();
            least = least.min(most);
        }
        let spans = |outcome: Outcome, last: &dyn Fn(&Operation) -> u64| -> Vec<(u64, u64, u32)> {
            let of = of(&history, &[outcome]).into_iter();
            of.map(|op| (ms(op.invoke), last(op), op.cost)).collect()
        };
        let whole = [
            spans(Allowed, &|op| ms(op.complete)),
            spans(Unknown, &|op| ms(op.complete) + lease),
        ].concat();
        let most = (0..40).map(|at| most_at(&whole, at)).max().unwrap();
        match report.verdict {
            Verdict::Violated(ref witness) => {
                prop_assert!(least > max, "{report}");
                prop_assert!(witness.operations.iter().all(|op| op.outcome == Allowed));
            }
            Verdict::Pass => prop_assert!(most <= max, "{report}"),
            Verdict::Unknown { .. } => prop_assert!(most > max),
        }
        let charged = [
            spans(Allowed, &|op| ms(op.complete) + returns + 1),
            spans(Unknown, &|op| ms(op.complete) + lease.max(returns + 1)),
            spans(Denied, &|op| ms(op.complete) + 1),
        ].concat();
        let expected: Vec<Operation> = of(&history, &[Denied]).into_iter().filter(|op| {
            let mut instants = ms(op.invoke)..=ms(op.complete);
            instants.all(|at| most_at(&charged, at) <= max)
        }).cloned().collect();
        let found = report.unjustified_denials.into_iter().map(|denial| denial.operation);
        prop_assert_eq!(Vec::from_iter(found), expected);
    }

    #[test]
    fn costs_settled_after_the_call_bound_admissions(
        history in histories(3, vec![Allowed, Allowed, Allowed, Unknown], 6),
        max in 1..5_u32,
        window in 2..8_u64,
        settles in 0..4_u64,
    ) {
        let history = on_one_key(history);
        let text = format!("{max}/{window}ms charge=after settles={settles}ms");
        let report = check_history(&history, limit(&text)).unwrap();
        let admitted = of(&history, &[Allowed]);
        let (mut some, mut all) = (false, true);
        placements(&admitted, horizon(&history), &mut Vec::new(), &mut |decisions| {
            // Each saw the costs that were settled before it at the latest, and are in its window.
            let saw = |at: u64| -> u64 {
                let settled = admitted.iter().zip(decisions).filter(|(op, (decided, _))| {
                    ms(op.complete) + settles < at && decided + window > at
                });
                settled.map(|(op, _)| u64::from(op.used.unwrap())).sum()
            };
            let kept = decisions.iter().all(|(at, _)| saw(*at) < u64::from(max));
            (some, all) = (some || kept, all && kept);
        });
        match &report.verdict {
            Verdict::Violated(_) => prop_assert!(!some, "{report}"),
            Verdict::Pass => prop_assert!(all, "{report}"),
            Verdict::Unknown { .. } => {}
        }
    }

    #[test]
    fn reservations_are_accused_only_in_every_placement(
        history in histories(2, vec![Allowed], 4),
        max in 1..6_u64,
        window in 2..8_u64,
        settles in 0..2_u64,
    ) {
        let mut history = on_one_key(history);
        // A cost above the one asked for is no fault of the limiter.
        history.iter_mut().for_each(|op| op.used = Some(op.used.unwrap().min(op.cost)));
        let text = format!("{max}/{window}ms charge=reserved settles={settles}ms");
        let report = check_history(&history, limit(&text)).unwrap();
        // Ways of each call: its decision, and its settlement after the time held.
        let mut ways: Vec<Vec<(u64, u64)>> = vec![Vec::new()];
        for op in &history {
            let (first, last) = (ms(op.invoke), ms(op.complete));
            let each = (first..=last).flat_map(|at| {
                let earliest = at + ms(op.held);
                (earliest..=last + settles).map(move |settled| (at, settled))
            });
            let each: Vec<(u64, u64)> = each.filter(|(at, _)| at + ms(op.held) <= last).collect();
            ways = ways.iter().flat_map(|way| each.iter().map(|call| {
                [way.clone(), vec![*call]].concat()
            })).collect();
        }
        let (mut some, mut all) = (false, true);
        for way in ways {
            let held = |at: u64| -> u64 {
                let calls = history.iter().zip(&way).filter(|(_, (decided, _))| {
                    (*decided..decided + window).contains(&at)
                });
                let costs = calls.map(|(op, (_, settled))| if at < *settled {
                    u64::from(op.cost)
                } else {
                    u64::from(op.used.unwrap())
                });
                costs.sum()
            };
            let kept = way.iter().all(|(at, _)| held(*at) <= max);
            (some, all) = (some || kept, all && kept);
        }
        match &report.verdict {
            Verdict::Violated(_) => prop_assert!(!some, "{report}"),
            Verdict::Pass => prop_assert!(all, "{report}"),
            Verdict::Unknown { .. } => {}
        }
    }

    #[test]
    fn paced_releases_and_denials_hold_in_every_placement(
        history in histories(3, vec![Allowed, Allowed, Denied, Failed], 6),
        max in 1..4_u32,
        window in 2..8_u64,
        wait in 0..9_u64,
    ) {
        let history = on_one_key(history);
        let contract = limit(&format!("{max}/{window}ms paced wait={wait}ms"));
        let report = check_history(&history, contract.clone()).unwrap();
        let mut least = u64::MAX;
        let end = horizon(&history);
        placements(&of(&history, &[Allowed]), end, &mut Vec::new(), &mut |decisions| {
            let fullest = (0..=end).map(|at| bucket_at(decisions, &contract, at)).max();
            least = least.min(fullest.unwrap());
        });
        if let Verdict::Violated(_) = report.verdict {
            prop_assert!(least > max.into(), "{report}");
        }
        let queue = u64::from(max) + u64::from(max) * wait / window;
        let charged = of(&history, &[Allowed, Failed]);
        let expected: Vec<Operation> = of(&history, &[Denied]).into_iter().filter(|denial| {
            let mut most = 0;
            placements(&charged, end, &mut Vec::new(), &mut |decisions| {
                for at in ms(denial.invoke)..=ms(denial.complete) {
                    most = most.max(bucket_at(decisions, &contract, at));
                }
            });
            most + u64::from(denial.cost) <= queue
        }).cloned().collect();
        let found = report.unjustified_denials.into_iter().map(|denial| denial.operation);
        prop_assert_eq!(Vec::from_iter(found), expected);
        let late = |op: &&Operation| ms(op.complete - op.invoke) - ms(op.held) > wait;
        let waited = report.waits.map_or(0, |waits| waits.count);
        prop_assert_eq!(waited, history.iter().filter(late).count() as u64);
    }

    #[test]
    fn several_limits_are_judged_one_by_one(
        history in histories(2, vec![Allowed, Allowed, Denied, Unknown], 9),
        chosen in prop::collection::vec(0..LIMITS.len(), 1..4),
    ) {
        let limits: Vec<Contract> = chosen.iter().map(|n| limit(LIMITS[*n])).collect();
        let promise = Promise::new(limits[0].clone(), limits[1..].iter().cloned());
        let report = check_history(&history, promise).unwrap();
        let (mut broken, mut passed) = (0, 0);
        let mut unjustified: Option<BTreeSet<usize>> = None;
        for limit in &limits {
            let counter = |op: &Operation| match limit.by() {
                [] => op.key.to_string(),
                [all] if all == "all" => String::new(),
                _ => op.labels["user"].clone(),
            };
            let counters: BTreeSet<String> = history.iter().map(counter).collect();
            let mut here = BTreeSet::new();
            let (mut violated, mut kept) = (false, true);
            for each in counters {
                let places: Vec<usize> =
                    (0..history.len()).filter(|n| counter(&history[*n]) == each).collect();
                let part: Vec<Operation> =
                    places.iter().map(|n| without_subject(&history[*n])).collect();
                let form = limit.to_string();
                let form = form.split(' ').filter(|word| !word.starts_with("by="));
                let form = Vec::from_iter(form);
                let report = check_history(&part, self::limit(&form.join(" "))).unwrap();
                violated |= matches!(report.verdict, Verdict::Violated(_));
                kept &= report.verdict == Verdict::Pass;
                let denied = report.unjustified_denials.iter();
                // Equal operations are equally denied.
                here.extend(denied.flat_map(|denial| {
                    let same = places.iter().zip(&part);
                    same.filter(|(_, op)| **op == denial.operation).map(|(n, _)| *n)
                }));
            }
            broken += usize::from(violated);
            passed += usize::from(kept);
            unjustified = Some(match unjustified {
                None => here,
                Some(before) => before.intersection(&here).copied().collect(),
            });
        }
        prop_assert_eq!(matches!(report.verdict, Verdict::Violated(_)), broken > 0, "{}", report);
        prop_assert_eq!(report.verdict == Verdict::Pass, passed == limits.len(), "{}", report);
        let violated = |limit: &&Report| matches!(limit.verdict, Verdict::Violated(_));
        prop_assert_eq!(report.by_limit().filter(violated).count(), broken);
        let unjustified = unjustified.unwrap();
        let expected: Vec<&Operation> = unjustified.iter().map(|n| &history[*n]).collect();
        let found: Vec<&Operation> =
            report.unjustified_denials.iter().map(|denial| &denial.operation).collect();
        prop_assert_eq!(found, expected);
    }
}

/// Limits of every form, small enough to be reached.
const LIMITS: [&str; 9] = [
    "2/5ms",
    "3/9ms by=user",
    "3/6ms fixed by=all",
    "2/4ms token-bucket",
    "3/6ms two-period by=user",
    "2/7ms charge=after settles=1ms",
    "4/7ms charge=reserved by=all",
    "2 in-flight by=all",
    "2/4ms paced wait=3ms",
];
