//! The system, in steps of ten milliseconds, and the faults it can be given.
//!
//! ```text
//!   source ──▶ w1, w2, w3 ──▶ base        pool ──▶ w1, w2, w3
//! ```
//!
//! The source sends work to the workers in turn. Each takes it from a local copy of the pool's
//! total and hands what it took to the base every 200 ms, learning the others' at the same time.
//! Nothing is written by hand: what the observer sees follows from the fault.

use std::time::Duration;

use diagnosis::{
    ActionRisk, BrokenInvariant, BuildError, Entity, Evidence, EvidenceBuilder, Mechanism,
    OperatorAction, ParamDomain, SignalRole, SignalSeries,
};
use serde_json::json;

use super::rng::Rng;

const STEP: f64 = 0.01;
const SAMPLE: f64 = 0.2;
const EXCHANGE: f64 = 0.2;
const WORKERS: [&str; 3] = ["w1", "w2", "w3"];

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    Nothing,
    /// Five times the load, with room for all of it.
    HighLoad,
    /// The base takes no more changes, for that many seconds.
    NoChanges(f64),
    /// Everything at once, in a hundredth of a second.
    Surge(u32),
    WorkerKilled(usize),
    WorkerRestarted(usize),
    BaseKilled,
    /// Every answer of the base takes this much longer, in milliseconds; workers wait for it.
    BaseSlowed(f64),
    LinkCut(usize),
    /// The pool's size is set to this.
    PoolSet(f64),
}

impl Fault {
    /// What a right answer names: entity and mechanism. `None` where nothing is wrong.
    pub(crate) fn truth(self) -> Option<(&'static str, Mechanism)> {
        Some(match self {
            Self::Nothing | Self::HighLoad => return None,
            Self::NoChanges(_) => ("base", Mechanism::StoppedAcceptingChanges),
            Self::Surge(_) => ("source", Mechanism::LoadOutranPropagation),
            Self::WorkerKilled(w) => (WORKERS[w], Mechanism::StoppedAnswering),
            Self::WorkerRestarted(w) => (WORKERS[w], Mechanism::Restarted),
            Self::BaseKilled => ("base", Mechanism::StoppedAnswering),
            Self::BaseSlowed(_) => ("base", Mechanism::SlowedDown),
            Self::LinkCut(w) => (WORKERS[w], Mechanism::LostPath),
            Self::PoolSet(_) => ("pool", Mechanism::ConfigurationChanged),
        })
    }
}

/// A run of the system.
pub(crate) struct Run {
    pub(crate) signals: Vec<SignalSeries>,
    pub(crate) violations: Vec<BrokenInvariant>,
    pub(crate) at: Duration,
}

#[derive(Clone, Default)]
struct Worker {
    total: f64,
    unsent: f64,
    sent_at: f64,
    started: f64,
    up: bool,
    taken: f64,
    known: f64,
}

struct Watch {
    invariant: &'static str,
    entity: &'static str,
    bound: f64,
    grace: f64,
    since: Option<f64>,
    told: bool,
}

impl Watch {
    fn new(entity: &'static str, invariant: &'static str, bound: f64, grace: f64) -> Self {
        Self {
            invariant,
            entity,
            bound,
            grace,
            since: None,
            told: false,
        }
    }

    fn see(&mut self, t: f64, observed: f64, violations: &mut Vec<BrokenInvariant>) {
        if observed <= self.bound {
            self.since = None;
            return;
        }
        let since = *self.since.get_or_insert(t);
        if !self.told && t - since >= self.grace - 1e-9 {
            self.told = true;
            let at = Duration::from_secs_f64(t);
            violations.push(BrokenInvariant::new(
                self.entity,
                self.invariant,
                at,
                observed,
                self.bound,
            ));
        }
    }
}

