//! Histories small enough to check by eye.

use ratelimiter_api::{Key, Limit, Operation, Outcome};
use ratelimiter_invariants::{
    Doubt, History, HistoryChecker, HistoryError, Verdict, VerdictBasis, by_key, check_history,
};

use crate::{contract, operation};

use Outcome::{Allowed, Denied, Unknown};

#[test]
fn an_empty_history_passes() {
    let report = check_history(&[], contract(1, 10)).unwrap();
    assert!(report.is_clean());
    assert_eq!((report.definite_peak, report.possible_peak), (0, 0));
}

#[test]
fn decisions_a_window_apart_share_none() {
    let at = |second| {
        check_history(
            &[
                operation(Allowed, 1, 0, 0),
                operation(Allowed, 1, second, second),
            ],
            contract(1, 10),
        )
    };
    assert_eq!(at(10).unwrap().verdict, Verdict::Pass);
    assert!(matches!(at(9).unwrap().verdict, Verdict::Violated(_)));
}

#[test]
fn overlapping_operations_leave_the_verdict_open() {
    let history = [operation(Allowed, 1, 0, 2), operation(Allowed, 2, 8, 12)];
    let report = check_history(&history, contract(1, 10)).unwrap();
    assert_eq!(
        report.verdict,
        Verdict::Unknown {
            definite: 1,
            possible: 2,
            why: Doubt::Timing
        }
    );
    assert_eq!(
        report.to_string(),
        "2 allowed, 0 denied, 0 unknown against 1/10ms: unknown, between 1 and 2 in one \
         window, \
         depending on when within each check the decision fell"
    );
}

#[test]
fn operation_around_another_breaks_the_limit_wherever_decided() {
    // By 4 it was decided less than 10 before the other, from 6 on less than 10 after it; no span
    // below 10 holds both.
    let history = [
        operation(Allowed, 1, 0, 12),
        operation(Allowed, 2, 5, 5),
        operation(Allowed, 1, 70, 80),
    ];
    let report = check_history(&history, contract(1, 10)).unwrap();
    assert_eq!(report.settled, VerdictBasis::BySearch);
    assert_eq!(
        report.to_string(),
        "3 allowed, 0 denied, 0 unknown against 1/10ms: violated, at least 2 in one window; 2 \
         admissions within \
         12 ms (node-1 1, node-2 1), too many wherever each was decided, limit 1/10ms"
    );
    let shorter = check_history(&history, contract(1, 7)).unwrap();
    assert_eq!(
        shorter.verdict,
        Verdict::Unknown {
            definite: 1,
            possible: 2,
            why: Doubt::Timing
        }
    );
    assert_eq!(shorter.settled, VerdictBasis::BySearch);
}

#[test]
fn unknown_operation_may_be_decided_late() {
    let history = [operation(Unknown, 1, 0, 2), operation(Allowed, 2, 500, 501)];
    let report = check_history(&history, contract(1, 10)).unwrap();
    assert_eq!(
        report.verdict,
        Verdict::Unknown {
            definite: 1,
            possible: 2,
            why: Doubt::Outcomes
        }
    );
}

#[test]
fn an_unknown_operation_does_not_hide_a_violation() {
    let history = [
        operation(Unknown, 1, 0, 2),
        operation(Allowed, 2, 1, 2),
        operation(Allowed, 2, 3, 4),
    ];
    let report = check_history(&history, contract(1, 10)).unwrap();
    let Verdict::Violated(witness) = report.verdict else {
        panic!("{report}")
    };
    assert_eq!(witness.operations, history[1..]);
}

#[test]
fn a_denial_needs_a_full_window_before_it() {
    let history = [
        operation(Denied, 1, 0, 1),
        operation(Allowed, 1, 5, 6),
        operation(Denied, 2, 7, 8),
        operation(Denied, 3, 15, 20),
        operation(Denied, 3, 16, 20),
    ];
    let report = check_history(&history, contract(1, 10)).unwrap();
    let unjustified: Vec<&Operation> = report
        .unjustified_denials
        .iter()
        .map(|u| &u.operation)
        .collect();
    assert_eq!(
        unjustified,
        [&history[0], &history[4]],
        "before it began, and when it had left"
    );
    assert_eq!(
        report.to_string(),
        "1 allowed, 4 denied, 0 unknown against 1/10ms: pass, at most 1 in one window; 2 \
         unjustified denials, \
         the first: node-1 denied between 0.000 ms and 1.000 ms, when at most 0 of 1 admissions \
         could be in the window"
    );
}

