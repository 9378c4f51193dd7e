//! The level of windows that begin at edges, for a drawing. Where the edges were is not known: some
//! that suit the limiter are supposed, and none where no such level keeps the limit.

use super::ContractKind;
use super::aligned;
use super::axis::{HistoryAxis, Interval, OpSelection};
use super::steps::{self, signed};

/// Windows of a grid beyond which none is drawn.
const MOST_WINDOWS: u64 = 1_000_000;

/// Instants, and the certain and the possible cost since the edge before each.
pub(crate) type EdgeLevel = Vec<(u64, [u64; 2])>;

/// The level of windows that begin with a check, or else of a grid, if it is at most `most`.
pub(crate) fn level(
    axis: &HistoryAxis,
    kind: ContractKind,
    window: u64,
    most: u64,
) -> Option<EdgeLevel> {
    let by_grid = || Some(since_edges(axis, &grid(axis, window)?));
    let level = match kind {
        ContractKind::Fixed => {
            let level = since_edges(axis, &begins(axis, window));
            if is_within(&level, most) {
                Some(level)
            } else {
                by_grid()
            }
        }
        ContractKind::Aligned => by_grid(),
        _ => None,
    };
    level.filter(|level| is_within(level, most))
}

fn is_within(level: &EdgeLevel, most: u64) -> bool {
    level.iter().all(|(_, [_, possible])| *possible <= most)
}

/// Edges at the first operation, and at each that begins a window or more after the last edge.
fn begins(axis: &HistoryAxis, window: u64) -> Vec<u64> {
    let mut edges: Vec<u64> = Vec::new();
    for op in axis.operations() {
        let is_next = |edge: &u64| op.invoke >= edge.saturating_add(window);
        if edges.last().is_none_or(is_next) {
            edges.push(op.invoke);
        }
    }
    edges
}

/// The edges of the alignment whose fullest window holds least.
fn grid(axis: &HistoryAxis, window: u64) -> Option<Vec<u64>> {
    let first = axis.operations().first()?.invoke;
    let ends = axis.ends().iter().map(|end| end.complete);
    let last = axis
        .operations()
        .iter()
        .map(|op| op.invoke)
        .chain(ends)
        .max()?;
    let steps = steps::possible(axis, OpSelection::All, window);
    let (_, alignment) = aligned::least_peak(steps, signed(window));
    let before = (signed(first) - alignment).rem_euclid(signed(window));
    let windows = (last - first) / window + 2;
    let edge = |n: u64| {
        first
            .saturating_add(n * window)
            .checked_sub(before.unsigned_abs())
    };
    (windows <= MOST_WINDOWS).then(|| (0..windows).filter_map(edge).collect())
}

/// An operation that is in flight at an edge can be in both windows.
fn since_edges(axis: &HistoryAxis, edges: &[u64]) -> EdgeLevel {
    let operations = || axis.operations().iter();
    let begins = operations().map(|op| (op.invoke, 1, Some(op)));
    let ends = operations().filter_map(|op| Some((op.complete()?, 2, Some(op))));
    let edges = edges.iter().map(|edge| (*edge, 0, None::<&Interval>));
    let mut events = Vec::from_iter(edges.chain(begins).chain(ends));
    events.sort_unstable_by_key(|(at, order, _)| (*at, *order));
    let (mut edge, mut in_flight, mut certain, mut possible) = (0, 0, 0, 0);
    let level = events.into_iter().map(|(at, order, op)| {
        let cost = op.map_or(0, |op| u64::from(op.cost));
        match order {
            0 => (edge, certain, possible) = (at, 0, in_flight),
            1 => (in_flight, possible) = (in_flight + cost, possible + cost),
            _ => {
                in_flight -= cost;
                certain += if op.is_some_and(|op| op.invoke >= edge) {
                    cost
                } else {
                    0
                };
            }
        }
        (at, [certain, possible])
    });
    level.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operations of a millisecond each, at these instants in milliseconds.
    fn axis(at: &[u64]) -> HistoryAxis {
        let of = |(n, at): (usize, &u64)| Interval::new(*at, Some(at + 1), 1, n as u32);
        HistoryAxis::new(at.iter().enumerate().map(of).collect())
    }

    fn edges(level: &EdgeLevel) -> Vec<u64> {
        let empty = level.iter().filter(|(_, level)| *level == [0, 0]);
        empty.map(|(at, _)| *at).collect()
    }

    #[test]
    fn fixed_windows_begin_with_a_check() {
        let level = level(&axis(&[5, 6, 30, 31]), ContractKind::Fixed, 20, 2).unwrap();
        assert_eq!(edges(&level), [5, 30]);
        assert_eq!(level.last(), Some(&(32, [2, 2])));
    }

    #[test]
    fn windows_of_a_grid_are_found() {
        // By the first check: 0 to 20 with three; with edges at 10 and 30: one, and two.
        let checks = axis(&[0, 15, 18, 35]);
        for kind in [ContractKind::Fixed, ContractKind::Aligned] {
            let level = level(&checks, kind, 20, 2).unwrap();
            assert_eq!(level.last(), Some(&(36, [1, 1])), "{kind:?}");
        }
        assert_eq!(level(&checks, ContractKind::Aligned, 20, 1), None);
    }
}
