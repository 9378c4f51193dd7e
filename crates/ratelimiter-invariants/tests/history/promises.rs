//! Limiters of every promise in virtual time: a correct one is never accused, and each defect is,
//! for its own reason.

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;
use ratelimiter_api::{Operation, Outcome};

use crate::operation;
use crate::traffic::{Call, Micros, Model, Reason, TRAFFIC, Traffic, held_to, judge, reasons};

/// Costs of admissions in a sliding window.
#[derive(Default)]
struct Log(VecDeque<(Micros, u64)>);

impl Log {
    fn cost(&mut self, now: Micros, window: Micros) -> u64 {
        self.0.retain(|(at, _)| at + window > now);
        self.0.iter().map(|entry| entry.1).sum()
    }
}

/// Two limits: one of each key, one of each user.
struct TwoLimits {
    defect: Option<TwoDefect>,
    inner: BTreeMap<(usize, u32), Log>,
    outer: BTreeMap<(usize, u32), Log>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TwoDefect {
    ForgetsTheOuter,
    ForgetsTheInner,
    ChargesTheOuterForInnerDenials,
    SharesTheOuterBetweenUsers,
    CountsTheOuterByKey,
}

impl Model for TwoLimits {
    fn ask(&mut self, now: Micros, call: &Call) -> Option<Micros> {
        use TwoDefect::*;
        let key = (call.user, call.key);
        let user = match self.defect {
            Some(SharesTheOuterBetweenUsers) => (0, 0),
            Some(CountsTheOuterByKey) => key,
            _ => (call.user, 0),
        };
        let (inner, outer) = (
            self.inner.entry(key).or_default(),
            self.outer.entry(user).or_default(),
        );
        let inner_full = inner.cost(now, 50_000) >= 5 && self.defect != Some(ForgetsTheInner);
        let outer_full = outer.cost(now, 200_000) >= 20 && self.defect != Some(ForgetsTheOuter);
        if inner_full || outer_full {
            if !outer_full && self.defect == Some(ChargesTheOuterForInnerDenials) {
                outer.0.push_back((now, 1));
            }
            return None;
        }
        inner.0.push_back((now, 1));
        outer.0.push_back((now, 1));
        Some(0)
    }
}

#[test]
fn several_limits_by_labels_are_held() {
    use TwoDefect::*;
    let traffic = Traffic {
        calls: 600,
        lost: 1,
        ..TRAFFIC
    };
    let model = |defect, _: &mut Rng| -> Box<dyn Model> {
        let (inner, outer) = (BTreeMap::new(), BTreeMap::new());
        Box::new(TwoLimits {
            defect,
            inner,
            outer,
        })
    };
    let defects = [
        (ForgetsTheOuter, Reason::Excess),
        (ForgetsTheInner, Reason::Excess),
        (ChargesTheOuterForInnerDenials, Reason::Denials),
        (SharesTheOuterBetweenUsers, Reason::Denials),
        (CountsTheOuterByKey, Reason::Excess),
    ];
    held_to(&["5/50ms", "20/200ms by=user"], traffic, model, &defects);
}

/// Estimates from two counts.
struct TwoPeriods {
    defect: Option<PeriodDefect>,
    /// Periods begin anew after an idle one, as HAProxy's do.
    anew: bool,
    rounds_down: bool,
    start: Micros,
    counts: [[u64; 2]; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PeriodDefect {
    ForgetsThePreviousPeriod,
    CountsEachNodeAlone,
    ChargesDenials,
    NeverForgets,
}

impl Model for TwoPeriods {
    fn ask(&mut self, now: Micros, call: &Call) -> Option<Micros> {
        use PeriodDefect::*;
        let window = 100_000;
        if self.anew && now >= self.start + 2 * window {
            (self.start, self.counts) = (now, [[0; 2]; 2]);
        }
        while now >= self.start + window {
            self.start += window;
            for counts in &mut self.counts {
                *counts = [counts[1], 0];
                if self.defect == Some(NeverForgets) {
                    counts[0] = counts[0].max(8);
                }
            }
        }
        let node = if self.defect == Some(CountsEachNodeAlone) {
            call.node
        } else {
            0
        };
        let [previous, current] = &mut self.counts[node];
        let into = now - self.start;
        let share = match self.defect {
            Some(ForgetsThePreviousPeriod) => 0,
            _ => window - into,
        };
        let weight = *previous * share;
        let estimate = if self.rounds_down {
            weight / window * window
        } else {
            weight
        };
        let allowed = estimate + (*current + call.cost) * window <= 10 * window;
        if allowed || self.defect == Some(ChargesDenials) {
            *current += call.cost;
        }
        allowed.then_some(0)
    }
}

#[test]
fn estimates_from_two_periods_are_held() {
    use PeriodDefect::*;
    let model = |defect, noise: &mut Rng| -> Box<dyn Model> {
        Box::new(TwoPeriods {
            defect,
            anew: noise.bool(),
            rounds_down: noise.bool(),
            start: noise.u64(..100_000),
            counts: [[0; 2]; 2],
        })
    };
    let defects = [
        (ForgetsThePreviousPeriod, Reason::Excess),
        (CountsEachNodeAlone, Reason::Excess),
        (ChargesDenials, Reason::Denials),
        (NeverForgets, Reason::Denials),
    ];
    let traffic = Traffic { cost: 2, ..TRAFFIC };
    held_to(&["10/100ms two-period by=all"], traffic, model, &defects);
}

/// Places for calls.
struct Places {
    defect: Option<PlaceDefect>,
    taken: [u64; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlaceDefect {
    OneTooMany,
    CountsEachNodeAlone,
    KeepsPlacesAtTimes,
    DenialsTakePlaces,
    ReturnsEarly,
}

impl Model for Places {
    fn ask(&mut self, _: Micros, call: &Call) -> Option<Micros> {
        use PlaceDefect::*;
        let node = if self.defect == Some(CountsEachNodeAlone) {
            call.node
        } else {
            0
        };
        let most = if self.defect == Some(OneTooMany) {
            6
        } else {
            5
        };
        let allowed = self.taken[node] < most;
        if allowed && self.defect != Some(ReturnsEarly)
            || !allowed && self.defect == Some(DenialsTakePlaces)
        {
            self.taken[node] += 1;
        }
        allowed.then_some(0)
    }

    fn end(&mut self, now: Micros, call: &Call, _: Micros, _: bool) {
        use PlaceDefect::*;
        let node = if self.defect == Some(CountsEachNodeAlone) {
            call.node
        } else {
            0
        };
        let kept = self.defect == Some(KeepsPlacesAtTimes) && now.is_multiple_of(8);
        if !kept && self.defect != Some(ReturnsEarly) {
            self.taken[node] -= 1;
        }
    }
}

#[test]
fn calls_in_flight_are_held() {
    use PlaceDefect::*;
    let model = |defect, _: &mut Rng| -> Box<dyn Model> {
        Box::new(Places {
            defect,
            taken: [0; 2],
        })
    };
    let traffic = Traffic {
        work: 60_000,
        settles: 5_000,
        ..TRAFFIC
    };
    let defects = [
        (OneTooMany, Reason::Excess),
        (CountsEachNodeAlone, Reason::Excess),
        (ReturnsEarly, Reason::Excess),
        (KeepsPlacesAtTimes, Reason::Denials),
        (DenialsTakePlaces, Reason::Denials),
    ];
    held_to(
        &["5 in-flight returns=5ms lease=200ms by=all"],
        traffic,
        model,
        &defects,
    );
}

/// Costs settled after the call, or reserved before it.
struct Settling {
    defect: Option<SettleDefect>,
    reserves: bool,
    limit: u64,
    /// Windows that begin with the first check after the last one ended, or else sliding ones.
    fixed: bool,
    start: Micros,
    entries: Vec<(Micros, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SettleDefect {
    SettlesNothing,
    SettlesTwice,
    KeepsTheRest,
    ReservesNothing,
    HasTwiceTheLimit,
    NeverForgets,
}

impl Settling {
    fn add(&mut self, at: Micros, cost: u64) {
        self.entries.push((at, cost));
    }
}

impl Model for Settling {
    fn ask(&mut self, now: Micros, call: &Call) -> Option<Micros> {
        use SettleDefect::*;
        let window = 200_000;
        if self.fixed && now >= self.start + window {
            self.start = now;
            if self.defect != Some(NeverForgets) {
                self.entries.clear();
            }
        } else if !self.fixed && self.defect != Some(NeverForgets) {
            self.entries.retain(|(at, _)| at + window > now);
        }
        let twice = self.defect == Some(HasTwiceTheLimit);
        let limit = if twice { 2 * self.limit } else { self.limit };
        let held: u64 = self.entries.iter().map(|entry| entry.1).sum();
        let allowed = if self.reserves {
            held + call.cost <= limit
        } else {
            held < limit
        };
        if allowed && self.reserves && self.defect != Some(ReservesNothing) {
            self.add(now, call.cost);
        }
        allowed.then_some(0)
    }

    fn end(&mut self, now: Micros, call: &Call, admitted: Micros, _: bool) {
        use SettleDefect::*;
        if self.reserves {
            let place = self
                .entries
                .iter()
                .position(|entry| *entry == (admitted, call.cost));
            match (place, self.defect) {
                (_, Some(KeepsTheRest | SettlesNothing)) => {}
                (Some(place), _) => self.entries[place].1 = call.used,
                (None, Some(ReservesNothing)) => self.add(now, call.used),
                (None, _) => {}
            }
            return;
        }
        match self.defect {
            Some(SettlesNothing) => {}
            Some(SettlesTwice) => self.add(now, 2 * call.used),
            _ => self.add(now, call.used),
        }
    }
}

/// Limiters of costs that are known after the call, at most `limit` in 200 ms.
fn settling(
    reserves: bool,
    limit: u64,
    windows: &[bool],
) -> impl Fn(Option<SettleDefect>, &mut Rng) -> Box<dyn Model> {
    move |defect, noise| {
        Box::new(Settling {
            defect,
            reserves,
            limit,
            fixed: windows[noise.usize(..windows.len())],
            start: 0,
            entries: Vec::new(),
        })
    }
}

const FIXED_OR_SLIDING: &[bool] = &[true, false];
const SLIDING: &[bool] = &[false];

#[test]
fn costs_settled_after_calls_are_held() {
    use SettleDefect::*;
    let traffic = Traffic {
        work: 5_000,
        settles: 2_000,
        used: 4,
        calls: 400,
        ..TRAFFIC
    };
    let defects = [
        (SettlesNothing, Reason::Excess),
        (SettlesTwice, Reason::Denials),
        (NeverForgets, Reason::Denials),
        (HasTwiceTheLimit, Reason::Excess),
    ];
    let limit = "charge=after settles=2ms lease=100ms by=all";
    let sliding = format!("30/200ms {limit}");
    held_to(&[&sliding], traffic, settling(false, 30, SLIDING), &defects);
    // Two windows of a fixed form may hold twice the limit side by side.
    let fixed = format!("30/200ms fixed {limit}");
    let model = settling(false, 30, FIXED_OR_SLIDING);
    held_to(&[&fixed], traffic, model, &defects[..3]);
}

#[test]
fn reserved_costs_are_held() {
    use SettleDefect::*;
    let defects = [
        (ReservesNothing, Reason::Excess),
        (HasTwiceTheLimit, Reason::Excess),
        (KeepsTheRest, Reason::Denials),
        (NeverForgets, Reason::Denials),
    ];
    // Much is asked for at once and little of it used.
    let traffic = Traffic {
        work: 60_000,
        settles: 10_000,
        cost: 20,
        used: 1,
        ..TRAFFIC
    };
    let limit = "charge=reserved settles=10ms lease=100ms by=all";
    let sliding = format!("100/200ms {limit}");
    held_to(&[&sliding], traffic, settling(true, 100, SLIDING), &defects);
    // Two windows share the calls of an instant, so that less is proved of fixed ones.
    let fixed = format!("100/200ms fixed {limit}");
    let defects = [
        (ReservesNothing, Reason::Excess),
        (KeepsTheRest, Reason::Denials),
    ];
    held_to(
        &[&fixed],
        traffic,
        settling(true, 100, FIXED_OR_SLIDING),
        &defects,
    );
}

/// A queue that releases calls at a rate.
struct Queue {
    defect: Option<QueueDefect>,
    /// The instant at which the next call is released.
    next: Micros,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QueueDefect {
    ReleasesTwiceAsFast,
    ReleasesAtOnce,
    DeniesInsteadOfWaiting,
    WaitsLonger,
    ChargesDenials,
}

impl Model for Queue {
    fn ask(&mut self, now: Micros, _: &Call) -> Option<Micros> {
        use QueueDefect::*;
        let gap = match self.defect {
            Some(ReleasesTwiceAsFast) => 5_000,
            _ => 10_000,
        };
        let longest = match self.defect {
            Some(DeniesInsteadOfWaiting) => 0,
            Some(WaitsLonger) => 150_000,
            _ => 60_000,
        };
        let release = self.next.max(now);
        if release - now > longest {
            if self.defect == Some(ChargesDenials) {
                self.next = release + gap;
            }
            return None;
        }
        self.next = release + gap;
        Some(if self.defect == Some(ReleasesAtOnce) {
            0
        } else {
            release - now
        })
    }
}

#[test]
fn paced_calls_are_held() {
    use QueueDefect::*;
    let model = |defect, _: &mut Rng| -> Box<dyn Model> { Box::new(Queue { defect, next: 0 }) };
    let defects = [
        (ReleasesTwiceAsFast, Reason::Excess),
        (ReleasesAtOnce, Reason::Excess),
        (DeniesInsteadOfWaiting, Reason::Denials),
        (ChargesDenials, Reason::Denials),
        (WaitsLonger, Reason::Waits),
    ];
    // The longest wait as a caller sees it, its request and answer included.
    held_to(&["1/10ms paced wait=64ms by=all"], TRAFFIC, model, &defects);
}

#[test]
fn stated_slack_excuses_and_no_more() {
    let burst = |count: u64| -> Vec<Operation> {
        let op = |n: u64| {
            operation(
                if n < count {
                    Outcome::Allowed
                } else {
                    Outcome::Denied
                },
                0,
                n,
                n,
            )
        };
        (0..30).map(op).collect()
    };
    for (limit, count, expected) in [
        ("20/1s within=10%", 22, &[][..]),
        ("20/1s within=10%", 23, &[Reason::Excess]),
        ("20/1s within=10%", 18, &[]),
        ("20/1s within=10%", 17, &[Reason::Denials]),
        ("20/1s", 21, &[Reason::Excess]),
        ("20/1s", 19, &[Reason::Denials]),
    ] {
        let report = judge(&[limit], &burst(count));
        assert_eq!(reasons(&report), expected, "{limit}, {count}: {report}");
    }
}

#[test]
fn denials_are_said_to_be_charged() {
    // One admission a second is promised; asked each half second, a limiter that charges denials
    // admits nothing after the first.
    let op = |n: u64| {
        operation(
            if n == 0 {
                Outcome::Allowed
            } else {
                Outcome::Denied
            },
            0,
            500 * n,
            500 * n,
        )
    };
    let history: Vec<Operation> = (0..8).map(op).collect();
    let report = judge(&["1/1s"], &history);
    assert_eq!(reasons(&report), [Reason::Denials]);
    assert!(report.denied_seem_charged);
    assert!(reasons(&judge(&["1/1s charge=all"], &history)).is_empty());
    // Nothing charges a check two windows after the last one.
    let late = [
        history[0].clone(),
        operation(Outcome::Denied, 0, 3_000, 3_000),
    ];
    assert!(!judge(&["1/1s"], &late).denied_seem_charged);
}