/// Runs the system for `length` seconds and breaks it at `when`.
pub(crate) fn run(seed: u64, fault: Fault, when: f64, length: f64) -> Run {
    let mut rng = Rng::new(seed);
    let mut series: Vec<SignalSeries> = declared();
    let mut watches = [
        Watch::new("pool", "totals agree", 60.0, 0.6),
        Watch::new("base", "takes changes", 0.6, 0.0),
        Watch::new("base", "answers", 0.5, 0.0),
        Watch::new("pool", "no more than the pool", 0.5, 0.0),
        Watch::new("pool", "what is held fits the pool", 0.5, 0.0),
    ];
    let mut down: Vec<Watch> = WORKERS
        .iter()
        .map(|w| Watch::new(w, "answers", 0.5, 0.0))
        .collect();
    let mut slow: Vec<Watch> = WORKERS
        .iter()
        .map(|w| Watch::new(w, "answers in time", 100.0, 5.0))
        .collect();
    let mut violations = Vec::new();

    let mut workers = vec![
        Worker {
            up: true,
            ..Worker::default()
        };
        3
    ];
    for (i, w) in workers.iter_mut().enumerate() {
        w.started = -rng.between(5.0, 300.0);
        w.sent_at = 0.06 * i as f64;
    }
    let load = rng.between(15.0, 40.0);
    let (mut held, mut turn, mut offered, mut refused) = (0.0, 0_usize, 0.0, 0.0);
    let mut pool = 5_000.0;
    let mut over = 0.0;
    let mut next_sample = SAMPLE * rng.unit();
    let mut last_sample = 0.0;
    let mut accepted_at = 0.0;
    let mut t = 0.0;
    let mut broken = false;
    while t < length {
        let began = t >= when;
        let first = began && !broken;
        broken |= began;
        let refusing = matches!(fault, Fault::NoChanges(s) if began && t < when + s);
        let base_up = !(began && fault == Fault::BaseKilled);
        let extra = match fault {
            Fault::BaseSlowed(ms) if began => ms,
            _ => 0.0,
        };
        if first {
            match fault {
                Fault::WorkerKilled(w) => workers[w].up = false,
                Fault::WorkerRestarted(w) => {
                    workers[w].up = false;
                }
                Fault::PoolSet(size) => pool = size,
                _ => {}
            }
        }
        if let Fault::WorkerRestarted(w) = fault
            && began
            && !workers[w].up
            && t >= when + 1.5
        {
            workers[w] = Worker {
                up: true,
                started: t,
                sent_at: t,
                known: held,
                ..Worker::default()
            };
        }

        // work arrives
        let factor = if fault == Fault::HighLoad && began {
            5.0
        } else {
            1.0
        };
        let mut arriving = rng.poisson(load * factor * STEP);
        let mut surge = 0.0;
        if let Fault::Surge(n) = fault
            && first
        {
            surge = f64::from(n);
            arriving += surge;
        }
        offered += arriving;
        for i in 0..arriving as usize {
            turn = (turn + 1) % 3;
            let Some(w) = (0..3).map(|k| (turn + k) % 3).find(|&w| workers[w].up) else {
                refused += 1.0;
                continue;
            };
            let worker = &mut workers[w];
            // a surge asks for a small share of its own, decided from the copy known locally
            let fits = if (i as f64) < surge {
                worker.unsent < surge / 2.0
            } else {
                worker.known < pool
            };
            if fits {
                worker.total += 1.0;
                worker.unsent += 1.0;
                worker.taken += 1.0;
            } else {
                refused += 1.0;
            }
        }
        if surge > 0.0 {
            over = surge / 2.0;
        }

        // what was taken is handed over
        let wait = EXCHANGE + 2.0 * extra / 1000.0;
        for (i, w) in workers.iter_mut().enumerate() {
            let cut = matches!(fault, Fault::LinkCut(n) if began && n == i);
            if w.up && base_up && !refusing && !cut && t - w.sent_at >= wait {
                held += w.unsent;
                w.unsent = 0.0;
                w.sent_at = t;
                w.known = held;
                accepted_at = t;
            }
        }

        if t >= next_sample {
            let dt = t - last_sample;
            last_sample = t;
            next_sample += SAMPLE + rng.between(-0.01, 0.01);
            let mut put = Put {
                series: series.iter_mut(),
                at: Duration::from_secs_f64(t),
            };
            put.next(Some(offered / dt));
            put.next(Some(refused / dt));
            for w in &mut workers {
                let seen = |v: f64| w.up.then_some(v);
                put.next(seen(w.taken / dt));
                put.next(seen(w.total));
                put.next(seen(w.unsent));
                put.next(seen(rng.lognormal(2.0, 0.35) + extra));
                put.next(seen(t - w.started));
                put.next(Some(f64::from(u8::from(w.up))));
                put.next(seen(t - w.sent_at));
                w.taken = 0.0;
            }
            let seen = |v: f64| base_up.then_some(v);
            put.next(seen(rng.lognormal(0.4, 0.3) + extra));
            put.next(Some(f64::from(u8::from(base_up))));
            put.next(seen(held));
            put.next(seen(t - accepted_at));
            put.next(Some(pool));
            (offered, refused) = (0.0, 0.0);

            let totals: f64 = workers.iter().map(|w| w.total).sum();
            let lost = matches!(fault, Fault::WorkerRestarted(_) | Fault::WorkerKilled(_)) && began;
            watches[0].see(
                t,
                if lost || !base_up {
                    0.0
                } else {
                    (totals - held).abs()
                },
                &mut violations,
            );
            watches[1].see(
                t,
                if base_up { t - accepted_at } else { 0.0 },
                &mut violations,
            );
            watches[2].see(t, f64::from(u8::from(!base_up)), &mut violations);
            watches[3].see(t, over, &mut violations);
            watches[4].see(t, (held - pool).max(0.0), &mut violations);
            for (i, w) in workers.iter().enumerate() {
                down[i].see(t, f64::from(u8::from(!w.up)), &mut violations);
                slow[i].see(t, if w.up { 2.0 + extra } else { 0.0 }, &mut violations);
            }
            over = 0.0;
        }
        t += STEP;
    }
    let at = violations
        .iter()
        .map(|v| v.t)
        .min()
        .unwrap_or(Duration::from_secs_f64(when));
    Run {
        signals: series,
        violations,
        at,
    }
}

