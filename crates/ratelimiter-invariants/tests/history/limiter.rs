//! Histories of a limiter that decides at one instant within each operation, and is right.

use std::collections::VecDeque;
use std::time::Duration;

use fastrand::Rng;
use proptest::prelude::*;
use ratelimiter_api::{Operation, Outcome};
use ratelimiter_invariants::{
    Contract, ContractKind, History, HistoryChecker, Verdict, check_history,
};

use crate::{contract, ms, operation};

#[derive(Clone, Debug)]
struct Check {
    gap: u64,
    before: u64,
    after: u64,
    node: usize,
    answered: bool,
}

fn checks(latency: u64, always_answered: bool) -> impl Strategy<Value = Vec<Check>> {
    let answered = if always_answered {
        Just(true).boxed()
    } else {
        prop::bool::weighted(0.9).boxed()
    };
    let one = (0..40_u64, 0..=latency, 0..=latency, 0..3_usize, answered).prop_map(
        |(gap, before, after, node, answered)| Check {
            gap,
            before,
            after,
            node,
            answered,
        },
    );
    prop::collection::vec(one, 1..300)
}

/// The records of the callers of a sliding-window limiter.
fn history(checks: &[Check], max: u32, window: u64) -> Vec<Operation> {
    let mut now = 1_000;
    let mut admitted: Vec<u64> = Vec::new();
    let record = |check: &Check| {
        now += check.gap;
        let allowed = admitted.iter().filter(|&&at| now < at + window).count() < max as usize;
        if allowed {
            admitted.push(now);
        }
        let outcome = match (check.answered, allowed) {
            (false, _) => Outcome::Unknown,
            (true, true) => Outcome::Allowed,
            (true, false) => Outcome::Denied,
        };
        operation(outcome, check.node, now - check.before, now + check.after)
    };
    checks.iter().map(record).collect()
}

proptest! {
    #[test]
    fn is_never_accused(checks in checks(60, false), max in 1..20_u32, window in 1..500_u64) {
        let report = check_history(&history(&checks, max, window), contract(max, window)).unwrap();
        prop_assert!(!matches!(report.verdict, Verdict::Violated(_)), "{report}");
        prop_assert!(report.unjustified_denials.is_empty(), "{report}");
    }

    #[test]
    fn passes_when_its_answers_take_no_time(
        checks in checks(0, true),
        max in 1..20_u32,
        window in 1..500_u64,
    ) {
        let report = check_history(&history(&checks, max, window), contract(max, window)).unwrap();
        prop_assert!(report.is_clean(), "{report}");
    }

    #[test]
    fn one_excess_admission_yields_witness_of_limit_plus_one(
        checks in checks(60, false),
        max in 1..20_u32,
        window in 100..500_u64,
        nodes in 1..4_usize,
    ) {
        let mut operations = history(&checks, max, window);
        let last = operations.iter().map(|op| ms(op.complete)).max().unwrap();
        // far from everything else, a full window and one more
        let begin = last + 2 * window;
        let burst = (0..=max).map(|n| {
            operation(
                Outcome::Allowed,
                n as usize % nodes,
                begin + u64::from(n),
                begin + 50,
            )
        });
        let burst: Vec<_> = burst.collect();
        operations.splice(0..0, burst.iter().cloned());

        let report = check_history(&operations, contract(max, window)).unwrap();
        let Verdict::Violated(witness) = report.verdict else {
            panic!("{report}")
        };
        prop_assert_eq!(witness.operations, burst);
        prop_assert_eq!(report.definite_peak, u64::from(max) + 1);
    }

    #[test]
    fn denials_before_complete_history_are_not_judged(
        checks in checks(60, false),
        cut in 0..300_usize,
        max in 1..20_u32,
        window in 1..500_u64,
    ) {
        let whole = history(&checks, max, window);
        let seen = &whole[cut.min(whole.len())..];
        // all decisions since the last one that was cut off have been seen
        let since: u64 = 1_000 + checks.iter().take(cut).map(|check| check.gap).sum::<u64>();
        let checker =
            HistoryChecker::new(contract(max, window)).complete_since(Duration::from_millis(since));
        let report = checker.check(&seen.try_into().unwrap());
        prop_assert!(report.unjustified_denials.is_empty(), "{report}");
    }
}

/// The form of a correct limiter, and the kind of its windows.
#[derive(Clone, Copy, Debug)]
enum Form {
    Sliding,
    TokenBucket,
    /// Windows of one clock.
    Grid,
    /// Windows that begin with the first check after the last one ended.
    FirstCheck,
    /// Windows of a timer of the key, which is late at times.
    Timer,
}

/// One key of a correct limiter; times in microseconds on its own clock.
struct CorrectLimiter {
    form: Form,
    max: u64,
    window: u64,
    /// The last edge of the windows.
    edge: u64,
    /// Length of the running window.
    length: u64,
    log: VecDeque<(u64, u64)>,
}

