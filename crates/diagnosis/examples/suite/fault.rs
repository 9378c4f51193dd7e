//! The fault of one entity, and its spread.

use crate::graph::Graph;
use crate::kind::Kind;
use crate::rng::Rng;
use crate::signals::{Clock, Measure, Signals};

/// How an entity is hit.
#[derive(Debug, Clone, Copy)]
struct Hit {
    entity: usize,
    from: f64,
    /// Added to the answer time, as a multiple of it.
    slower: f64,
    /// Share of calls that fail.
    failing: f64,
    /// Backlog after a second, as a multiple of the usual one.
    piling: f64,
    /// Times the usual number of calls.
    load: f64,
}

#[derive(Debug)]
pub(crate) struct Effects {
    pub(crate) cause: usize,
    kind: Kind,
    hits: Vec<Hit>,
    times: Vec<f64>,
    every: f64,
}

impl Effects {
    pub(crate) fn new(
        rng: &mut Rng,
        graph: &Graph,
        kind: Kind,
        clock: &Clock,
        signals: &Signals,
    ) -> Self {
        let all = || (0..graph.ids.len()).collect::<Vec<_>>();
        let with = |measure| {
            all()
                .into_iter()
                .filter(|&e| signals.has(e, measure))
                .collect::<Vec<_>>()
        };
        let candidates = match kind {
            Kind::Surge => graph.roots(),
            Kind::Setting => with(Measure::Setting),
            Kind::Stuck => [with(Measure::Backlog), with(Measure::ChangeAge)].concat(),
            _ => all(),
        };
        let candidates = if candidates.is_empty() {
            all()
        } else {
            candidates
        };
        let cause = candidates[rng.below(candidates.len())];
        let mut first = Hit {
            entity: cause,
            from: clock.broken,
            slower: 0.0,
            failing: 0.0,
            piling: 0.0,
            load: 1.0,
        };
        match kind {
            Kind::Slow => first.slower = rng.lognormal(2.0, 0.7),
            Kind::Hog => first.slower = rng.lognormal(0.8, 0.5),
            Kind::Leak | Kind::Setting => first.slower = rng.lognormal(1.5, 0.6),
            Kind::Down => first.failing = rng.between(0.5, 1.0),
            Kind::Failing => first.failing = rng.between(0.03, 0.5),
            Kind::Stuck => first.piling = rng.between(0.5, 4.0),
            Kind::Surge => {
                first.load = rng.between(2.0, 6.0);
                first.slower = rng.between(0.0, 1.0);
            }
        }
        let mut hits = vec![first];
        let (load, start) = (first.load, cause);
        if kind == Kind::Surge {
            for (entity, from) in graph.reached(start, &graph.calls) {
                let Some(above) = hits.iter().find(|h| h.entity == from).copied() else {
                    continue;
                };
                let load = 1.0 + (above.load.min(load) - 1.0) * rng.between(0.5, 1.0);
                let slower = if rng.chance(0.4) {
                    rng.lognormal(1.0, 0.6)
                } else {
                    0.0
                };
                let from = above.from + lag(rng, clock);
                hits.push(Hit {
                    entity,
                    from,
                    slower,
                    load,
                    ..above
                });
            }
        } else {
            for (entity, from) in graph.reached(start, &graph.called_by) {
                let Some(below) = hits.iter().find(|h| h.entity == from).copied() else {
                    continue;
                };
                if !rng.chance(0.85) {
                    continue;
                }
                let share = rng.between(0.2, 0.9);
                let from = below.from + lag(rng, clock);
                hits.push(Hit {
                    entity,
                    from,
                    slower: share * below.slower
                        + if kind == Kind::Down {
                            rng.between(0.0, 1.5) * share
                        } else {
                            0.0
                        },
                    failing: share * below.failing,
                    piling: share * below.piling,
                    load: 1.0,
                });
            }
        }
        Self {
            cause,
            kind,
            hits,
            times: clock.times.clone(),
            every: clock.every,
        }
    }

    /// Where the fault is noticed: mostly at the far end of what is hit, sometimes next to the
    /// cause.
    pub(crate) fn symptom(&self, rng: &mut Rng) -> usize {
        let near = &self.hits[1.min(self.hits.len() - 1)];
        if rng.chance(0.3) {
            near.entity
        } else {
            self.hits[self.hits.len() - 1].entity
        }
    }

