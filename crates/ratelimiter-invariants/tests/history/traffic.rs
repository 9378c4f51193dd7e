//! Traffic in virtual time: late requests and answers, losses, overtaking and late settlement.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use fastrand::Rng;
use ratelimiter_api::{Key, Operation, Outcome};
use ratelimiter_invariants::{Contract, History, HistoryChecker, Promise, Report, Verdict};

use crate::operation;

/// A time of the limiter, microseconds.
pub(crate) type Micros = u64;

/// One call as the limiter sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) node: usize,
    pub(crate) user: usize,
    /// Number of the key among those of the user.
    pub(crate) key: u32,
    pub(crate) cost: u64,
    pub(crate) used: u64,
    pub(crate) held: Micros,
}

/// A limiter that is asked at one instant within each call.
pub(crate) trait Model {
    /// The wait until the call is released, if it is admitted.
    fn ask(&mut self, now: Micros, call: &Call) -> Option<Micros>;

    /// The cost used is settled, the place is returned. `lost` where the caller has no answer.
    fn end(&mut self, _now: Micros, _call: &Call, _admitted: Micros, _lost: bool) {}
}

/// The traffic of a history.
#[derive(Clone, Copy)]
pub(crate) struct Traffic {
    /// Time in which about the limit is used.
    pub(crate) window: Micros,
    /// Longest way of a request, or of an answer.
    pub(crate) latency: Micros,
    /// Longest time that a call takes.
    pub(crate) work: Micros,
    /// Longest time from the end of a call to its settlement.
    pub(crate) settles: Micros,
    /// Share of the requests and of the answers that are lost, percent.
    pub(crate) lost: u64,
    pub(crate) cost: u64,
    pub(crate) used: u64,
    pub(crate) calls: u32,
}

const DEADLINE: Micros = 3_000_000;

pub(crate) fn play(model: &mut dyn Model, traffic: Traffic, noise: &mut Rng) -> Vec<Operation> {
    let mut now = traffic.window + DEADLINE;
    let mut ends: BinaryHeap<Reverse<(Micros, usize)>> = BinaryHeap::new();
    let mut running: Vec<(Call, Micros, bool)> = Vec::new();
    let mut operations = Vec::new();
    for n in 0..traffic.calls {
        // Bursts, and pauses between them; at times a rest after which all quota is back.
        now += match noise.u8(..40) {
            0 => 3 * traffic.window,
            1..8 => noise.u64(..traffic.window / 2),
            _ => noise.u64(..traffic.window / 40),
        };
        while let Some(Reverse((at, place))) = ends.peek().copied().filter(|end| end.0.0 <= now) {
            ends.pop();
            let (call, admitted, lost) = running[place];
            model.end(at, &call, admitted, lost);
        }
        let call = Call {
            node: noise.usize(..2),
            user: noise.usize(..2),
            key: n % 3,
            cost: noise.u64(1..=traffic.cost),
            used: noise.u64(..=traffic.used),
            held: traffic.work / 2 + noise.u64(..=traffic.work / 2),
        };
        let [request_lost, answer_lost] = [(); 2].map(|()| noise.u64(..100) < traffic.lost);
        let invoke = now - noise.u64(..traffic.latency);
        let decision = if request_lost {
            None
        } else {
            model.ask(now, &call)
        };
        let done = now + decision.map_or(0, |wait| wait + call.held);
        if decision.is_some() {
            ends.push(Reverse((
                done + noise.u64(..=traffic.settles),
                running.len(),
            )));
            running.push((call, now, answer_lost));
        }
        let outcome = match (request_lost || answer_lost, decision) {
            (true, _) => Outcome::Unknown,
            (false, Some(_)) => Outcome::Allowed,
            (false, None) => Outcome::Denied,
        };
        let complete = match outcome {
            Outcome::Unknown => invoke + DEADLINE,
            _ => done + noise.u64(..traffic.latency),
        };
        let mut op = operation(outcome, call.node, 0, 0)
            .costing(call.cost as u32)
            .labelled("user", ["a", "b"][call.user]);
        op.key = Key::new(format!("{}-{}", call.user, call.key)).unwrap();
        op.invoke = Duration::from_micros(invoke);
        op.complete = Duration::from_micros(complete);
        if outcome == Outcome::Allowed {
            op.used = (traffic.used > 0).then_some(call.used as u32);
            op.held = Duration::from_micros(call.held);
        }
        operations.push(op);
    }
    operations
}

/// The accusations of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    Excess,
    Denials,
    Waits,
}

pub(crate) fn reasons(report: &Report) -> Vec<Reason> {
    let broken = |limit: &Report| matches!(limit.verdict, Verdict::Violated(_));
    let waits = |limit: &Report| limit.waits.is_some();
    let excess = report.by_limit().any(broken).then_some(Reason::Excess);
    let denials = (!report.unjustified_denials.is_empty()).then_some(Reason::Denials);
    let waits = report.by_limit().any(waits).then_some(Reason::Waits);
    [excess, denials, waits].into_iter().flatten().collect()
}

pub(crate) fn judge(limits: &[&str], operations: &[Operation]) -> Report {
    let mut limits = limits.iter().map(|text| text.parse::<Contract>().unwrap());
    let first = limits.next().unwrap();
    HistoryChecker::new(Promise::new(first, limits))
        .uncertainty(Duration::from_micros(1))
        .check(&History::try_from(operations).unwrap())
}

/// A defect, and the accusation that it deserves.
pub(crate) type Deserved<D> = (D, Reason);

/// Plays a correct limiter with 200 seeds, and each defect until it is accused.
pub(crate) fn held_to<D: Copy + std::fmt::Debug>(
    limits: &[&str],
    traffic: Traffic,
    model: impl Fn(Option<D>, &mut Rng) -> Box<dyn Model>,
    defects: &[Deserved<D>],
) {
    let mut passed = 0;
    for seed in 0..200 {
        let mut noise = Rng::with_seed(seed);
        let mut correct = model(None, &mut noise);
        let report = judge(limits, &play(&mut *correct, traffic, &mut noise));
        assert!(
            reasons(&report).is_empty(),
            "{limits:?}, seed {seed}: {report}"
        );
        passed += u32::from(report.is_clean());
    }
    println!("{limits:?}: {passed} of 200 passed");
    for &(defect, deserved) in defects {
        let mut found = 0;
        for seed in 0..20 {
            let mut noise = Rng::with_seed(seed);
            let mut wrong = model(Some(defect), &mut noise);
            let traffic = Traffic { lost: 0, ..traffic };
            let report = judge(limits, &play(&mut *wrong, traffic, &mut noise));
            let reasons = reasons(&report);
            assert!(
                reasons.iter().all(|reason| *reason == deserved),
                "{limits:?} {defect:?}, seed {seed}: {reasons:?} {report}"
            );
            found += u32::from(!reasons.is_empty());
        }
        assert!(
            found >= 10,
            "{limits:?} {defect:?}: accused in {found} of 20"
        );
    }
}

pub(crate) const TRAFFIC: Traffic = Traffic {
    window: 100_000,
    latency: 2_000,
    work: 0,
    settles: 0,
    lost: 3,
    cost: 1,
    used: 0,
    calls: 250,
};