struct Put<'a> {
    series: std::slice::IterMut<'a, SignalSeries>,
    at: Duration,
}

impl Put<'_> {
    fn next(&mut self, value: Option<f64>) {
        self.series
            .next()
            .expect("one signal for each value")
            .push(self.at, value);
    }
}

/// The signals, in the order in which they are sampled.
fn declared() -> Vec<SignalSeries> {
    let mut all = vec![
        SignalSeries::new("source", "offered", "1/s", SignalRole::Demand),
        SignalSeries::new("source", "refused", "1/s", SignalRole::Other),
    ];
    for w in WORKERS {
        all.extend([
            SignalSeries::new(w, "taken", "1/s", SignalRole::Throughput),
            SignalSeries::new(w, "own total", "", SignalRole::Volume),
            SignalSeries::new(w, "unsent", "", SignalRole::Backlog),
            SignalSeries::new(w, "p99", "ms", SignalRole::Latency),
            SignalSeries::new(w, "uptime", "s", SignalRole::Uptime),
            SignalSeries::new(w, "reachable", "", SignalRole::Availability),
            SignalSeries::new(w, "age of last hand-over", "s", SignalRole::ProgressAge),
        ]);
    }
    all.extend([
        SignalSeries::new("base", "read time", "ms", SignalRole::Latency),
        SignalSeries::new("base", "reachable", "", SignalRole::Availability),
        SignalSeries::new("base", "held", "", SignalRole::Volume),
        SignalSeries::new("base", "age of last change", "s", SignalRole::ProgressAge),
        SignalSeries::new("pool", "size", "", SignalRole::Setting),
    ]);
    all
}

/// What the owner of the system declares about it.
pub(crate) fn described(incident: &str) -> EvidenceBuilder {
    let mut builder = EvidenceBuilder::new(incident)
        .entity(Entity::new("source", "load").describes("sends work to the workers in turn"))
        .entity(
            Entity::new("base", "database")
                .called("the base")
                .describes("keeps what every worker handed over"),
        )
        .entity(Entity::new("pool", "resource").describes("what the workers share out"));
    for w in WORKERS {
        builder = builder
            .entity(
                Entity::new(w, "service")
                    .describes("takes work from the pool by its local copy of the total")
                    .propagates_every(Duration::from_secs_f64(EXCHANGE)),
            )
            .edge("source", w, "sends work to")
            .edge("pool", w, "is shared out by")
            .edge(w, "base", "hands over to");
    }
    builder
        .action(
            OperatorAction::new("release", "let the base take changes again")
                .touches("base")
                .cures(Mechanism::StoppedAcceptingChanges),
        )
        .action(
            OperatorAction::new("ask-first", "take work only after asking the base")
                .touches("pool")
                .cures(Mechanism::LoadOutranPropagation)
                .risk(ActionRisk::Medium),
        )
        .action(
            OperatorAction::new("start", "start it")
                .param(
                    "which",
                    ParamDomain::Choice {
                        options: ["w1", "w2", "w3", "base"].map(String::from).to_vec(),
                    },
                    Some(json!("base")),
                )
                .touches("base")
                .touches("w1")
                .touches("w2")
                .touches("w3")
                .cures(Mechanism::StoppedAnswering),
        )
        .action(
            OperatorAction::new("resize", "set the pool's size")
                .param(
                    "size",
                    ParamDomain::Number {
                        min: 1.0,
                        max: 10_000.0,
                    },
                    Some(json!(5_000)),
                )
                .touches("pool")
                .cures(Mechanism::ConfigurationChanged)
                .risk(ActionRisk::High)
                .irreversible(),
        )
}

/// The evidence of a run.
pub(crate) fn evidence(run: Run) -> Result<Evidence, BuildError> {
    let mut builder = described("a run");
    for series in run.signals {
        builder = builder.signal(series);
    }
    for violation in run.violations {
        builder = builder.violation(violation);
    }
    builder.build(run.at)
}
