//! The cost of a window as a function of its start.
//!
//! A window that begins at s is `[s, s + W)`. An operation over `[i, c]` lies wholly inside it
//! exactly for s in `(c - W, i]`, and can have been decided in it exactly for s in `(i - W, c]`. So
//! the certain and the possible cost are step functions of s, whose changes come in the order of
//! invokes and completions:
//!
//! ```text
//!                    certain                              possible
//!   rises at         c - W + 1, if c - i < W              i - W + 1
//!   falls at         i + 1                                c + 1, or never
//! ```
//!
//! The windows of different operations do not bind each other: all operations that can be placed in
//! one can be placed there together. So the possible cost is reached, not merely a bound.

use std::iter::Peekable;

use super::axis::{HistoryAxis, OpSelection};
use super::level::QuotaLevel;

/// The changes of a step function in order: where, and by how much. Of one place, falls come first.
pub(crate) struct StepFunction<R: Iterator, F: Iterator> {
    rises: Peekable<R>,
    falls: Peekable<F>,
}

impl<R, F> Iterator for StepFunction<R, F>
where
    R: Iterator<Item = (i64, u32)>,
    F: Iterator<Item = (i64, u32)>,
{
    type Item = (i64, i64);

    fn next(&mut self) -> Option<(i64, i64)> {
        let rise = self.rises.peek().copied();
        match self
            .falls
            .next_if(|fall| rise.is_none_or(|rise| fall.0 <= rise.0))
        {
            Some((at, cost)) => Some((at, -i64::from(cost))),
            None => self.rises.next().map(|(at, cost)| (at, cost.into())),
        }
    }
}

/// The cost that lies wholly inside.
pub(crate) fn certain(axis: &HistoryAxis, window: u64) -> impl Iterator<Item = (i64, i64)> {
    let window = signed(window);
    let fits = move |invoke: u64, complete: u64| signed(complete) - signed(invoke) < window;
    let rises = axis
        .ends()
        .iter()
        .filter(move |end| fits(axis.of(end).invoke, end.complete));
    let falls = axis.begins(OpSelection::Completed).filter(move |op| {
        op.complete()
            .is_some_and(|complete| fits(op.invoke, complete))
    });
    StepFunction {
        rises: rises
            .map(move |end| (signed(end.complete) - window + 1, end.cost))
            .peekable(),
        falls: falls.map(|op| (signed(op.invoke) + 1, op.cost)).peekable(),
    }
}

/// The cost that can have been decided inside.
pub(crate) fn possible(
    axis: &HistoryAxis,
    counted: OpSelection,
    window: u64,
) -> impl Iterator<Item = (i64, i64)> {
    let window = signed(window);
    StepFunction {
        rises: axis
            .begins(counted)
            .map(move |op| (signed(op.invoke) - window + 1, op.cost))
            .peekable(),
        falls: axis
            .ends()
            .iter()
            .map(|end| (signed(end.complete) + 1, end.cost))
            .peekable(),
    }
}

/// The certain cost of the window that ends at an instant.
struct StepLevel<I: Iterator<Item = (i64, i64)>> {
    steps: Peekable<I>,
    /// From the start of a window to its last instant.
    length: i64,
    cost: i64,
}

/// The level of the cost that lies wholly inside a window.
pub(crate) fn certain_level(axis: &HistoryAxis, window: u64) -> impl QuotaLevel {
    StepLevel {
        steps: certain(axis, window).peekable(),
        length: signed(window) - 1,
        cost: 0,
    }
}

impl<I: Iterator<Item = (i64, i64)>> QuotaLevel for StepLevel<I> {
    fn at(&mut self, instant: u64) -> u64 {
        let start = signed(instant) - self.length;
        while let Some((_, change)) = self.steps.next_if(|step| step.0 <= start) {
            self.cost += change;
        }
        self.cost.unsigned_abs()
    }
}

/// The largest value of a step function. O(n).
pub(crate) fn peak(steps: impl Iterator<Item = (i64, i64)>) -> u64 {
    let mut cost = 0_i64;
    let costs = steps.map(|(_, change)| {
        cost += change;
        cost.unsigned_abs()
    });
    costs.max().unwrap_or(0)
}

/// Three hundred years of nanoseconds are below the largest i64 by far.
pub(crate) fn signed(time: u64) -> i64 {
    i64::try_from(time)
        .unwrap_or(i64::MAX / 4)
        .min(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::super::axis::Interval;
    use super::*;

    fn axis(times: &[(u64, u64)]) -> HistoryAxis {
        let interval = |(index, &(invoke, complete)): (u32, &(u64, u64))| {
            Interval::new(invoke, Some(complete), 1, index)
        };
        HistoryAxis::new((0..).zip(times).map(interval).collect())
    }

    #[test]
    fn half_open_windows_do_not_meet_at_edges() {
        let possible = |times: &[(u64, u64)]| peak(possible(&axis(times), OpSelection::All, 10));
        assert_eq!(
            (possible(&[(0, 0), (10, 10)]), possible(&[(0, 1), (10, 10)])),
            (1, 2)
        );
        let certain = |times: &[(u64, u64)]| peak(certain(&axis(times), 10));
        assert_eq!(
            (certain(&[(0, 0), (5, 10)]), certain(&[(0, 0), (5, 9)])),
            (1, 2)
        );
    }

    #[test]
    fn operation_as_long_as_a_window_is_uncertain() {
        assert_eq!(peak(certain(&axis(&[(0, 10)]), 10)), 0);
        assert_eq!(peak(certain(&axis(&[(0, 9)]), 10)), 1);
    }
}