#[test]
fn unknown_operation_may_justify_a_denial() {
    let history = [operation(Unknown, 1, 0, 1), operation(Denied, 2, 900, 901)];
    assert!(
        check_history(&history, contract(1, 10))
            .unwrap()
            .unjustified_denials
            .is_empty()
    );
}

#[test]
fn witness_is_the_tightest_group() {
    let history = [
        operation(Allowed, 3, 900, 990),
        operation(Allowed, 1, 100, 190),
        operation(Allowed, 2, 110, 160),
        operation(Allowed, 3, 150, 150),
        operation(Allowed, 1, 130, 200),
        operation(Allowed, 2, 700, 710),
    ];
    let report = check_history(&history, contract(2, 1_000)).unwrap();
    let Verdict::Violated(witness) = &report.verdict else {
        panic!("{report}")
    };
    assert_eq!(
        witness.timeline(64).to_string(),
        "\
3 admissions within 90 ms, limit 2/1s
node-2 [====================]                   0.000..50.000 ms
node-1         [=============================] 20.000..90.000 ms
node-3                  |                      40.000..40.000 ms"
    );
}

#[test]
fn a_picture_stays_within_its_width_and_height() {
    for (count, width, step) in [
        (1, 0, 1),
        (10, 72, 1),
        (23, 80, 9),
        (24, 80, 9),
        (3_000, 100, 1),
        (20, 40, 9_999_999),
    ] {
        let check = |n: u32| {
            let mut op = operation(Allowed, 0, u64::from(n) * step, u64::from(n) * step + 7);
            op.node = format!("a-node-with-quite-a-long-name-{}", n % 3)
                .as_str()
                .into();
            op
        };
        let history: Vec<_> = (0..=count).map(check).collect();
        let report = check_history(&history, contract(count, 300_000_000)).unwrap();
        let Verdict::Violated(witness) = &report.verdict else {
            panic!("{report}")
        };
        let picture = witness.timeline(width).to_string();
        assert!(picture.lines().count() <= 27, "{picture}");
        assert!(
            picture
                .lines()
                .all(|line| line.chars().count() <= width.max(40)),
            "{width}:\n{picture}"
        );
    }
}

#[test]
fn each_key_is_judged_by_itself() {
    let mut other = operation(Allowed, 1, 3, 4);
    other.key = Key::new("other").unwrap();
    let history = [operation(Allowed, 1, 0, 1), other];
    assert!(check_history(&history, contract(1, 10)).unwrap().is_clean());

    let keys = by_key(history).unwrap();
    assert_eq!(keys.len(), 2);
    for history in keys.values() {
        assert!(
            HistoryChecker::new(Limit::new(1, 60).unwrap())
                .check(history)
                .is_clean()
        );
    }
}

#[test]
fn a_history_gives_back_its_checks() {
    let mut stated = operation(Denied, 2, 3, 4).costing(7);
    stated.claims.remaining = Some(0);
    let operations = [
        operation(Allowed, 1, 5, 6),
        stated,
        operation(Unknown, 1, 0, 9),
    ];
    let history = History::try_from(operations.as_slice()).unwrap();
    assert!(history.has_claims());
    assert!(history.iter().eq(operations));
}

#[test]
fn operation_ending_before_it_begins_is_refused() {
    let refused = check_history(&[operation(Denied, 2, 5, 4)], contract(1, 10)).unwrap_err();
    assert!(matches!(refused, HistoryError::Backwards { .. }));
    assert_eq!(
        refused.to_string(),
        "check on node-2 completed at 4ms, before it was invoked at 5ms"
    );
}

#[test]
fn a_report_is_json() {
    let history = [
        operation(Allowed, 1, 1, 2),
        operation(Allowed, 2, 2, 4),
        operation(Denied, 1, 9, 9),
    ];
    let json = serde_json::to_value(check_history(&history, contract(1, 5)).unwrap()).unwrap();
    assert_eq!(json["contract"], "1/5ms");
    assert_eq!(json["verdict"]["verdict"], "violated");
    assert_eq!(json["verdict"]["span_ms"], 3.0);
    assert_eq!(json["verdict"]["operations"][1]["node"], "node-2");
    assert_eq!(
        json["unjustified_denials"][0]["operation"]["invoke_ms"],
        9.0
    );
}
