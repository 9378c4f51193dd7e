//! The two-period contract: an estimate of a sliding window from two counts.
//!
//! A limiter that keeps one count a period of length W estimates the cost of the last W at time t,
//! in a period that began at s, as
//!
//! ```text
//!   estimate = previous (1 - (t - s) / W) + current       previous: in [s - W, s)
//!              rounded down                               current:  in [s, t]
//! ```
//!
//! and admits while the estimate, with the check in it, is at most L (Cloudflare, "How we built
//! rate limiting capable of scaling to millions of domains", 2017; HAProxy's `freq_ctr`). A window
//! may so hold up to 1.9 L, and a check may be denied at less than L.
//!
//! Where the periods begin is not known, so every alignment is tried. For a start s, each operation
//! counts as a whole, as a share, or not at all; between two starts at which one of them changes,
//! the estimate only grows with s. So an alignment is refuted by the ends of such pieces, and all
//! pieces, folded at W, either cover every alignment or leave one (as in `aligned`).
//!
//! - **Certain**: previous and current are the operations wholly inside.
//! - **Possible**: an operation counts where it weighs most. Both are exact for one instant, since
//!   the operations do not bind each other.
//!
//! A limiter may begin its periods anew after an idle period (HAProxy does). So the admissions are
//! cut wherever they may have been idle for W, and one stretch between two cuts must refute every
//! alignment by itself. O(n log n + n m) for m admissions in two windows.

use std::collections::BTreeSet;

use super::aligned::{WindowPiece, cover};
use super::axis::{HistoryAxis, Interval, OpSelection};
use super::shrink::{SearchBudget, shrink};
use super::steps::signed;

/// The part of an operation in the estimate, by the start s of the running period: all of it for s
/// in `(run.0, run.1]`, a share of it for s in `(previous.0, previous.1]`.
struct PeriodShare {
    previous: (i64, i64),
    run: (i64, i64),
    /// The instant from which on it counts in the running period.
    at: i64,
    cost: i64,
}

impl PeriodShare {
    fn certain(op: &Interval, window: i64) -> Option<Self> {
        let (invoke, complete) = (signed(op.invoke), signed(op.complete()?));
        (complete - invoke < window).then(|| Self {
            previous: (complete, invoke + window),
            run: (complete - window, invoke),
            at: complete,
            cost: op.cost.into(),
        })
    }

    fn possible(op: &Interval, window: i64) -> Self {
        let complete = op.complete().map_or(i64::MAX / 4, signed);
        let invoke = signed(op.invoke);
        Self {
            previous: (complete, complete + window),
            run: (invoke - window, complete),
            at: invoke,
            cost: op.cost.into(),
        }
    }
}

