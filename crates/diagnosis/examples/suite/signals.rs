//! Signals as they are while nothing happens, and what disturbs them without being a fault.

use std::time::Duration;

use diagnosis::{SignalRole, SignalSeries};

use crate::graph::Graph;
use crate::kind::Kind;
use crate::rng::Rng;

/// The times of a run, in seconds.
#[derive(Debug)]
pub(crate) struct Clock {
    pub(crate) every: f64,
    pub(crate) times: Vec<f64>,
    /// When the fault begins.
    pub(crate) broken: f64,
    pub(crate) noticed: f64,
    pub(crate) spliced: bool,
}

impl Clock {
    pub(crate) fn new(rng: &mut Rng, coarse: bool, spliced: bool, kind: Option<Kind>) -> Self {
        let every = if coarse {
            rng.between(10.0, 60.0)
        } else {
            rng.between(0.2, 1.0)
        };
        let (before, after) = if coarse {
            (20 + rng.below(41), 6 + rng.below(15))
        } else {
            (100 + rng.below(201), 50 + rng.below(101))
        };
        let broken = before as f64 * every;
        // a leak takes time to be noticed
        let patience = if kind == Some(Kind::Leak) {
            0.5 * after as f64
        } else {
            (0.2 * after as f64).min(10.0)
        };
        let delay = if spliced {
            0.0
        } else {
            every * rng.between(1.0, 1.0 + patience)
        };
        let times = (0..before + after)
            .map(|i| (i as f64 + 0.1 * rng.unit()) * every)
            .collect();
        Self {
            every,
            times,
            broken,
            noticed: broken + delay,
            spliced,
        }
    }
}

/// What a signal measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Measure {
    Latency,
    Errors,
    Calls,
    Cpu,
    Memory,
    /// Share of calls that succeed, in per cent.
    Success,
    Up,
    Backlog,
    ChangeAge,
    Setting,
    Uptime,
    /// Anything else that is sampled: a saw, a total, a walk, a constant.
    Nuisance(u8),
}

/// A signal with its own samples.
#[derive(Debug)]
pub(crate) struct Signal {
    pub(crate) entity: usize,
    pub(crate) measure: Measure,
    pub(crate) values: Vec<f64>,
    pub(crate) missing: Vec<bool>,
}

impl Signal {
    /// Its usual spread, to size disturbances by.
    fn spread(&self, n: usize) -> f64 {
        let mean = self.values[..n].iter().sum::<f64>() / n as f64;
        let sd = (self.values[..n]
            .iter()
            .map(|v| (v - mean).powi(2))
            .sum::<f64>()
            / n as f64)
            .sqrt();
        sd.max(0.02 * mean.abs()).max(1e-9)
    }
}

#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) all: Vec<Signal>,
    ids: Vec<String>,
}

/// A series in which each value resembles the one before by `likeness`, of spread 1.
fn wander(rng: &mut Rng, n: usize, likeness: f64) -> Vec<f64> {
    let step = (1.0 - likeness * likeness).sqrt();
    let mut at = rng.normal();
    std::iter::repeat_with(|| {
        at = likeness * at + step * rng.normal();
        at
    })
    .take(n)
    .collect()
}

impl Signals {
    pub(crate) fn normal(rng: &mut Rng, graph: &Graph, clock: &Clock) -> Self {
        let n = clock.times.len();
        let (period, phase, swing) = (
            rng.between(30.0, 400.0) * clock.every,
            rng.unit(),
            rng.between(0.0, 0.15),
        );
        let noise = wander(rng, n, 0.9);
        let level = if clock.spliced {
            rng.between(0.8, 1.25)
        } else {
            1.0
        };
        let load: Vec<f64> = (0..n)
            .map(|i| {
                let wave = (std::f64::consts::TAU * (clock.times[i] / period + phase)).sin();
                let level = if clock.times[i] < clock.broken {
                    1.0
                } else {
                    level
                };
                level * (1.0 + swing * wave + 0.02 * noise[i])
            })
            .collect();
        let mut all = Vec::new();
        for entity in 0..graph.ids.len() {
            let leaf = graph.calls[entity].is_empty();
            let mut measures = vec![
                Measure::Latency,
                Measure::Errors,
                Measure::Calls,
                Measure::Cpu,
                Measure::Memory,
            ];
            for (measure, share) in [
                (Measure::Success, 0.4),
                (Measure::Up, 0.4),
                (Measure::Backlog, 0.4),
                (Measure::ChangeAge, if leaf { 0.5 } else { 0.1 }),
                (Measure::Setting, 0.4),
                (Measure::Uptime, 0.3),
                (Measure::Nuisance(rng.below(5) as u8), 0.5),
            ] {
                if rng.chance(share) {
                    measures.push(measure);
                }
            }
            for measure in measures {
                let mut values = ordinary(rng, measure, &load, &clock.times);
                if clock.spliced && !is_flag(measure) {
                    let shift = 1.0 + 0.04 * rng.normal();
                    for (value, t) in values.iter_mut().zip(&clock.times) {
                        *value *= if *t < clock.broken { 1.0 } else { shift };
                    }
                }
                all.push(Signal {
                    entity,
                    measure,
                    missing: vec![false; n],
                    values,
                });
            }
        }
        Self {
            all,
            ids: graph.ids.clone(),
        }
    }