    /// Changes the signals of everything that is hit.
    pub(crate) fn apply(&self, rng: &mut Rng, signals: &mut Signals) {
        for hit in &self.hits {
            let is_cause = hit.entity == self.cause;
            let full = self.times.last().copied().unwrap_or(hit.from) - hit.from;
            let ramp = |t: f64| ((t - hit.from) / full.max(1e-9)).clamp(0.0, 1.0);
            let rise = if self.kind == Kind::Leak {
                0.7 * full
            } else {
                2.0 * self.every * rng.unit()
            };
            let on = |t: f64| {
                if t < hit.from {
                    0.0
                } else {
                    ((t - hit.from) / rise.max(1e-9)).min(1.0)
                }
            };
            let strain = rng.between(0.05, 0.3);
            // a waiting caller sends less
            let fewer = if hit.slower > 0.0 && hit.load == 1.0 && rng.chance(0.3) {
                rng.between(0.05, 0.8)
            } else {
                0.0
            };
            for signal in signals.all.iter_mut().filter(|s| s.entity == hit.entity) {
                for (i, &t) in self
                    .times
                    .iter()
                    .enumerate()
                    .filter(|(_, t)| **t >= hit.from)
                {
                    let value = &mut signal.values[i];
                    match signal.measure {
                        Measure::Latency => *value *= 1.0 + hit.slower * on(t),
                        Measure::Errors => *value += rng.poisson(60.0 * hit.failing * on(t)),
                        Measure::Success => *value *= 1.0 - hit.failing * on(t),
                        Measure::Backlog => {
                            *value *= 1.0 + hit.piling * (t - hit.from) / self.every;
                        }
                        Measure::Calls => {
                            *value *= (1.0 + (hit.load - 1.0) * on(t)) * (1.0 - fewer * on(t));
                        }
                        Measure::Cpu => {
                            *value =
                                (*value * (1.0 + strain * (hit.load - 1.0) * on(t))).min(100.0);
                        }
                        _ => {}
                    }
                }
            }
            if is_cause {
                self.own(rng, signals, hit, &on, &ramp);
            }
        }
    }

    /// What only the cause itself shows.
    fn own(
        &self,
        rng: &mut Rng,
        signals: &mut Signals,
        hit: &Hit,
        on: &impl Fn(f64) -> f64,
        ramp: &impl Fn(f64) -> f64,
    ) {
        let after: Vec<(usize, f64)> = self
            .times
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, t)| *t >= hit.from)
            .collect();
        let mut set = |measure: Measure, change: &mut dyn FnMut(f64, f64) -> f64| {
            if let Some(signal) = signals.of(hit.entity, measure) {
                for &(i, t) in &after {
                    signal.values[i] = change(signal.values[i], t);
                }
            }
        };
        match self.kind {
            Kind::Hog => {
                let taken = rng.between(30.0, 60.0);
                set(Measure::Cpu, &mut |v, t| (v + taken * on(t)).min(100.0));
            }
            Kind::Leak => {
                let taken = rng.between(20.0, 60.0);
                set(Measure::Memory, &mut |v, t| {
                    (v + taken * ramp(t)).min(100.0)
                });
            }
            Kind::Stuck => set(Measure::ChangeAge, &mut |_, t| t - hit.from),
            Kind::Setting => {
                let factor = [0.25, 0.5, 2.0, 4.0][rng.below(4)];
                set(Measure::Setting, &mut |v, _| v * factor);
            }
            Kind::Down => {
                set(Measure::Up, &mut |_, _| 0.0);
                set(Measure::Calls, &mut |_, _| 0.0);
                set(Measure::Cpu, &mut |v, _| 0.1 * v);
                let silent = rng.chance(0.5);
                for signal in signals.all.iter_mut().filter(|s| s.entity == hit.entity) {
                    // what does not answer has no answer time, and mostly cannot be asked for the
                    // rest either
                    let gone = match signal.measure {
                        Measure::Latency | Measure::Uptime => true,
                        Measure::Up | Measure::Calls => false,
                        _ => silent,
                    };
                    after.iter().for_each(|&(i, _)| signal.missing[i] |= gone);
                }
            }
            Kind::Slow | Kind::Failing | Kind::Surge => {}
        }
    }
}

/// From a dependency to what depends on it.
fn lag(rng: &mut Rng, clock: &Clock) -> f64 {
    if clock.spliced {
        0.0
    } else {
        rng.between(0.1, 2.0)
    }
}
