//! Every contract, with costs, against a reference that tries every placement and every alignment.
//!
//! Times are whole milliseconds and intervals are closed, so placements and alignments at whole
//! milliseconds are as good as all others.

use proptest::prelude::*;
use ratelimiter_api::{Operation, Outcome};
use ratelimiter_invariants::{Contract, ContractKind, Verdict, VerdictBasis, check_history};

use crate::{cases, contract, ms, operation};

/// A decision: its time and its cost.
pub(crate) type Decision = (u64, u64);

/// Calls `visit` with the decisions of every placement. Unknown operations may be decided late or
/// never.
pub(crate) fn placements(
    operations: &[&Operation],
    horizon: u64,
    placed: &mut Vec<Decision>,
    visit: &mut dyn FnMut(&[Decision]),
) {
    let Some((first, rest)) = operations.split_first() else {
        return visit(placed);
    };
    let last = if first.outcome == Outcome::Unknown {
        horizon
    } else {
        ms(first.complete)
    };
    for at in ms(first.invoke)..=last {
        placed.push((at, first.cost.into()));
        placements(rest, horizon, placed, visit);
        placed.pop();
    }
    if first.outcome == Outcome::Unknown {
        placements(rest, horizon, placed, visit);
    }
}

/// The cost decided from `first` to `last`, both included.
fn between(decisions: &[Decision], first: u64, last: u64) -> u64 {
    decisions
        .iter()
        .filter(|(at, _)| (first..=last).contains(at))
        .map(|(_, cost)| cost)
        .sum()
}

/// Tokens that a bucket needs for the decisions up to `end`, rounded up.
fn bucket_at(decisions: &[Decision], contract: Contract, end: u64) -> u64 {
    let (max, window) = (
        i128::from(contract.max()),
        i128::from(ms(contract.window())),
    );
    let needs = (0..=end).map(|start| {
        i128::from(between(decisions, start, end)) * window - max * i128::from(end - start)
    });
    let most = needs.max().unwrap_or(0).max(0);
    u64::try_from((most + window - 1) / window).unwrap()
}

/// The largest cost of a window for exact decisions: the truth that the bounds must enclose.
fn truth(decisions: &[Decision], contract: Contract) -> u64 {
    let window = ms(contract.window());
    let end = decisions.iter().map(|(at, _)| *at).max().unwrap_or(0);
    match contract.kind() {
        ContractKind::Sliding => (0..=end)
            .map(|start| between(decisions, start, start + window - 1))
            .max()
            .unwrap_or(0),
        ContractKind::Fixed | ContractKind::Aligned => {
            let worst = |alignment: u64| {
                // The windows that begin at the alignment, and the one cut off before it.
                let starts = (alignment..=end).step_by(usize::try_from(window).unwrap());
                let whole = starts
                    .map(|start| between(decisions, start, start + window - 1))
                    .max()
                    .unwrap_or(0);
                let before = alignment
                    .checked_sub(1)
                    .map_or(0, |last| between(decisions, 0, last));
                whole.max(before)
            };
            (0..window).map(worst).min().unwrap_or(0)
        }
        ContractKind::TokenBucket => (0..=end)
            .map(|at| bucket_at(decisions, contract, at))
            .max()
            .unwrap_or(0),
    }
}

fn contracts() -> impl Strategy<Value = Contract> {
    (
        1..5_u32,
        1..8_u64,
        prop::sample::select(ContractKind::ALL.to_vec()),
    )
        .prop_map(|(max, window, kind)| contract(max, window).of_kind(kind))
}

fn histories(
    longest: u64,
    outcomes: Vec<Outcome>,
    most: usize,
) -> impl Strategy<Value = Vec<Operation>> {
    let one = (
        prop::sample::select(outcomes),
        0..3_usize,
        0..12_u64,
        0..=longest,
        1..4_u32,
    )
        .prop_map(|(outcome, node, invoke, length, cost)| {
            operation(outcome, node, invoke, invoke + length).costing(cost)
        });
    prop::collection::vec(one, 0..most)
}

fn of<'a>(history: &'a [Operation], outcomes: &[Outcome]) -> Vec<&'a Operation> {
    history
        .iter()
        .filter(|op| outcomes.contains(&op.outcome))
        .collect()
}

