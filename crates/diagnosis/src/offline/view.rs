//! The evidence, as the mechanisms look at it.

use std::{cmp::Ordering, ops::Deref, time::Duration};

use crate::{
    evidence::{
        BrokenInvariant, Change, ChangeShape, Direction, Evidence, EvidenceFact, EvidenceRow,
        SignalGap, SignalRole, SteadySignal,
    },
    graph::{DependencyGraph, EffectKind},
};

/// A load that rises by less is no surge.
pub(super) const SURGE: f64 = 2.0;
/// Progress is stalled, not just slower, when its age grew by this factor.
const STALLED: f64 = 4.0;
/// A change so many times beyond chance is as clear as any.
const CLEAR: f64 = 5.0;
/// A change by this factor, as a logarithm, is as large as any: about twenty times.
const LARGEST: f64 = 3.0;
/// The size of a change from nothing, of which no factor can be given.
const FROM_NOTHING: f64 = 2.5;
/// Levels may differ by this factor, as a logarithm, between two recordings.
const OTHERWISE: f64 = 0.25;

/// Rows by entity, and the graph.
pub(super) struct EvidenceView<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) graph: DependencyGraph<'a>,
    /// How far the ways of ranking can be trusted.
    pub(super) trust: RankingGrounds,
    rows: Vec<Vec<&'a EvidenceRow>>,
    changes: Vec<Vec<ChangeRow<'a>>>,
    /// How far beyond chance each entity's signals went, 0 to a little more than 1.
    pub(super) loudness: Vec<f64>,
}

/// How far the evidence itself can be relied on.
#[derive(Debug, Clone, Copy)]
pub(super) struct RankingGrounds {
    /// Dependencies connect the changes with the violations.
    pub(super) topology: bool,
    /// The changes began at different times, and not all at the very moment at which the run is
    /// cut.
    pub(super) onsets: bool,
}

/// A change with its row.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChangeRow<'a> {
    pub(super) row: &'a EvidenceRow,
    pub(super) change: &'a Change,
}

impl Deref for ChangeRow<'_> {
    type Target = Change;

    fn deref(&self) -> &Change {
        self.change
    }
}

impl<'a> EvidenceView<'a> {
    pub(super) fn new(evidence: &'a Evidence) -> Self {
        let graph = DependencyGraph::new(&evidence.topology);
        let mut rows = vec![Vec::new(); graph.len()];
        for row in &evidence.rows {
            if let Some(entity) = graph.index(row.entity()) {
                rows[entity].push(row);
            }
        }
        let telling = |row: &&'a EvidenceRow| {
            let change = row.change().filter(|c| is_material(c))?;
            // a signal that went the good way is no trouble
            let bad = change.role.bad_direction();
            bad.is_none_or(|bad| bad == change.direction)
                .then_some(ChangeRow { row, change })
        };
        let changes = rows
            .iter()
            .map(|own: &Vec<&'a EvidenceRow>| own.iter().filter_map(telling).collect())
            .collect();
        let mut view = Self {
            evidence,
            graph,
            rows,
            changes,
            loudness: Vec::new(),
            trust: RankingGrounds {
                topology: true,
                onsets: true,
            },
        };
        view.loudness = view.entities().map(|e| view.loudness_of(e)).collect();
        view.trust = view.trusted();
        view.loudness = view.entities().map(|e| view.loudness_of(e)).collect();
        view
    }

    /// How far beyond chance a change is.
    pub(super) fn loud(&self, change: &Change) -> f64 {
        loudness(change) * self.share(change)
    }

    /// How much of a change cannot be the difference between two recordings, 0 to 1.
    pub(super) fn share(&self, change: &Change) -> f64 {
        if self.trust.onsets {
            1.0
        } else {
            (size(change) / OTHERWISE).min(1.0)
        }
    }

    /// The loudest change of an entity, and a little of the next two: a cause shows in more than
    /// one way.
    fn loudness_of(&self, entity: usize) -> f64 {
        let mut all: Vec<f64> = self.changes(entity).map(|c| self.loud(c.change)).collect();
        if self.is_silent(entity) {
            all.push(1.0);
        }
        all.sort_by(|a, b| b.total_cmp(a));
        all.iter()
            .zip([1.0, 0.3, 0.1])
            .map(|(loud, share)| loud * share)
            .sum()
    }