/// The starts at which an estimate is above `max`. Nothing when the budget is spent.
///
/// A start between two nanoseconds counts as the later one. `spare` is 1 where all of these must
/// be above, and 0 where one is enough.
fn heavy_pieces(
    mut shares: Vec<PeriodShare>,
    window: i64,
    max: u64,
    spare: i64,
    budget: &mut SearchBudget,
) -> Option<Vec<WindowPiece>> {
    let max = signed(max);
    let mut edges: Vec<i64> = shares
        .iter()
        .flat_map(|share| {
            let ((a, b), (c, d)) = (share.previous, share.run);
            [a, b, c, d, share.at]
        })
        .collect();
    edges.sort_unstable();
    edges.dedup();
    let changes = |side: fn(&PeriodShare) -> i64, sign: i64| {
        shares
            .iter()
            .map(move |share| (side(share), sign * share.cost))
            .collect::<Vec<_>>()
    };
    let mut shares_of_previous = changes(|share| share.previous.0, 1);
    shares_of_previous.extend(changes(|share| share.previous.1, -1));
    shares_of_previous.sort_unstable();
    let mut shares_of_previous = shares_of_previous.into_iter().peekable();
    shares.sort_unstable_by_key(|share| share.at);
    let (mut first, mut last, mut previous, mut most) = (0, 0, 0, 0);
    let mut pieces = Vec::new();
    for edge in edges.windows(2) {
        let (from, to) = (edge[0], edge[1]);
        while let Some((_, change)) = shares_of_previous.next_if(|change| change.0 <= from) {
            previous += change;
        }
        while let Some(share) = shares.get(last).filter(|share| share.run.0 <= from) {
            most += share.cost;
            last += 1;
        }
        while let Some(share) = shares[first..last]
            .first()
            .filter(|share| share.run.1 <= from)
        {
            most -= share.cost;
            first += 1;
        }
        if previous + most <= max {
            continue;
        }
        if !budget.take(last - first) {
            return None;
        }
        let mut current = 0;
        let running = shares[first..last]
            .iter()
            .filter(|share| share.run.1 > from);
        let starts = running.filter_map(|share| {
            current += share.cost;
            let missing = max + 1 - current;
            if missing <= 0 || share.at <= from && previous >= missing {
                return Some(from + 1);
            }
            if share.at <= from || previous < missing {
                return None;
            }
            let needed = i128::from(missing) * i128::from(window);
            let share_of = i128::from(previous);
            let late = i64::try_from((needed + share_of - 1) / share_of).ok()?;
            let start = share.at - window + late;
            Some(if start <= from {
                from + 1
            } else {
                start + spare
            })
        });
        if let Some(start) = starts.min().filter(|start| *start <= to) {
            WindowPiece::fold(start, to + 1, window, &mut pieces);
        }
    }
    Some(pieces)
}

/// The steps of a search over so many operations.
fn budget(operations: usize) -> SearchBudget {
    SearchBudget::new(operations.saturating_mul(50))
}

/// Operations that exceed `max` in every alignment, if the certain parts of some do.
pub(crate) fn certain(axis: &HistoryAxis, window: u64, max: u64) -> Option<Vec<usize>> {
    let mut steps = budget(axis.operations().len());
    let proof = broken_stretch(axis, window, max, &mut steps)?;
    let mut steps = budget(proof.len());
    let fewer = shrink(proof, |rest| {
        let axis = HistoryAxis::new(rest.to_vec());
        broken_stretch(&axis, window, max, &mut steps).is_some()
    });
    Some(fewer.iter().map(Interval::index).collect())
}

/// The operations of the first stretch that refutes every alignment.
fn broken_stretch(
    axis: &HistoryAxis,
    window: u64,
    max: u64,
    budget: &mut SearchBudget,
) -> Option<Vec<Interval>> {
    let length = signed(window);
    stretches(axis, window).into_iter().find_map(|stretch| {
        let shares = stretch
            .iter()
            .filter_map(|op| PeriodShare::certain(op, length));
        let pieces = heavy_pieces(shares.collect(), length, max, 1, budget)?;
        let starts: BTreeSet<i64> = cover(pieces, length)?.into_iter().collect();
        let near = |op: &Interval| {
            let from = signed(op.invoke) - length;
            let to = signed(op.complete().unwrap_or(u64::MAX)) + length + 1;
            starts.range(from..to).next().is_some()
        };
        Some(stretch.into_iter().filter(near).collect())
    })
}

/// The completed operations in stretches, within which the periods cannot have begun anew: wherever
/// they were decided, less than a window lies between one decision and the next.
///
/// The k-th decision of all is not before the k-th invoke and not after the k-th completion.
/// An operation whose place among the decisions may lie on both sides of a cut is left out.
fn stretches(axis: &HistoryAxis, window: u64) -> Vec<Vec<Interval>> {
    let short = |op: &&Interval| op.complete().is_some_and(|end| end - op.invoke < window);
    let operations: Vec<Interval> = axis
        .begins(OpSelection::Completed)
        .filter(short)
        .copied()
        .collect();
    let mut ends: Vec<u64> = operations.iter().filter_map(Interval::complete).collect();
    ends.sort_unstable();
    let idle = operations.iter().zip(ends.iter().skip(1));
    let mut stretch = 0;
    let later = idle.map(|(op, end)| {
        stretch += u32::from(end.saturating_sub(op.invoke) >= window);
        stretch
    });
    let stretch_of: Vec<u32> = std::iter::once(0).chain(later).collect();
    let mut found: Vec<Vec<Interval>> = Vec::new();
    let mut latest = None;
    for op in &operations {
        let earliest = ends.partition_point(|end| *end < op.invoke);
        let complete = op.complete().unwrap_or(u64::MAX);
        let place = operations.partition_point(|other| other.invoke <= complete) - 1;
        let stretch = stretch_of[earliest];
        if stretch != stretch_of[place] {
            continue;
        }
        if latest.replace(stretch) != Some(stretch) {
            found.push(Vec::new());
        }
        found.last_mut().expect("a stretch has begun").push(*op);
    }
    found
}