    pub(crate) fn of(&mut self, entity: usize, measure: Measure) -> Option<&mut Signal> {
        self.all
            .iter_mut()
            .find(|s| s.entity == entity && s.measure == measure)
    }

    pub(crate) fn has(&self, entity: usize, measure: Measure) -> bool {
        self.all
            .iter()
            .any(|s| s.entity == entity && s.measure == measure)
    }

    /// Events that are no fault: old blips, a lasting change before, faint wobbles, improvements,
    /// more calls of a leaf, small changes further down, stray and missing samples.
    pub(crate) fn disturb(
        &mut self,
        rng: &mut Rng,
        graph: &Graph,
        clock: &Clock,
        cause: Option<usize>,
    ) {
        let before = clock.times.iter().filter(|t| **t < clock.broken).count();
        let others: Vec<usize> = (0..graph.ids.len()).filter(|e| Some(*e) != cause).collect();
        for _ in 0..2 {
            if rng.chance(0.3) {
                // something came and went well before
                let entity = others[rng.below(others.len())];
                let (length, size) = (2 + rng.below(before / 10), rng.between(4.0, 20.0));
                let from = before / 4 + rng.below(before / 2);
                let measure = [Measure::Latency, Measure::Cpu, Measure::Errors][rng.below(3)];
                self.shift(
                    entity,
                    measure,
                    from..(from + length).min(before * 9 / 10),
                    size,
                );
            }
        }
        if rng.chance(0.2) {
            // a faint wobble shortly before
            let entity = rng.below(graph.ids.len());
            let (length, size) = (3 + rng.below(5), rng.between(1.0, 2.5));
            let from = before - length - rng.below(4.min(before / 8));
            self.shift(entity, Measure::Latency, from..from + length, size);
        }
        let end = clock.times.len();
        if cause.is_some() && rng.chance(0.15) {
            // an entity changed for good before, while the symptom's own signals were as ever
            let entity = others[rng.below(others.len())];
            let from = before - before / 12 - rng.below(before / 6);
            let measure = [Measure::Latency, Measure::Cpu][rng.below(2)];
            self.shift(entity, measure, from..end, rng.between(4.0, 12.0));
        }
        let leaves: Vec<usize> = others
            .iter()
            .copied()
            .filter(|e| graph.calls[*e].is_empty())
            .collect();
        if cause.is_some() && rng.chance(0.15) && !leaves.is_empty() {
            // a leaf is called more often, and passes nothing on
            let entity = leaves[rng.below(leaves.len())];
            let times = rng.between(1.4, 3.0);
            if let Some(signal) = self.of(entity, Measure::Calls) {
                signal.values[before..end]
                    .iter_mut()
                    .for_each(|v| *v *= times);
            }
        }
        if rng.chance(0.2) {
            // something got better
            let entity = others[rng.below(others.len())];
            let (from, left) = (before - rng.below(3), rng.between(0.3, 0.7));
            let measure = [Measure::Latency, Measure::Cpu, Measure::Errors][rng.below(3)];
            if let Some(signal) = self.of(entity, measure) {
                signal.values[from..end].iter_mut().for_each(|v| *v *= left);
            }
        }
        if let Some(cause) = cause
            && rng.chance(0.2)
        {
            // something further down changes a little
            let below = graph.reached(cause, &graph.calls);
            if !below.is_empty() {
                let entity = below[rng.below(below.len())].0;
                let size = rng.between(1.0, 3.0);
                let measure = [Measure::Latency, Measure::Cpu][rng.below(2)];
                self.shift(entity, measure, before..end, size);
            }
        }
        let loss = [0.0, 0.01, 0.08][rng.below(3)];
        for signal in &mut self.all {
            let strays = if rng.chance(0.1) && !is_flag(signal.measure) {
                0.005
            } else {
                0.0
            };
            let gap = rng.chance(0.05).then(|| rng.below(before));
            let spread = signal.spread(before);
            for (i, (value, missing)) in signal
                .values
                .iter_mut()
                .zip(&mut signal.missing)
                .enumerate()
            {
                if rng.unit() < strays {
                    *value += spread * rng.between(5.0, 30.0);
                }
                *missing |= rng.unit() < loss || gap.is_some_and(|g| (g..g + 4).contains(&i));
            }
        }
    }

    fn shift(&mut self, entity: usize, measure: Measure, range: std::ops::Range<usize>, size: f64) {
        if let Some(signal) = self.of(entity, measure) {
            let spread = signal.spread(range.start.max(8));
            signal.values[range]
                .iter_mut()
                .for_each(|v| *v += size * spread);
        }
    }