    /// Most changes have to be connected with a violation; of many changes, some have to begin
    /// before the run is cut. Where two recordings are spliced, all do at the cut.
    fn trusted(&self) -> RankingGrounds {
        let violated: Vec<usize> = self
            .entities()
            .filter(|&e| self.violations(e).next().is_some())
            .collect();
        let near = |&e: &usize| violated.iter().any(|&v| self.graph.joined(e, v));
        let connected: f64 = self.entities().filter(near).map(|e| self.loudness[e]).sum();
        let total: f64 = self.loudness.iter().sum();
        let reports = |e: &usize| self.rows[*e].iter().any(|row| row.signal().is_some());
        // a part that nothing with signals depends on, such as one that stands for the whole, joins
        // nothing
        let joins = self
            .entities()
            .filter(reports)
            .any(|e| self.graph.below(e).iter().any(reports));
        let cut = self.evidence.spans.incident.from;
        let lasting = self
            .entities()
            .flat_map(|e| self.changes(e))
            .map(|c| c.change);
        let changes: Vec<_> = lasting.filter(|c| c.is_sustained()).collect();
        let at_cut = changes
            .iter()
            .filter(|c| c.onset >= cut && c.earliest() <= cut)
            .count();
        RankingGrounds {
            topology: joins && connected >= 0.5 * total,
            onsets: changes.len() < 2 || at_cut * 4 < changes.len() * 3,
        }
    }

    /// By how many times the entity's signals changed at most, as a logarithm.
    pub(super) fn size(&self, entity: usize) -> f64 {
        largest(self.changes(entity))
    }

    /// The same of the load that it passes on.
    pub(super) fn load_size(&self, entity: usize) -> f64 {
        let loads = self.lasting(entity, &[SignalRole::Demand]);
        largest(loads.filter(|c| c.direction == Direction::Up))
    }

    /// Every entity an effect can reach; without a topology to be trusted, it may be any.
    pub(super) fn reach(&self, entity: usize, carries: EffectKind) -> Vec<bool> {
        if self.trust.topology {
            self.graph.reach(entity, carries)
        } else {
            vec![true; self.graph.len()]
        }
    }

    /// Whether `a` may have begun before `b`, by their onsets.
    pub(super) fn may_precede(&self, a: &Change, b: &Change) -> bool {
        !self.trust.onsets || a.earliest() <= b.onset
    }

    /// Everything that `entity` depends on; without a topology to be trusted, that may be any.
    pub(super) fn below(&self, entity: usize) -> Vec<usize> {
        if self.trust.topology {
            self.graph.below(entity)
        } else {
            self.others(entity)
        }
    }

    /// Everything that depends on `entity`; without a topology to be trusted, that may be any.
    pub(super) fn above(&self, entity: usize) -> Vec<usize> {
        if self.trust.topology {
            self.graph.above(entity)
        } else {
            self.others(entity)
        }
    }

    fn others(&self, entity: usize) -> Vec<usize> {
        self.entities().filter(|&e| e != entity).collect()
    }

    pub(super) fn entities(&self) -> std::ops::Range<usize> {
        0..self.graph.len()
    }

