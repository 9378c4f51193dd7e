//! Every contract, with costs, against a reference that tries every placement and every alignment.
//!
//! Times are whole milliseconds and intervals are closed, so placements and alignments at whole
//! milliseconds are as good as all others.

use std::time::Duration;

use proptest::prelude::*;
use ratelimiter_api::{Operation, Outcome};
use ratelimiter_invariants::{
    Contract, ContractKind, History, HistoryChecker, Verdict, VerdictBasis, check_history,
};

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
pub(crate) fn between(decisions: &[Decision], first: u64, last: u64) -> u64 {
    decisions
        .iter()
        .filter(|(at, _)| (first..=last).contains(at))
        .map(|(_, cost)| cost)
        .sum()
}

/// Tokens that a bucket needs for the decisions up to `end`, rounded up.
pub(crate) fn bucket_at(decisions: &[Decision], contract: &Contract, end: u64) -> u64 {
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

/// The largest cost of any window of any key, by the grid that suits the limiter best.
fn by_grid(keys: &[&[Decision]], window: u64, end: u64) -> u64 {
    let worst = |alignment: u64| {
        // The windows that begin at the alignment, and the one cut off before it.
        let starts = (alignment..=end).step_by(usize::try_from(window).unwrap());
        let windows = starts.map(|start| (start, start + window - 1));
        let before = alignment.checked_sub(1).map(|last| (0, last));
        let costs = windows.chain(before).flat_map(|(first, last)| {
            keys.iter()
                .map(move |decisions| between(decisions, first, last))
        });
        costs.max().unwrap_or(0)
    };
    (0..window).map(worst).min().unwrap_or(0)
}

/// The largest cost between two resets, by the resets at least a window apart that suit the limiter
/// best: every sequence is tried.
fn by_resets(decisions: &[Decision], window: u64, end: u64) -> u64 {
    // By the latest reset so far, from the last instant back: the best that the rest permits.
    let mut best = vec![0; usize::try_from(end + 2).unwrap()];
    let from = |reset: u64, first: u64, best: &[u64]| {
        let next = (first..=end + 1).filter(|next| *next > 0);
        let cut = next.map(|next| {
            between(decisions, reset, next - 1).max(best[usize::try_from(next).unwrap()])
        });
        cut.min()
            .unwrap_or(u64::MAX)
            .min(between(decisions, reset, end))
    };
    for reset in (0..=end + 1).rev() {
        best[usize::try_from(reset).unwrap()] = from(reset, reset + window, &best);
    }
    from(0, 0, &best)
}

/// The largest cost of a window that begins with the first decision after the last one ended.
fn by_first_check(decisions: &[Decision], window: u64) -> u64 {
    let mut sorted = decisions.to_vec();
    sorted.sort_unstable();
    let (mut start, mut cost, mut largest) = (None, 0, 0);
    for (at, more) in sorted {
        if start.is_none_or(|start| at >= start + window) {
            (start, cost) = (Some(at), 0);
        }
        cost += more;
        largest = largest.max(cost);
    }
    largest
}

/// The largest cost of a window for exact decisions: the truth that the bounds must enclose.
fn truth(decisions: &[Decision], contract: &Contract) -> u64 {
    let window = ms(contract.window());
    let end = decisions.iter().map(|(at, _)| *at).max().unwrap_or(0);
    match contract.kind() {
        ContractKind::Sliding => (0..=end)
            .map(|start| between(decisions, start, start + window - 1))
            .max()
            .unwrap_or(0),
        ContractKind::Fixed => by_resets(decisions, window, end),
        ContractKind::Aligned => by_grid(&[decisions], window, end),
        ContractKind::TokenBucket => (0..=end)
            .map(|at| bucket_at(decisions, contract, at))
            .max()
            .unwrap_or(0),
        other => unreachable!("{other} has another reference"),
    }
}

/// The forms of this reference; `forms` has those of the others.
const FORMS: [ContractKind; 4] = [
    ContractKind::Sliding,
    ContractKind::Fixed,
    ContractKind::TokenBucket,
    ContractKind::Aligned,
];

fn contracts() -> impl Strategy<Value = Contract> {
    (1..5_u32, 1..8_u64, prop::sample::select(FORMS.to_vec()))
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
        let report = check_history(&history, contract.clone()).unwrap();
        let horizon = history.iter().map(|op| ms(op.complete)).max().unwrap_or(0) + 1;
        let (mut least, mut most) = (u64::MAX, 0);
        placements(
            &of(&history, &[Allowed, Unknown]),
            horizon,
            &mut Vec::new(),
            &mut |decisions| {
                let truth = truth(decisions, &contract);
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
                let alone = check_history(&witness.operations, contract.clone()).unwrap();
                prop_assert!(matches!(alone.verdict, Verdict::Violated(_)), "{witness}");
                for left_out in 0..witness.operations.len() {
                    let mut fewer = witness.operations.clone();
                    fewer.remove(left_out);
                    let fewer = check_history(&fewer, contract.clone()).unwrap();
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
        let report = check_history(&history, contract.clone()).unwrap();
        let decisions: Vec<Decision> = of(&history, &[Allowed])
            .iter()
            .map(|op| (ms(op.invoke), op.cost.into()))
            .collect();
        let truth = truth(&decisions, &contract);
        if contract.kind() == ContractKind::Fixed {
            let kinds = [
                by_grid(&[&decisions], ms(contract.window()), 30),
                by_first_check(&decisions, ms(contract.window())),
            ];
            prop_assert!(kinds.iter().all(|kind| truth <= *kind), "{truth} {kinds:?}");
            prop_assert!(report.definite_peak <= truth && truth <= report.possible_peak);
        } else {
            prop_assert_eq!((report.definite_peak, report.possible_peak), (truth, truth));
        }
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
        let report = check_history(&history, contract.clone()).unwrap();
        let horizon = history.iter().map(|op| ms(op.complete)).max().unwrap_or(0) + 1;
        let charged = of(&history, &[Allowed, Failed, Unknown]);
        let expected: Vec<Operation> = of(&history, &[Denied])
            .into_iter()
            .filter(|denial| {
                let mut most = 0;
                placements(&charged, horizon, &mut Vec::new(), &mut |decisions| {
                    for at in ms(denial.invoke)..=ms(denial.complete) {
                        most = most.max(match contract.kind() {
                            ContractKind::TokenBucket => bucket_at(decisions, &contract, at),
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

/// The checker's accusations of denials where the record may lack what came before `since`.
fn denied_without_cause(history: &[Operation], contract: &Contract, since: u64) -> Vec<Operation> {
    let checker =
        HistoryChecker::new(contract.clone()).complete_since(Duration::from_millis(since));
    let report = checker.check(&history.try_into().unwrap());
    let unjustified = report.unjustified_denials.into_iter();
    unjustified.map(|denial| denial.operation).collect()
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn a_start_in_the_middle_excuses_by_any_past(
        later in histories(1, vec![Allowed, Denied, Denied, Unknown], 5),
        contract in contracts(),
    ) {
        let since = 20;
        let shift = |op: &Operation| {
            let by = Duration::from_millis(since);
            Operation { invoke: op.invoke + by, complete: op.complete + by, ..op.clone() }
        };
        let history: Vec<Operation> = later.iter().map(shift).collect();
        let found = denied_without_cause(&history, &contract, since);
        let mut excused = vec![false; history.len()];
        // The past: one cost within the contract, up to the very instant of the start.
        for (at, cost) in (0..=since).flat_map(|at| (1..=contract.max()).map(move |c| (at, c))) {
            let past = operation(Allowed, 0, at, at).costing(cost);
            let whole = [vec![past], history.clone()].concat();
            let accused = check_history(&whole, contract.clone()).unwrap().unjustified_denials;
            for (excused, op) in excused.iter_mut().zip(&history) {
                *excused |= !accused.iter().any(|denial| denial.operation == *op);
            }
        }
        let expected = history.iter().zip(excused).filter(|(op, excused)| {
            op.outcome == Denied && !excused
        });
        let expected: Vec<Operation> = expected.map(|(op, _)| op.clone()).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn aligned_keys_are_judged_by_one_grid(
        keys in prop::collection::vec(histories(2, vec![Allowed], 4), 1..3),
        max in 1..4_u32,
        window in 1..8_u64,
    ) {
        let contract = contract(max, window).of_kind(ContractKind::Aligned);
        let histories: Vec<History> =
            keys.iter().map(|key| key.as_slice().try_into().unwrap()).collect();
        let report =
            HistoryChecker::new(contract).check_together(&histories.iter().collect::<Vec<_>>());
        let (mut least, mut most) = (u64::MAX, 0);
        let all: Vec<&Operation> = keys.iter().flatten().collect();
        placements(&all, 30, &mut Vec::new(), &mut |decisions| {
            let mut rest = decisions;
            let mut split = Vec::new();
            for key in &keys {
                let (these, others) = rest.split_at(key.len());
                split.push(these);
                rest = others;
            }
            let truth = by_grid(&split, window, 30);
            (least, most) = (least.min(truth), most.max(truth));
        });
        prop_assert!(report.definite_peak <= least && most <= report.possible_peak, "{}", report);
        if let Verdict::Violated(witness) = report.verdict {
            prop_assert!(witness.operations.iter().all(|op| all.contains(&op)));
        }
    }
}

#[test]
fn bursts_beyond_every_kind_of_fixed_windows_are_accused() {
    // 100 admissions within 2.4 ms against 10 a minute.
    let burst: Vec<Operation> = (0..100).map(|n| operation(Allowed, 0, n / 50, 2)).collect();
    let fixed = contract(10, 60_000).of_kind(ContractKind::Fixed);
    let report = check_history(&burst, fixed.clone()).unwrap();
    assert_eq!((report.definite_peak, report.possible_peak), (50, 100));
    assert!(
        report.to_string().contains(
            "violated, at least 50 in one window; 21 admissions within 1.000 ms (node-0 21), too \
             many for 2 windows, limit 10/1m fixed"
        ),
        "{report}"
    );
    // 20 may lie on both sides of an edge.
    let twenty = check_history(&burst[..20], fixed).unwrap();
    assert!(
        matches!(twenty.verdict, Verdict::Unknown { .. }),
        "{twenty}"
    );
}

#[test]
fn a_second_burst_after_more_than_a_window_needs_aligned_windows() {
    // 11 admissions at once, and again 1.3 windows later: resets in the middle of each burst are
    // far enough apart; the edges of one grid are not.
    let burst = |at: u64| (0..11).map(move |n| operation(Allowed, 0, at + n, at + n));
    let history: Vec<Operation> = burst(0).chain(burst(130)).collect();
    let decisions: Vec<Decision> = history.iter().map(|op| (ms(op.invoke), 1)).collect();
    assert_eq!(by_resets(&decisions, 100, 140), 8);
    assert_eq!(by_grid(&[&decisions], 100, 140), 11);
    let verdict = |kind| {
        let contract = contract(10, 100).of_kind(kind);
        check_history(&history, contract.clone()).unwrap().verdict
    };
    assert_eq!(verdict(ContractKind::Fixed), Verdict::Pass);
    assert!(matches!(
        verdict(ContractKind::Aligned),
        Verdict::Violated(_)
    ));
}

#[test]
fn a_history_names_the_contracts_that_it_keeps() {
    let kept = |history: &[Operation], contract| {
        let checker = HistoryChecker::new(contract);
        checker.fits_otherwise(&[&history.try_into().unwrap()])
    };
    let texts = |contracts: Vec<Contract>| -> Vec<String> {
        contracts.iter().map(ToString::to_string).collect()
    };
    // A bucket of 10, refilled once in 200 ms, asked every 100 ms.
    let outcome = |n: u64| {
        if n < 19 || n.is_multiple_of(2) {
            Allowed
        } else {
            Denied
        }
    };
    let bucket: Vec<Operation> = (0..60)
        .map(|n| operation(outcome(n), 0, 100 * n, 100 * n))
        .collect();
    let found = texts(kept(&bucket, contract(10, 2_000)));
    assert!(
        found.contains(&"10/2s token-bucket".to_owned()),
        "{found:?}"
    );
    // 15 at once, then denied: a limit of 15.
    let outcome = |n: u64| if n < 15 { Allowed } else { Denied };
    let larger: Vec<Operation> = (0..30).map(|n| operation(outcome(n), 0, n, n)).collect();
    let found = texts(kept(&larger, contract(10, 2_000)));
    assert!(found.contains(&"15/2s".to_owned()), "{found:?}");
    // 10 at once, and one more in 2 s, where 5 a second were promised: inverted.
    let allowed = |n: u64| n < 10 || n.is_multiple_of(20);
    let inverted: Vec<Operation> = (0..200)
        .map(|n| {
            let at = if n < 10 { 0 } else { 100 * n };
            operation(if allowed(n) { Allowed } else { Denied }, 0, at, at)
        })
        .collect();
    let promised = contract(10, 5_000).of_kind(ContractKind::TokenBucket);
    let found = texts(kept(&inverted, promised));
    assert!(
        found.contains(&"10/20s token-bucket".to_owned()),
        "{found:?}"
    );
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
    for kind in ContractKind::WINDOWS {
        let report = check_history(&history, contract(10, 1_000).of_kind(kind)).unwrap();
        assert!(
            matches!(report.verdict, Verdict::Violated(_)),
            "{kind}: {report}"
        );
    }
}

#[test]
fn clock_tolerance_and_uncertainty_widen_the_edge() {
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
        checker.clone().clock_tolerance(100),
        checker.uncertainty(Duration::from_millis(2)),
    ] {
        assert!(matches!(
            tolerant.check(&history).verdict,
            Verdict::Unknown { .. }
        ));
    }
}