    pub(crate) fn sampled(self, rng: &mut Rng, clock: &Clock, roles: bool) -> Vec<SignalSeries> {
        let mut series: Vec<SignalSeries> = Vec::new();
        for signal in self.all {
            let unit = 10_f64.powi(rng.below(13) as i32 - 6);
            let role = if roles {
                role(signal.measure)
            } else {
                SignalRole::Other
            };
            let name = format!("{:?}", signal.measure).to_lowercase();
            let mut one = SignalSeries::new(&self.ids[signal.entity], name, "", role);
            for ((t, value), missing) in clock.times.iter().zip(&signal.values).zip(&signal.missing)
            {
                one.push(
                    Duration::from_secs_f64(*t),
                    (!missing).then_some(value * unit),
                );
            }
            series.push(one);
        }
        rng.shuffle(&mut series);
        series
    }
}

fn is_flag(measure: Measure) -> bool {
    matches!(
        measure,
        Measure::Up | Measure::Setting | Measure::Uptime | Measure::Success | Measure::Nuisance(0)
    )
}

fn role(measure: Measure) -> SignalRole {
    match measure {
        Measure::Latency => SignalRole::Latency,
        Measure::Errors => SignalRole::Errors,
        Measure::Calls => SignalRole::Demand,
        Measure::Cpu | Measure::Memory => SignalRole::Utilisation,
        Measure::Success | Measure::Up => SignalRole::Availability,
        Measure::Backlog => SignalRole::Backlog,
        Measure::ChangeAge => SignalRole::ProgressAge,
        Measure::Setting => SignalRole::Setting,
        Measure::Uptime => SignalRole::Uptime,
        Measure::Nuisance(_) => SignalRole::Other,
    }
}

fn ordinary(rng: &mut Rng, measure: Measure, load: &[f64], times: &[f64]) -> Vec<f64> {
    let n = load.len();
    let (level, sigma) = (rng.lognormal(10.0, 1.0), rng.between(0.03, 0.35));
    let likeness = rng.between(0.3, 0.95);
    let drift = wander(rng, n, likeness);
    match measure {
        Measure::Latency => (0..n)
            .map(|i| level * load[i].powf(0.3) * rng.lognormal(1.0, sigma))
            .collect(),
        Measure::Errors => {
            let mean = [0.0, 0.05, 0.5, 5.0][rng.below(4)];
            (0..n).map(|i| rng.poisson(mean * load[i])).collect()
        }
        Measure::Calls => (0..n).map(|i| rng.poisson(level * 5.0 * load[i])).collect(),
        Measure::Cpu => {
            let (idle, noise) = (rng.between(15.0, 45.0), rng.between(0.5, 4.0));
            (0..n)
                .map(|i| (idle * load[i] + noise * drift[i]).clamp(0.0, 100.0))
                .collect()
        }
        Measure::Memory => {
            let (used, noise) = (rng.between(20.0, 60.0), rng.between(0.05, 1.5));
            (0..n).map(|i| used + noise * drift[i]).collect()
        }
        Measure::Success => {
            // of some entities, no call fails
            let mean = [0.0, rng.between(0.02, 0.4)][rng.below(2)];
            (0..n)
                .map(|_| (100.0 - mean * rng.lognormal(1.0, 0.5)).max(0.0))
                .collect()
        }
        Measure::Up => vec![1.0; n],
        Measure::Backlog => {
            let mean = rng.between(1.0, 30.0);
            (0..n).map(|i| rng.poisson(mean * load[i])).collect()
        }
        Measure::ChangeAge => {
            let beat = rng.between(0.5, 3.0) * (times[1] - times[0]);
            (0..n).map(|_| beat * rng.unit()).collect()
        }
        Measure::Setting => vec![f64::from(1 << (3 + rng.below(5))); n],
        Measure::Uptime => {
            let before = rng.between(1e2, 1e5);
            times.iter().map(|t| before + t).collect()
        }
        Measure::Nuisance(0) => vec![level; n],
        Measure::Nuisance(1) => {
            let teeth = 5 + rng.below(25);
            (0..n)
                .map(|i| level * (1.0 + (i % teeth) as f64 / teeth as f64) + 0.1 * drift[i])
                .collect()
        }
        Measure::Nuisance(2) => {
            let mut total = level;
            let mut next = |load: f64| {
                total += rng.poisson(4.0 * load);
                total
            };
            load.iter().map(|load| next(*load)).collect()
        }
        Measure::Nuisance(3) => (0..n).map(|_| level * rng.lognormal(1.0, 1.2)).collect(),
        Measure::Nuisance(_) => {
            let mut at = level;
            let mut next = || {
                at += 0.01 * level * rng.normal();
                at
            };
            std::iter::repeat_with(&mut next).take(n).collect()
        }
    }
}
