use std::collections::BinaryHeap;

/// An operation on the axis of a history: nanoseconds, and where it stands in the history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interval {
    pub(crate) invoke: u64,
    /// `None`: the decision may fall at any time from `invoke` on.
    pub(crate) complete: Option<u64>,
    pub(crate) index: usize,
}

/// Completed intervals by decreasing `invoke`: a sweep over the possible starts of a span, latest first.
pub(crate) struct Sweep {
    latest_first: Vec<(u64, u64)>,
}

impl Sweep {
    pub(crate) fn new(operations: &[Interval]) -> Self {
        let completed = operations.iter().filter_map(|op| Some((op.invoke, op.complete?)));
        let mut latest_first: Vec<_> = completed.collect();
        latest_first.sort_unstable_by(|a, b| b.cmp(a));
        Self { latest_first }
    }

    /// The most intervals that lie wholly inside some span shorter than `window`. O(n log n).
    ///
    /// Some best span starts at an invoke. Earlier starts also end earlier, so what does not fit from one start on will
    /// fit from none: it leaves the heap for good.
    pub(crate) fn peak_within(&self, window: u64) -> usize {
        let mut completes = BinaryHeap::new();
        let mut peak = 0;
        for &(start, complete) in &self.latest_first {
            let end = start.saturating_add(window);
            completes.push(complete);
            while completes.peek().is_some_and(|&latest| latest >= end) {
                completes.pop();
            }
            peak = peak.max(completes.len());
        }
        peak
    }

    /// The shortest span that wholly holds `count` intervals, as its first and last instant. O(n log count).
    ///
    /// From each start on, the span must reach to the `count`-th smallest completion: the top of a heap that keeps the
    /// `count` smallest.
    pub(crate) fn shortest_span(&self, count: usize) -> Option<(u64, u64)> {
        let mut smallest = BinaryHeap::with_capacity(count + 1);
        let mut best: Option<(u64, u64)> = None;
        for &(start, complete) in &self.latest_first {
            smallest.push(complete);
            if smallest.len() > count {
                smallest.pop();
            }
            if smallest.len() == count
                && let Some(&end) = smallest.peek()
                && best.is_none_or(|(first, last)| end - start < last - first)
            {
                best = Some((start, end));
            }
        }
        best
    }
}
