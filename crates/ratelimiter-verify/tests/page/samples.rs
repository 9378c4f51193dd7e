//! Runs and scorecards with every kind of part, and texts that want to be code.

use std::time::{Duration, UNIX_EPOCH};

use fastrand::Rng;
use ratelimiter_api::{Key, NodeId, Operation, Outcome};
use ratelimiter_invariants::{HistoryChecker, Promise, by_key};
use ratelimiter_verify::{
    Cell, CellFigure, CellProperty, CellVerdict, FaultBand, FaultEffect, FaultTrial, FindingKind,
    Phase, RunFacts, RunJudge, SCORECARD_VERSION, Scorecard, StoreCount, TimeBand, page,
    scorecard_page, scorecard_summary,
};

const HOSTILE: &str = "</style></script><script>hostile=1</script><img src=x onerror=hostile=1>\"'";

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Checks of one key on three nodes: `admitted` at once, then others until the end.
fn checks(key: &str, admitted: u32, others: u32, noise: &mut Rng) -> Vec<Operation> {
    let nodes = ["node-1", "node-2", HOSTILE].map(NodeId::new);
    let key = Key::new(key).unwrap();
    let mut check = |n: u32| {
        let begin = if n < admitted {
            0
        } else {
            u64::from(n - admitted) * 5
        };
        let invoke = ms(begin) + Duration::from_micros(noise.u64(..500));
        let complete = invoke + Duration::from_micros(noise.u64(800..9_000));
        let outcome = match n {
            n if n < admitted => Outcome::Allowed,
            n if n % 17 == 0 => Outcome::Failed,
            n if n % 23 == 0 => Outcome::Unknown,
            _ => Outcome::Denied,
        };
        let node = nodes[noise.usize(..3)].clone();
        Operation::new(key.clone(), node, invoke, complete, outcome)
    };
    (0..admitted + others).map(&mut check).collect()
}

fn checker(limits: &[&str]) -> HistoryChecker {
    let mut limits = limits.iter().map(|text| text.parse().unwrap());
    let first: ratelimiter_invariants::Contract = limits.next().unwrap();
    HistoryChecker::new(Promise::new(first, limits)).uncertainty(ms(1))
}

/// The page of these histories, the second of which has a fault.
fn page_of(checker: &HistoryChecker, operations: &[Operation]) -> String {
    let judge = RunJudge {
        checker: checker.clone(),
        fail_on: vec![FindingKind::Excess, FindingKind::Denials],
        decides_within: None,
        fresh: true,
        judges_claims: true,
        deadline: None,
    };
    let histories = by_key(operations.iter().cloned()).unwrap();
    let mut verdict = judge.histories(histories).unwrap();
    if let Some(one) = verdict.judged.get_mut(1) {
        one.phase = Some(Phase::Fault);
        one.fault = Some(FaultBand {
            start: ms(200),
            end: Some(ms(600)),
            exit_code: Some(0),
            effect: FaultEffect::default(),
        });
    }
    let command = ["http", "--header", "X-Key: ***", HOSTILE].map(String::from);
    let facts = RunFacts {
        target: HOSTILE,
        command: &command,
        date: UNIX_EPOCH,
        history_sha256: Some("0123456789abcdef"),
    };
    let of = |place: usize| {
        let key = &verdict.judged[place].key;
        operations
            .iter()
            .filter(|op| op.key == *key)
            .cloned()
            .collect()
    };
    page(&verdict, of, checker, facts)
}

/// A page with several limits and verdicts.
pub(crate) fn run_page() -> String {
    let noise = &mut Rng::with_seed(1);
    let limits = ["10/1m", "40/1h fixed", "12/1m token-bucket", "30 in-flight"];
    let keys = [
        ("excess", 11),
        ("right", 10),
        (HOSTILE, 14),
        (
            "long-key-without-a-space-that-could-be-broken-0123456789",
            9,
        ),
    ];
    let operations = keys
        .iter()
        .flat_map(|(key, admitted)| checks(key, *admitted, 300, noise));
    page_of(&checker(&limits), &Vec::from_iter(operations))
}

/// The witness of a history that is too long for bars is drawn check by check.
pub(crate) fn dense_history_keeps_its_witness() {
    let operations = checks("dense", 11, 12_000, &mut Rng::with_seed(2));
    let page = page_of(&checker(&["10/1m"]), &operations);
    assert!(page.contains("class=\"many a\""), "no density");
    assert_eq!(
        page.matches("<path class=\"a p\"").count(),
        11 + 1,
        "and one in the legend"
    );
    assert!(page.len() < 200_000, "{} bytes", page.len());
}

/// A scorecard of so many faults, each with a thousand checks: its page and its summary.
pub(crate) fn scorecard_of(faults: usize) -> (String, String) {
    let noise = &mut Rng::with_seed(3);
    let checker = checker(&["10/1m"]);
    let band = |start, end| TimeBand {
        start: ms(start),
        end: ms(end),
    };
    let (mut trials, mut operations) = (Vec::new(), Vec::new());
    for n in 0..faults {
        let broken = n % 5 == 0;
        operations.push(checks("k", if broken { 20 } else { 10 }, 980, noise));
        let cell = |&property: &CellProperty| {
            let verdict = match (property, n % 4) {
                (CellProperty::Excess, _) if broken => CellVerdict::Broken,
                (CellProperty::Growth, 1) => CellVerdict::NotRun,
                (CellProperty::Fields, 2) => CellVerdict::NoEffect,
                (CellProperty::Answers, 3) => CellVerdict::Undecided,
                _ => CellVerdict::Held,
            };
            Cell {
                property,
                verdict,
                reason: format!("the reason of this verdict {HOSTILE}"),
                figures: vec![CellFigure::new("admitted", 20.0, 10.0)],
            }
        };
        trials.push(FaultTrial {
            fault: format!("writes-held-{n}"),
            about: "the store postpones writes".into(),
            requested: Some(band(500, 2_000)),
            measured: Some(band(520, 2_100)),
            effects: vec![CellFigure::new("commands held", 40.0, None)],
            history: Some(format!("histories/{n}.jsonl")),
            history_sha256: Some("0123456789abcdef".into()),
            counts: (0..20)
                .map(|i| StoreCount {
                    at: ms(i * 250),
                    key: "k".into(),
                    count: Some(12),
                })
                .collect(),
            cells: CellProperty::all().iter().map(cell).collect(),
            repeat: vec![
                "torture".into(),
                "--cell".into(),
                format!("writes-held-{n}"),
            ],
        });
    }
    let card = Scorecard {
        version: SCORECARD_VERSION,
        tool: "ratelimiter-verify 0".into(),
        platform: "linux".into(),
        date: "2026-01-01T00:00:00Z".into(),
        system: format!("three nodes {HOSTILE}"),
        store: Some("redis 7".into()),
        promise: vec!["10/1m".into()],
        policy: Some("deny".into()),
        seed: 7,
        command: vec!["torture".into(), "limiter.toml".into()],
        planned: faults + 2,
        partial: Some("interrupted".into()),
        trials,
    };
    let before = Scorecard {
        trials: card
            .trials
            .iter()
            .map(|trial| {
                let mut trial = trial.clone();
                trial.cells[0].verdict = CellVerdict::Undecided;
                trial
            })
            .take(3)
            .collect(),
        ..card.clone()
    };
    let changes = card.against(&before);
    (
        scorecard_page(&card, &operations, &checker, &changes),
        scorecard_summary(&card, &changes),
    )
}
