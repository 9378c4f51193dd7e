//! The possible use of a quota at each instant, and its largest value between two.

use std::iter::Peekable;
use std::slice::Iter;

use super::axis::{Completion, HistoryAxis, Interval, OpSelection};
use super::tree::MaxTree;

/// A quantity that is read at instants that never go back. It rises at invokes only.
pub(crate) trait QuotaLevel {
    /// Its value at an instant.
    fn at(&mut self, instant: u64) -> u64;
}

/// The cost of operations that can have been decided in the window `(t - W, t]`, for every instant
/// `t`.
///
/// ```text
///   invoke          complete              complete + W
///     |----------------|- - - - - - - - - - - -)          counted until complete + W, exclusive
/// ```
pub(crate) struct WindowLevel<'a, I: Iterator<Item = &'a Interval>> {
    begins: Peekable<I>,
    ends: Peekable<Iter<'a, Completion>>,
    window: u64,
    cost: u64,
}

/// The level of a window over these operations.
pub(crate) fn window_level(
    axis: &HistoryAxis,
    counted: OpSelection,
    window: u64,
) -> impl QuotaLevel {
    WindowLevel {
        begins: axis.begins(counted).peekable(),
        ends: axis.ends().iter().peekable(),
        window,
        cost: 0,
    }
}

impl<'a, I: Iterator<Item = &'a Interval>> QuotaLevel for WindowLevel<'a, I> {
    fn at(&mut self, instant: u64) -> u64 {
        while let Some(op) = self.begins.next_if(|op| op.invoke <= instant) {
            self.cost += u64::from(op.cost);
        }
        while let Some(end) = self
            .ends
            .next_if(|end| end.complete.saturating_add(self.window) <= instant)
        {
            self.cost -= u64::from(end.cost);
        }
        self.cost
    }
}

/// The largest value of a level. O(n).
pub(crate) fn peak(mut level: impl QuotaLevel, axis: &HistoryAxis, counted: OpSelection) -> u64 {
    axis.begins(counted)
        .map(|op| level.at(op.invoke))
        .max()
        .unwrap_or(0)
}

/// Calls `visit` with each span and the largest value of the level within it. The spans are by
/// their first instant; one without an end goes on for ever. O((n + m) log n) for m spans.
pub(crate) fn peaks_within<'s, L: QuotaLevel>(
    level: impl Fn() -> L,
    axis: &HistoryAxis,
    spans: &'s [Interval],
    mut visit: impl FnMut(&'s Interval, u64),
) {
    let mut rising = level();
    let operations = axis.operations();
    let highs = MaxTree::new(operations.iter().map(|op| rising.at(op.invoke)).collect());
    let mut level = level();
    let mut after = 0;
    for span in spans {
        let first = level.at(span.invoke);
        after += operations[after..]
            .iter()
            .take_while(|op| op.invoke <= span.invoke)
            .count();
        let last = span.complete().unwrap_or(u64::MAX);
        let within = begun_by(&operations[after..], last);
        visit(
            span,
            first.max(highs.max(after, after + within).unwrap_or(0)),
        );
    }
}

/// How many of the operations were invoked by an instant. O(log of that number), since most spans
/// are short.
fn begun_by(operations: &[Interval], last: u64) -> usize {
    let mut reach = 1;
    while operations
        .get(reach - 1)
        .is_some_and(|op| op.invoke <= last)
    {
        reach *= 2;
    }
    operations[..reach.min(operations.len())].partition_point(|op| op.invoke <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_counts_until_a_window_after_completion() {
        let axis = HistoryAxis::new(vec![Interval::new(5, Some(7), 1, 0)]);
        let span = |first, last| Interval::new(first, Some(last), 1, 0);
        let spans = [
            span(0, 4),
            span(0, 5),
            span(4, 4),
            span(5, 5),
            span(16, 16),
            span(17, 99),
        ];
        let mut peaks = Vec::new();
        peaks_within(
            || window_level(&axis, OpSelection::All, 10),
            &axis,
            &spans,
            |_, peak| peaks.push(peak),
        );
        assert_eq!(peaks, [0, 1, 0, 1, 1, 0]);
    }

    #[test]
    fn without_operations_nothing_is_counted() {
        let axis = HistoryAxis::default();
        assert_eq!(
            peak(
                window_level(&axis, OpSelection::All, 10),
                &axis,
                OpSelection::All
            ),
            0
        );
    }
}
