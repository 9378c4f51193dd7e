//! The shortest span that holds too much: the witness of a sliding contract.

use std::collections::BinaryHeap;

use super::axis::{HistoryAxis, OpSelection};

/// The shortest span that wholly holds a cost above `max`, as its first and last instant. O(n log
/// n).
///
/// The starts are swept downwards. From each on, the heap keeps the earliest completions whose cost
/// is just above `max`; the latest of them is the end. Earlier starts only add candidates, so a
/// completion that is not needed leaves for good.
pub(crate) fn shortest_span(axis: &HistoryAxis, max: u64) -> Option<(u64, u64)> {
    let mut earliest = BinaryHeap::new();
    let mut inside = 0;
    let mut best: Option<(u64, u64)> = None;
    for op in axis.begins(OpSelection::Completed).rev() {
        earliest.push((op.complete()?, op.cost));
        inside += u64::from(op.cost);
        while let Some(&(_, cost)) = earliest.peek()
            && inside - u64::from(cost) > max
        {
            earliest.pop();
            inside -= u64::from(cost);
        }
        if inside > max
            && let Some(&(end, _)) = earliest.peek()
            && best.is_none_or(|(first, last)| end - op.invoke < last - first)
        {
            best = Some((op.invoke, end));
        }
    }
    best
}
