//! The evidence, as the mechanisms look at it.

use std::time::Duration;

use crate::{
    evidence::{Change, Direction, Evidence, Fact, Gap, Role, Row, Shape, Steady, Violation},
    graph::Graph,
};

/// Progress is stalled, not just slower, when its age grew by this factor.
const STALLED: f64 = 4.0;

/// Rows by entity, and the graph.
pub(super) struct View<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) graph: Graph<'a>,
    rows: Vec<Vec<&'a Row>>,
}

/// A change with its row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changed<'a> {
    pub(super) row: &'a Row,
    pub(super) change: &'a Change,
}

impl<'a> View<'a> {
    pub(super) fn new(evidence: &'a Evidence) -> Self {
        let graph = Graph::new(&evidence.topology);
        let mut rows = vec![Vec::new(); graph.len()];
        for row in &evidence.rows {
            if let Some(entity) = graph.index(row.entity()) {
                rows[entity].push(row);
            }
        }
        Self { evidence, graph, rows }
    }

    pub(super) fn entities(&self) -> std::ops::Range<usize> {
        0..self.graph.len()
    }

    /// The changes that say something.
    pub(super) fn changes(&self, entity: usize) -> impl Iterator<Item = Changed<'a>> {
        self.rows[entity].iter().filter_map(|&row| match &row.fact {
            Fact::Change(change) if is_material(change) => Some(Changed { row, change }),
            _ => None,
        })
    }

    pub(super) fn violations(&self, entity: usize) -> impl Iterator<Item = (&'a Row, &'a Violation)> {
        self.rows[entity].iter().filter_map(|&row| match &row.fact {
            Fact::Violation(v) => Some((row, v)),
            _ => None,
        })
    }

    pub(super) fn gaps(&self, entity: usize) -> impl Iterator<Item = (&'a Row, &'a Gap)> {
        self.rows[entity].iter().filter_map(|&row| match &row.fact {
            Fact::Gap(gap) => Some((row, gap)),
            _ => None,
        })
    }

    /// The steady rows of these roles.
    pub(super) fn steady(
        &self,
        entity: usize,
        roles: &[Role],
    ) -> impl Iterator<Item = (&'a Row, &'a Steady)> {
        self.rows[entity].iter().filter_map(move |&row| match &row.fact {
            Fact::Steady(s) if roles.contains(&s.role) => Some((row, s)),
            _ => None,
        })
    }

    /// The changes of these roles in that direction that lasted.
    pub(super) fn lasting(
        &self,
        entity: usize,
        roles: &[Role],
        direction: Direction,
    ) -> impl Iterator<Item = Changed<'a>> {
        self.changes(entity).filter(move |c| {
            roles.contains(&c.change.role) && c.change.direction == direction && c.change.is_sustained()
        })
    }

    /// The strongest of them; the earlier of equals.
    pub(super) fn strongest(
        &self,
        entity: usize,
        roles: &[Role],
        direction: Direction,
    ) -> Option<Changed<'a>> {
        strongest(self.lasting(entity, roles, direction))
    }

    /// Whether the entity reports any of these roles, with samples or without.
    pub(super) fn reports(&self, entity: usize, roles: &[Role]) -> bool {
        self.rows[entity].iter().any(|r| r.role().is_some_and(|role| roles.contains(&role)))
    }

    /// The row that says the entity no longer answers.
    pub(super) fn unavailable(&self, entity: usize) -> Option<Changed<'a>> {
        self.lasting(entity, &[Role::Availability], Direction::Down)
            .find(|c| c.change.extreme() <= 0.5 * c.change.before.median)
    }

    /// Whether the entity still answers: seen to be available, or answering as fast as ever. `None` when it
    /// reports neither.
    pub(super) fn answers(&self, entity: usize) -> Option<bool> {
        if self.unavailable(entity).is_some() {
            return Some(false);
        }
        let seen = self.steady(entity, &[Role::Availability, Role::Latency]).next().is_some()
            || self.changes(entity).any(|c| c.change.role == Role::Latency);
        seen.then_some(true)
    }

    /// The earliest change on something `entity` depends on that says it is unwell, no later than `by`.
    pub(super) fn unwell_below(&self, entity: usize, by: Duration) -> Option<Changed<'a>> {
        let below = self.graph.below(entity);
        earliest(below.into_iter().flat_map(|e| self.unwell(e)).filter(|c| c.change.earliest() <= by))
    }

    /// The lasting changes that say the entity itself is unwell.
    pub(super) fn unwell(&self, entity: usize) -> impl Iterator<Item = Changed<'a>> {
        let partial = self.ages_hold(entity);
        self.changes(entity).filter(move |c| {
            let bad = match c.change.role {
                Role::Availability => Direction::Down,
                Role::Uptime => return c.change.direction == Direction::Down,
                // one of several paths that stalled says little about the entity they lead to
                Role::ProgressAge if partial => return false,
                role if role.is_health() => Direction::Up,
                _ => return false,
            };
            c.change.direction == bad && c.change.is_sustained()
        })
    }

    /// Whether at least half of what the entity reports about progress is as ever.
    pub(super) fn ages_hold(&self, entity: usize) -> bool {
        let grown = self.lasting(entity, &[Role::ProgressAge], Direction::Up).count();
        let reported = |role| role == Some(Role::ProgressAge);
        let held = self.rows[entity].iter().filter(|r| reported(r.role()) && !is_gap(r)).count() - grown;
        held > 0 && held >= grown
    }

    /// The earliest rise of the load that reaches `entity`, no later than `by`: its own, or that of something
    /// that depends on it.
    pub(super) fn load_rise(&self, entity: usize, by: Duration) -> Option<Changed<'a>> {
        let sources = self.graph.above(entity).into_iter().chain([entity]);
        earliest(sources.flat_map(|e| self.changes(e)).filter(|c| {
            matches!(c.change.role, Role::Demand | Role::Throughput)
                && c.change.direction == Direction::Up
                && c.change.earliest() <= by
                && rose_by(c.change, 1.5)
        }))
    }

    /// When the first violation was seen.
    pub(super) fn first_violation(&self) -> Option<Duration> {
        self.evidence.violations().map(|(_, v)| v.t).min()
    }
}

fn is_gap(row: &Row) -> bool {
    matches!(row.fact, Fact::Gap(_))
}

/// Whether a change is more than a shift in the rhythm of things: progress comes in beats, and only without any
/// does its age grow and grow; a clock read late has not gone back.
fn is_material(change: &Change) -> bool {
    match change.role {
        Role::ProgressAge => change.shape == Shape::Ramp && rose_by(change, STALLED),
        Role::Uptime => change.direction == Direction::Down && change.extreme() <= 0.5 * change.before.median,
        _ => true,
    }
}

/// Whether a signal went up by at least that factor; from zero, any rise counts.
pub(super) fn rose_by(change: &Change, factor: f64) -> bool {
    change.direction == Direction::Up && change.extreme() >= factor * change.before.median
}

pub(super) fn strongest<'a>(changes: impl Iterator<Item = Changed<'a>>) -> Option<Changed<'a>> {
    changes.reduce(|best, c| {
        let better =
            c.change.score.total_cmp(&best.change.score).then(best.change.onset.cmp(&c.change.onset));
        if better.is_gt() { c } else { best }
    })
}

pub(super) fn earliest<'a>(changes: impl Iterator<Item = Changed<'a>>) -> Option<Changed<'a>> {
    changes.reduce(|best, c| {
        let earlier =
            c.change.onset.cmp(&best.change.onset).then(best.change.score.total_cmp(&c.change.score));
        if earlier.is_lt() { c } else { best }
    })
}