    /// The material changes, without improvements: a role with a bad direction has only that one.
    pub(super) fn changes(&self, entity: usize) -> impl Iterator<Item = ChangeRow<'a>> {
        self.changes[entity].iter().copied()
    }

    pub(super) fn violations(
        &self,
        entity: usize,
    ) -> impl Iterator<Item = (&'a EvidenceRow, &'a BrokenInvariant)> {
        self.rows[entity].iter().filter_map(|&row| match &row.fact {
            EvidenceFact::Violation(v) => Some((row, v)),
            _ => None,
        })
    }

    pub(super) fn gaps(
        &self,
        entity: usize,
    ) -> impl Iterator<Item = (&'a EvidenceRow, &'a SignalGap)> {
        self.rows[entity].iter().filter_map(|&row| match &row.fact {
            EvidenceFact::Gap(gap) => Some((row, gap)),
            _ => None,
        })
    }

    /// The steady rows of these roles.
    pub(super) fn steady(
        &self,
        entity: usize,
        roles: &[SignalRole],
    ) -> impl Iterator<Item = (&'a EvidenceRow, &'a SteadySignal)> {
        self.rows[entity]
            .iter()
            .filter_map(move |&row| match &row.fact {
                EvidenceFact::Steady(s) if roles.contains(&s.role) => Some((row, s)),
                _ => None,
            })
    }

    /// The changes of these roles that lasted.
    pub(super) fn lasting(
        &self,
        entity: usize,
        roles: &[SignalRole],
    ) -> impl Iterator<Item = ChangeRow<'a>> {
        self.changes(entity)
            .filter(move |c| roles.contains(&c.role) && c.is_sustained())
    }

    /// The strongest of them; the earlier of equals.
    pub(super) fn strongest(&self, entity: usize, roles: &[SignalRole]) -> Option<ChangeRow<'a>> {
        strongest(self.lasting(entity, roles))
    }

    /// Whether the entity reports any of these roles, with samples or without.
    pub(super) fn reports(&self, entity: usize, roles: &[SignalRole]) -> bool {
        self.rows[entity]
            .iter()
            .any(|r| r.role().is_some_and(|role| roles.contains(&role)))
    }

    /// The change to no answers; of an entity that can no longer be measured, the change to no
    /// work.
    pub(super) fn unavailable(&self, entity: usize) -> Option<ChangeRow<'a>> {
        let idle = [SignalRole::Demand, SignalRole::Throughput];
        let stopped = |c: &ChangeRow<'a>| {
            c.direction == Direction::Down && c.extreme() <= 0.05 * c.before.median
        };
        self.lasting(entity, &[SignalRole::Availability])
            .find(|c| c.extreme() <= 0.5 * c.before.median)
            .or_else(|| {
                self.lasting(entity, &idle)
                    .find(stopped)
                    .filter(|_| self.is_silent(entity))
            })
    }

    /// Whether half of the entity's signals are no longer seen.
    fn is_silent(&self, entity: usize) -> bool {
        let signals = self.rows[entity]
            .iter()
            .filter(|r| r.signal().is_some())
            .count();
        let gone = self
            .gaps(entity)
            .filter(|(_, gap)| gap.from > self.evidence.spans.baseline.to)
            .count();
        gone > 0 && gone * 2 >= signals
    }

    /// Whether the entity still answers: seen to be available, or answering as fast as ever. `None`
    /// when it reports neither.
    pub(super) fn answers(&self, entity: usize) -> Option<bool> {
        if self.unavailable(entity).is_some() {
            return Some(false);
        }
        let seen = self
            .steady(entity, &[SignalRole::Availability, SignalRole::Latency])
            .next()
            .is_some()
            || self.changes(entity).any(|c| c.role == SignalRole::Latency);
        seen.then_some(true)
    }

    /// The earliest change of ill health at something `entity` depends on, no later than
    /// `than` and at least as far beyond chance.
    pub(super) fn unwell_below(&self, entity: usize, than: &Change) -> Option<ChangeRow<'a>> {
        earliest(
            self.below(entity)
                .into_iter()
                .flat_map(|e| self.unwell(e))
                .filter(|c| {
                    self.may_precede(c.change, than) && self.loud(c.change) >= 0.8 * self.loud(than)
                }),
        )
    }

    /// The lasting changes of the entity's own health.
    pub(super) fn unwell(&self, entity: usize) -> impl Iterator<Item = ChangeRow<'a>> {
        let partial = self.ages_hold(entity);
        self.changes(entity).filter(move |c| {
            // one stalled path of several is no evidence about the entity they lead to
            let stalled = c.role == SignalRole::ProgressAge && partial;
            let restarted = c.role == SignalRole::Uptime;
            c.role.is_health() && !stalled && (restarted || c.is_sustained())
        })
    }

    /// Whether at least half of the entity's signals of progress are as ever.
    pub(super) fn ages_hold(&self, entity: usize) -> bool {
        let grown = self.lasting(entity, &[SignalRole::ProgressAge]).count();
        let reported = |role| role == Some(SignalRole::ProgressAge);
        let held = self.rows[entity]
            .iter()
            .filter(|r| reported(r.role()) && !matches!(r.fact, EvidenceFact::Gap(_)))
            .count()
            - grown;
        held > 0 && held >= grown
    }

    /// The earliest rise of the load that reaches `entity`, no later than `by`: its own, or that of
    /// something that depends on it.
    pub(super) fn load_rise(&self, entity: usize, by: Duration) -> Option<ChangeRow<'a>> {
        let sources = self.graph.above(entity).into_iter().chain([entity]);
        earliest(sources.flat_map(|e| self.changes(e)).filter(|c| {
            c.is_sustained()
                && matches!(c.role, SignalRole::Demand | SignalRole::Throughput)
                && c.earliest() <= by
                && rose_by(c.change, 1.5)
        }))
    }

    /// Whether two entities or more decide from a local copy of shared state.
    pub(super) fn decides_locally(&self) -> bool {
        let entities = self.evidence.topology.entities.iter();
        entities.filter(|e| e.propagation.is_some()).count() >= 2
    }

    /// The entity that was violated first, of those that are asked for.
    pub(super) fn first_violated(&self, among: impl Fn(usize) -> bool) -> Option<usize> {
        let first = |e: usize| self.violations(e).map(|(_, v)| v.t).min();
        let violated = self.entities().filter(|&e| among(e));
        violated
            .filter_map(|e| Some((first(e)?, e)))
            .min()
            .map(|(_, e)| e)
    }

    /// When the first violation was seen.
    pub(super) fn first_violation(&self) -> Option<Duration> {
        self.evidence.violations().map(|(_, v)| v.t).min()
    }
}