/// Whether some alignment keeps the estimate within `max`, wherever the decisions lie. It may be
/// another one after two windows without a check.
pub(crate) fn kept(axis: &HistoryAxis, counted: OpSelection, window: u64, max: u64) -> bool {
    let length = signed(window);
    let mut budget = budget(axis.operations().len());
    let (mut part, mut latest) = (Vec::new(), 0);
    let mut fits = |part: &mut Vec<PeriodShare>| {
        let pieces = heavy_pieces(std::mem::take(part), length, max, 0, &mut budget);
        pieces.is_some_and(|pieces| cover(pieces, length).is_none())
    };
    for op in axis.begins(counted) {
        let idle = op.invoke.saturating_sub(latest) >= window.saturating_mul(2);
        if idle && !part.is_empty() && !fits(&mut part) {
            return false;
        }
        latest = latest.max(op.complete().unwrap_or(u64::MAX));
        part.push(PeriodShare::possible(op, length));
    }
    fits(&mut part)
}

/// Calls `visit` with each denial and the largest possible estimate before it, rounded up, in every
/// alignment and wherever it was decided. Where the budget is spent the estimate is the largest
/// number.
pub(crate) fn before<'s>(
    charged: &HistoryAxis,
    window: u64,
    denied: &'s [Interval],
    mut visit: impl FnMut(&'s Interval, u64),
) {
    let sums = |costs: &mut dyn Iterator<Item = u32>| {
        let mut sum = 0;
        let mut sums = vec![0];
        sums.extend(costs.map(|cost| {
            sum += u64::from(cost);
            sum
        }));
        sums
    };
    let (operations, ends) = (charged.operations(), charged.ends());
    let begun = sums(&mut operations.iter().map(|op| op.cost));
    let done = sums(&mut ends.iter().map(|end| end.cost));
    let places = |at: u64| ends.partition_point(|end| end.complete < at);
    let mut budget = budget(operations.len() + denied.len());
    for denial in denied {
        let last = denial.complete().unwrap_or(u64::MAX);
        let from = operations.partition_point(|op| op.invoke <= denial.invoke);
        let within = operations[from..].iter().take_while(|op| op.invoke <= last);
        let instants = std::iter::once(denial.invoke).chain(within.map(|op| op.invoke));
        let mut largest = 0_u128;
        for instant in instants {
            let invoked = begun[operations.partition_point(|op| op.invoke <= instant)];
            let earliest = (instant + 1).saturating_sub(window);
            let recent = &ends[places((instant + 1).saturating_sub(2 * window))..];
            let recent = recent
                .iter()
                .map(|end| end.complete)
                .take_while(|at| *at <= instant);
            let starts = recent.map(|at| if at >= earliest { at } else { at + window });
            for start in starts.chain([instant]) {
                if !budget.take(1) {
                    largest = u128::MAX;
                    break;
                }
                let before = done[places(start)];
                let previous = before - done[places(start.saturating_sub(window))];
                let share = u128::from(previous) * u128::from(window - (instant - start));
                largest = largest.max(u128::from(invoked - before) * u128::from(window) + share);
            }
        }
        visit(
            denial,
            u64::try_from(largest.div_ceil(window.into())).unwrap_or(u64::MAX),
        );
    }
}