use Outcome::{Allowed, Denied, Failed, Unknown};

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn the_bounds_enclose_the_truth(
        history in histories(3, vec![Allowed, Allowed, Allowed, Unknown], 5),
        contract in contracts(),
    ) {
        let report = check_history(&history, contract).unwrap();
        let horizon = history.iter().map(|op| ms(op.complete)).max().unwrap_or(0) + 1;
        let (mut least, mut most) = (u64::MAX, 0);
        placements(
            &of(&history, &[Allowed, Unknown]),
            horizon,
            &mut Vec::new(),
            &mut |decisions| {
                let truth = truth(decisions, contract);
                (least, most) = (least.min(truth), most.max(truth));
            },
        );
        prop_assert!(
            report.definite_peak <= least,
            "definite {} above {least}",
            report.definite_peak
        );
        prop_assert!(
            report.possible_peak >= most,
            "possible {} below {most}",
            report.possible_peak
        );
        let max = u64::from(contract.max());
        match &report.verdict {
            Verdict::Pass => prop_assert!(most <= max),
            Verdict::Violated(witness) => {
                prop_assert!(least > max);
                // The witness alone proves it.
                let alone = check_history(&witness.operations, contract).unwrap();
                prop_assert!(matches!(alone.verdict, Verdict::Violated(_)), "{witness}");
                for left_out in 0..witness.operations.len() {
                    let mut fewer = witness.operations.clone();
                    fewer.remove(left_out);
                    let fewer = check_history(&fewer, contract).unwrap();
                    let needed = !matches!(fewer.verdict, Verdict::Violated(_));
                    prop_assert!(needed, "operation {left_out} is not needed: {witness}");
                }
            }
            Verdict::Unknown { .. } => {
                prop_assert!(report.definite_peak <= max && report.possible_peak > max);
                prop_assert!(
                    least <= max || report.settled == VerdictBasis::Undecided,
                    "settled, and wrong: {report}"
                );
            }
        }
    }

    #[test]
    fn instant_decisions_are_judged_exactly(
        history in histories(0, vec![Allowed, Denied], 9),
        contract in contracts(),
    ) {
        let report = check_history(&history, contract).unwrap();
        let decisions: Vec<Decision> = of(&history, &[Allowed])
            .iter()
            .map(|op| (ms(op.invoke), op.cost.into()))
            .collect();
        let truth = truth(&decisions, contract);
        prop_assert_eq!((report.definite_peak, report.possible_peak), (truth, truth));
        prop_assert_eq!(
            report.verdict == Verdict::Pass,
            truth <= u64::from(contract.max())
        );
    }

    #[test]
    fn denials_are_accused_only_without_excuse(
        history in histories(2, vec![Allowed, Denied, Denied, Failed, Unknown], 5),
        contract in contracts(),
    ) {
        let report = check_history(&history, contract).unwrap();
        let horizon = history.iter().map(|op| ms(op.complete)).max().unwrap_or(0) + 1;
        let charged = of(&history, &[Allowed, Failed, Unknown]);
        let expected: Vec<Operation> = of(&history, &[Denied])
            .into_iter()
            .filter(|denial| {
                let mut most = 0;
                placements(&charged, horizon, &mut Vec::new(), &mut |decisions| {
                    for at in ms(denial.invoke)..=ms(denial.complete) {
                        most = most.max(match contract.kind() {
                            ContractKind::TokenBucket => bucket_at(decisions, contract, at),
                            // An aligned window can begin anywhere, and so holds as much as a
                            // sliding one.
                            _ => between(
                                decisions,
                                (at + 1).saturating_sub(ms(contract.window())),
                                at,
                            ),
                        });
                    }
                });
                most + u64::from(denial.cost) <= u64::from(contract.max())
            })
            .cloned()
            .collect();
        let found: Vec<Operation> = report
            .unjustified_denials
            .into_iter()
            .map(|u| u.operation)
            .collect();
        prop_assert_eq!(found, expected);
    }
}

/// Allowed operations: invoke, complete and cost.
fn admissions<const N: usize>(of: [(u64, u64, u32); N]) -> Vec<Operation> {
    of.map(|(invoke, complete, cost)| operation(Allowed, 0, invoke, complete).costing(cost))
        .to_vec()
}

#[test]
fn small_cost_stays_out_of_large_proofs() {
    // Two of cost 2 never share a window of 3, so the admissions of cost 2 must be 5 ms apart: they
    // cannot be.
    let large = admissions([(1, 1, 2), (5, 6, 2), (9, 10, 2)]);
    let all = [large.clone(), admissions([(1, 1, 1)])].concat();
    let Verdict::Violated(witness) = check_history(&all, contract(3, 5)).unwrap().verdict else {
        panic!()
    };
    assert_eq!(witness.operations, large);
}

#[test]
fn fixed_windows_permit_twice_the_limit_at_edges() {
    // Ten just before the edge at 60 s and ten just after it: right for fixed windows, wrong for
    // sliding ones.
    let edge = |n: u64| operation(Allowed, 1, 59_990 + n, 59_990 + n);
    let history: Vec<Operation> = (0..20).map(edge).collect();
    let verdict = |kind| {
        check_history(&history, contract(10, 60_000).of_kind(kind))
            .unwrap()
            .verdict
    };
    assert_eq!(verdict(ContractKind::Fixed), Verdict::Pass);
    assert!(matches!(
        verdict(ContractKind::Sliding),
        Verdict::Violated(_)
    ));
    assert!(matches!(
        verdict(ContractKind::TokenBucket),
        Verdict::Violated(_)
    ));
}

#[test]
fn one_costly_admission_can_break_a_contract() {
    let history = [operation(Allowed, 1, 0, 100_000).costing(11)];
    for kind in ContractKind::ALL {
        let report = check_history(&history, contract(10, 1_000).of_kind(kind)).unwrap();
        assert!(
            matches!(report.verdict, Verdict::Violated(_)),
            "{kind}: {report}"
        );
    }
}

#[test]
fn clock_tolerance_and_uncertainty_widen_the_edge() {
    use ratelimiter_invariants::{History, HistoryChecker};
    use std::time::Duration;
    // Eleven admissions: the last comes 3 ms before the first leaves the window by the caller's
    // clock.
    let mut history: Vec<Operation> = (0..10).map(|n| operation(Allowed, 1, n, n)).collect();
    history.push(operation(Allowed, 1, 59_997, 59_997));
    let history = History::try_from(history.as_slice()).unwrap();
    let checker = HistoryChecker::new(contract(10, 60_000));
    assert!(matches!(
        checker.check(&history).verdict,
        Verdict::Violated(_)
    ));
    for tolerant in [
        checker.clock_tolerance(100),
        checker.uncertainty(Duration::from_millis(2)),
    ] {
        assert!(matches!(
            tolerant.check(&history).verdict,
            Verdict::Unknown { .. }
        ));
    }
}
