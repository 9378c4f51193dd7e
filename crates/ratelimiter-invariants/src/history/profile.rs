use super::sweep::Interval;

/// How many of some operations can have been decided in the window `(t - W, t]`, for every instant `t`.
///
/// An operation over `[invoke, complete]` can be placed in that window exactly while `invoke <= t < complete + W`. The
/// windows of different operations do not bind each other, so all that can be placed can be placed together: the count
/// at `t` is reached, not merely a bound.
///
/// ```text
///   invoke          complete              complete + W
///     |----------------|- - - - - - - - - - - -)          counted from invoke, up to but not at complete + W
/// ```
pub(crate) struct Profile {
    /// When the count changes, ascending.
    times: Vec<u64>,
    /// A tree of maxima: the counts from each of `times` on are its leaves, `tree[times.len()..]`, and the parent of `n`
    /// is `n / 2`.
    tree: Vec<u32>,
}

impl Profile {
    /// Instants are nanoseconds; an interval that never completes is counted for ever.
    pub(crate) fn new(operations: &[Interval], window: u64) -> Self {
        let mut begins: Vec<u64> = operations.iter().map(|op| op.invoke).collect();
        let ends = operations.iter().filter_map(|op| op.complete);
        let mut ends: Vec<u64> = ends.map(|complete| complete.saturating_add(window)).collect();
        begins.sort_unstable();
        ends.sort_unstable();

        let mut times: Vec<u64> = Vec::with_capacity(begins.len() + ends.len());
        let mut counts: Vec<u32> = Vec::with_capacity(begins.len() + ends.len());
        let (mut begun, mut ended) = (0, 0);
        while let Some(&time) = match (begins.get(begun), ends.get(ended)) {
            (Some(begin), Some(end)) => Some(begin.min(end)),
            (begin, end) => begin.or(end),
        } {
            begun += begins[begun..].iter().take_while(|&&begin| begin == time).count();
            ended += ends[ended..].iter().take_while(|&&end| end == time).count();
            times.push(time);
            counts.push(u32::try_from(begun - ended).unwrap_or(u32::MAX));
        }

        let leaves = counts.len();
        let mut tree = vec![0; leaves];
        tree.append(&mut counts);
        for parent in (1..leaves).rev() {
            tree[parent] = tree[2 * parent].max(tree[2 * parent + 1]);
        }
        Self { times, tree }
    }

    /// The largest count at any instant.
    pub(crate) fn peak(&self) -> u32 {
        self.tree[self.times.len()..].iter().copied().max().unwrap_or(0)
    }

    /// The largest count at any instant from `first` to `last`.
    pub(crate) fn peak_between(&self, first: u64, last: u64) -> u32 {
        let leaves = self.times.len();
        // the count at `first` was reached at the last change before it
        let mut from = self.times.partition_point(|&time| time <= first).saturating_sub(1) + leaves;
        let mut to = self.times.partition_point(|&time| time <= last) + leaves;
        let mut peak = 0;
        while from < to {
            if from % 2 == 1 {
                peak = peak.max(self.tree[from]);
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                peak = peak.max(self.tree[to]);
            }
            from /= 2;
            to /= 2;
        }
        peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(invoke: u64, complete: u64) -> Interval {
        Interval { invoke, complete: Some(complete), index: 0 }
    }

    #[test]
    fn an_operation_counts_from_its_invoke_until_a_window_after_its_completion() {
        let profile = Profile::new(&[interval(5, 7)], 10);
        let at = |t| profile.peak_between(t, t);
        assert_eq!([at(4), at(5), at(16), at(17)], [0, 1, 1, 0]);
        assert_eq!(profile.peak_between(0, 5), 1);
        assert_eq!(profile.peak_between(17, 99), 0);
    }

    #[test]
    fn one_that_begins_when_another_leaves_does_not_meet_it() {
        assert_eq!(Profile::new(&[interval(0, 0), interval(10, 10)], 10).peak(), 1);
        assert_eq!(Profile::new(&[interval(0, 1), interval(10, 10)], 10).peak(), 2);
    }

    #[test]
    fn without_operations_nothing_is_counted() {
        let profile = Profile::new(&[], 10);
        assert_eq!((profile.peak(), profile.peak_between(0, 100)), (0, 0));
    }
}