/// Whether a change is more than a shift in the rhythm of things: progress comes in beats, and only
/// without any does its age grow and grow; a clock read late has not gone back.
fn is_material(change: &Change) -> bool {
    match change.role {
        SignalRole::ProgressAge => change.shape == ChangeShape::Ramp && rose_by(change, STALLED),
        SignalRole::Uptime => change.extreme() <= 0.5 * change.before.median,
        // a volume that stops to grow has lost nothing
        SignalRole::Volume if change.before.slope.is_some() => change.direction == Direction::Up,
        // less load is seldom at fault
        SignalRole::Demand if change.direction == Direction::Down => {
            change.extreme() <= 0.5 * change.before.median
        }
        SignalRole::Demand
        | SignalRole::Throughput
        | SignalRole::Volume
        | SignalRole::Lost
        | SignalRole::Availability
        | SignalRole::Setting => true,
        // a spike may be a stray sample
        _ => change.is_sustained(),
    }
}

/// The logarithm of after by before, up to [`LARGEST`] in either direction; of an availability, the
/// loss counts.
fn size(change: &Change) -> f64 {
    let (before, after) = (change.before.median.abs(), change.extreme().abs());
    let ratio = match change.role {
        SignalRole::Availability => (1.0 + 20.0 * (before - after) / before).ln(),
        _ if before > 0.0 && after > 0.0 => (after / before).ln(),
        _ => FROM_NOTHING,
    };
    if ratio.is_nan() {
        FROM_NOTHING
    } else {
        ratio.abs().min(LARGEST)
    }
}

fn largest<'a>(changes: impl Iterator<Item = ChangeRow<'a>>) -> f64 {
    changes.map(|c| size(c.change)).fold(0.0, f64::max)
}

/// How far beyond chance a change is, up to 1 on a logarithmic scale; a spike counts half.
pub(super) fn loudness(change: &Change) -> f64 {
    let loud = ((1.0 + change.excess).ln() / (1.0 + CLEAR).ln()).min(1.0);
    if change.is_sustained() {
        loud
    } else {
        0.5 * loud
    }
}

/// The louder first.
fn louder(a: &Change, b: &Change) -> Ordering {
    loudness(b).total_cmp(&loudness(a))
}

/// Whether a signal went up by at least that factor; from zero, any rise counts.
pub(super) fn rose_by(change: &Change, factor: f64) -> bool {
    change.direction == Direction::Up && change.extreme() >= factor * change.before.median
}

/// The change furthest beyond chance, the earlier of equals.
pub(super) fn strongest<'a>(changes: impl Iterator<Item = ChangeRow<'a>>) -> Option<ChangeRow<'a>> {
    changes.min_by(|a, b| louder(a, b).then(a.onset.cmp(&b.onset)))
}

/// The change that began first, the louder of equals.
pub(super) fn earliest<'a>(changes: impl Iterator<Item = ChangeRow<'a>>) -> Option<ChangeRow<'a>> {
    changes.min_by(|a, b| a.onset.cmp(&b.onset).then(louder(a, b)))
}

/// The earliest of the changes that are at least half as loud as the loudest: a faint one may be a
/// wobble before.
pub(super) fn first_of_the_loud<'a>(
    changes: impl Iterator<Item = ChangeRow<'a>>,
) -> Option<ChangeRow<'a>> {
    let all: Vec<ChangeRow<'a>> = changes.collect();
    let most = all.iter().map(|c| loudness(c.change)).fold(0.0, f64::max);
    earliest(all.into_iter().filter(|c| loudness(c.change) >= 0.5 * most))
}
