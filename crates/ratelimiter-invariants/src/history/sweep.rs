//! The sliding contract's certain part: cost that lies wholly inside a span shorter than a window.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An operation on the axis of a history: nanoseconds, its cost, and where it stands in the history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval {
    pub(crate) invoke: u64,
    /// `None`: the decision may fall at any time from `invoke` on.
    pub(crate) complete: Option<u64>,
    pub(crate) cost: u32,
    pub(crate) index: usize,
}

/// Completed intervals by decreasing `invoke`: a sweep over the possible starts of a span, latest first.
pub(crate) struct Sweep {
    /// Invoke, completion, cost.
    latest_first: Vec<(u64, u64, u32)>,
}

impl Sweep {
    pub(crate) fn new(operations: &[Interval]) -> Self {
        let completed = operations.iter().filter_map(|op| Some((op.invoke, op.complete?, op.cost)));
        let mut latest_first: Vec<_> = completed.collect();
        latest_first.sort_unstable_by_key(|op| Reverse(op.0));
        Self { latest_first }
    }

    /// The largest cost that lies wholly inside some span shorter than `window`. O(n log n).
    ///
    /// Some best span starts at an invoke. Earlier starts also end earlier, so an interval that does not fit from one start
    /// on fits from no earlier one: it leaves the heap for good.
    pub(crate) fn peak_within(&self, window: u64) -> u64 {
        let mut completes = BinaryHeap::new();
        let (mut inside, mut peak) = (0, 0);
        for &(start, complete, cost) in &self.latest_first {
            let end = start.saturating_add(window);
            completes.push((complete, cost));
            inside += u64::from(cost);
            while let Some(&(latest, cost)) = completes.peek()
                && latest >= end
            {
                completes.pop();
                inside -= u64::from(cost);
            }
            peak = peak.max(inside);
        }
        peak
    }

    /// The shortest span that wholly holds a cost above `max`, as its first and last instant. O(n log n).
    ///
    /// From each start on, the heap keeps the earliest completions whose cost is just above `max`; the latest of them is the
    /// end. Earlier starts only add candidates, so a completion that is not needed leaves for good.
    pub(crate) fn shortest_span(&self, max: u64) -> Option<(u64, u64)> {
        let mut earliest = BinaryHeap::new();
        let mut inside = 0;
        let mut best: Option<(u64, u64)> = None;
        for &(start, complete, cost) in &self.latest_first {
            earliest.push((complete, cost));
            inside += u64::from(cost);
            while let Some(&(_, cost)) = earliest.peek()
                && inside - u64::from(cost) > max
            {
                earliest.pop();
                inside -= u64::from(cost);
            }
            if inside > max
                && let Some(&(end, _)) = earliest.peek()
                && best.is_none_or(|(first, last)| end - start < last - first)
            {
                best = Some((start, end));
            }
        }
        best
    }
}
