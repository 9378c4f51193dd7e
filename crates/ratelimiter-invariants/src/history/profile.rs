//! The sliding contract's possible part: cost that can have been decided in the window before each instant.

use super::sweep::Interval;
use super::tree::MaxTree;

/// The cost of some operations that can have been decided in the window `(t - W, t]`, for every instant `t`.
///
/// An operation over `[invoke, complete]` can be placed in that window exactly while `invoke <= t < complete + W`. The
/// windows of different operations do not bind each other, so all that can be placed can be placed together: the cost
/// at `t` is reached, not merely a bound.
///
/// ```text
///   invoke          complete              complete + W
///     |----------------|- - - - - - - - - - - -)          counted from invoke, up to but not at complete + W
/// ```
pub(crate) struct Profile {
    /// When the cost changes, ascending.
    times: Vec<u64>,
    /// The cost from each of `times` on.
    costs: MaxTree<u64>,
}

impl Profile {
    /// Instants are nanoseconds; an interval that never completes is counted for ever.
    pub(crate) fn new(operations: &[Interval], window: u64) -> Self {
        let mut begins: Vec<(u64, u32)> = operations.iter().map(|op| (op.invoke, op.cost)).collect();
        let ends = operations.iter().filter_map(|op| Some((op.complete?.saturating_add(window), op.cost)));
        let mut ends: Vec<(u64, u32)> = ends.collect();
        begins.sort_unstable_by_key(|begin| begin.0);
        ends.sort_unstable_by_key(|end| end.0);

        let mut times: Vec<u64> = Vec::with_capacity(begins.len() + ends.len());
        let mut costs: Vec<u64> = Vec::with_capacity(begins.len() + ends.len());
        let (mut begins, mut ends) = (begins.into_iter().peekable(), ends.into_iter().peekable());
        let mut cost = 0_u64;
        while let Some(time) = match (begins.peek(), ends.peek()) {
            (Some(begin), Some(end)) => Some(begin.0.min(end.0)),
            (begin, end) => begin.or(end).map(|next| next.0),
        } {
            while let Some((_, begun)) = begins.next_if(|next| next.0 == time) {
                cost += u64::from(begun);
            }
            while let Some((_, ended)) = ends.next_if(|next| next.0 == time) {
                cost -= u64::from(ended);
            }
            times.push(time);
            costs.push(cost);
        }
        Self { times, costs: MaxTree::new(&costs) }
    }

    /// The largest cost at any instant.
    pub(crate) fn peak(&self) -> u64 {
        self.costs.max(0, self.times.len()).unwrap_or(0)
    }

    /// The largest cost at any instant from `first` to `last`.
    pub(crate) fn peak_between(&self, first: u64, last: u64) -> u64 {
        // The cost at `first` was reached at the last change before it.
        let from = self.times.partition_point(|&time| time <= first).saturating_sub(1);
        let to = self.times.partition_point(|&time| time <= last);
        self.costs.max(from, to).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(invoke: u64, complete: u64) -> Interval {
        Interval { invoke, complete: Some(complete), cost: 1, index: 0 }
    }

    #[test]
    fn an_operation_counts_until_a_window_after_completion() {
        let profile = Profile::new(&[interval(5, 7)], 10);
        let at = |t| profile.peak_between(t, t);
        assert_eq!([at(4), at(5), at(16), at(17)], [0, 1, 1, 0]);
        assert_eq!(profile.peak_between(0, 5), 1);
        assert_eq!(profile.peak_between(17, 99), 0);
    }

    #[test]
    fn half_open_windows_do_not_meet_at_edges() {
        assert_eq!(Profile::new(&[interval(0, 0), interval(10, 10)], 10).peak(), 1);
        assert_eq!(Profile::new(&[interval(0, 1), interval(10, 10)], 10).peak(), 2);
    }

    #[test]
    fn without_operations_nothing_is_counted() {
        let profile = Profile::new(&[], 10);
        assert_eq!((profile.peak(), profile.peak_between(0, 100)), (0, 0));
    }
}