impl CorrectLimiter {
    fn allows(&mut self, now: u64, cost: u64, noise: &mut Rng) -> bool {
        match self.form {
            Form::Sliding => self.log.retain(|(at, _)| at + self.window > now),
            Form::TokenBucket => {}
            Form::FirstCheck if now >= self.edge + self.window => {
                self.edge = now;
                self.log.clear();
            }
            Form::FirstCheck => {}
            Form::Grid | Form::Timer => {
                while now >= self.edge + self.length {
                    self.edge += self.length;
                    self.log.clear();
                    if matches!(self.form, Form::Timer) {
                        self.length = self.window + noise.u64(..self.window);
                    }
                }
            }
        }
        let allowed = if matches!(self.form, Form::TokenBucket) {
            // The tokens needed so far, in tokens times the window.
            let refill = |from: u64| u128::from(self.max) * u128::from(now - from);
            let mut used = u128::from(cost);
            self.log.iter().rev().all(|&(at, cost)| {
                used += u128::from(cost);
                let bound = u128::from(self.max) * u128::from(self.window) + refill(at);
                used * u128::from(self.window) <= bound
            }) && cost <= self.max
        } else {
            self.log.iter().map(|(_, cost)| cost).sum::<u64>() + cost <= self.max
        };
        if allowed {
            self.log.push_back((now, cost));
        }
        allowed
    }
}

/// The callers' records of a few keys of one correct limiter, whose clock is up to 100 ppm off: the
/// histories, and the limiter.
fn records(form: Form, noise: &mut Rng) -> (Vec<Vec<Operation>>, u64, u64) {
    let (max, window) = (noise.u64(3..30), noise.u64(20..2_000) * 1_000);
    let edge = noise.u64(..window);
    let ppm = noise.i64(-100..=100);
    let latency = noise.u64(1..window / 4);
    let lost = noise.f64() * 0.1;
    let mut key = |start: u64| {
        let mut limiter = CorrectLimiter {
            form,
            max,
            window,
            edge,
            length: window,
            log: VecDeque::new(),
        };
        let mut now = start + window;
        let check = |_| {
            // Bursts, and pauses between them.
            let burst = noise.u8(..3) > 0;
            now += if burst {
                noise.u64(..100)
            } else {
                noise.u64(..window / 2)
            };
            let cost = noise.u64(1..4);
            let outcome = match (noise.f64() < lost, limiter.allows(now, cost, noise)) {
                (true, _) => Outcome::Unknown,
                (false, true) => Outcome::Allowed,
                (false, false) => Outcome::Denied,
            };
            let ours = now.saturating_add_signed(now.cast_signed() / 1_000_000 * ppm);
            // Late requests and late answers: checks overtake each other.
            let (invoke, complete) = (ours - noise.u64(..latency), ours + noise.u64(..latency));
            let mut check = operation(outcome, noise.usize(..3), 0, 0).costing(cost as u32);
            check.invoke = Duration::from_micros(invoke);
            check.complete = Duration::from_micros(complete);
            check
        };
        (0..100).map(check).collect()
    };
    let keys = (0..3).map(|n| key(n * 20 * window)).collect();
    (keys, max, window)
}

#[test]
fn correct_limiters_of_every_form_are_never_accused() {
    for (form, kinds) in [
        (Form::Sliding, &[ContractKind::Sliding][..]),
        (Form::TokenBucket, &[ContractKind::TokenBucket]),
        (Form::Grid, &[ContractKind::Fixed, ContractKind::Aligned]),
        (Form::FirstCheck, &[ContractKind::Fixed]),
        (Form::Timer, &[ContractKind::Fixed]),
    ] {
        for seed in 0..200 {
            let mut noise = Rng::with_seed(seed);
            let (keys, max, window) = records(form, &mut noise);
            for &kind in kinds {
                let contract = Contract::new(max as u32, Duration::from_micros(window));
                let contract = contract.unwrap().of_kind(kind);
                let checker = HistoryChecker::new(contract)
                    .clock_tolerance(100)
                    .uncertainty(Duration::from_micros(1));
                let histories: Vec<History> = keys
                    .iter()
                    .map(|key| key.as_slice().try_into().unwrap())
                    .collect();
                // A timer that is late denies longer than the contract says.
                let denies_longer = matches!(form, Form::Timer);
                for (history, key) in histories.iter().zip(&keys) {
                    let report = checker.check(history);
                    let accused = matches!(report.verdict, Verdict::Violated(_));
                    assert!(!accused, "{form:?}, seed {seed}: {report}");
                    let unjustified = !report.unjustified_denials.is_empty();
                    assert!(
                        !unjustified || denies_longer,
                        "{form:?}, seed {seed}: {report}"
                    );

                    // The second half alone begins in the middle.
                    let half = &key[key.len() / 2..];
                    let since = key[..key.len() / 2]
                        .iter()
                        .map(|op| op.complete)
                        .max()
                        .unwrap();
                    let report = checker
                        .clone()
                        .complete_since(since)
                        .check(&half.try_into().unwrap());
                    let unjustified = !report.unjustified_denials.is_empty();
                    assert!(
                        !unjustified || denies_longer,
                        "{form:?}, seed {seed}: {report}"
                    );
                }
                if kind == ContractKind::Aligned {
                    let report = checker.check_together(&histories.iter().collect::<Vec<_>>());
                    let accused = matches!(report.verdict, Verdict::Violated(_));
                    assert!(!accused, "{form:?}, seed {seed}: {report}");
                }
            }
        }
    }
}
