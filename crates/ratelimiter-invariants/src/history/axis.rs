//! The operations of a history on one axis of time, sorted by both of their ends.
//!
//! Every bound is a sweep over the two orders; both are made once.

/// The completion of an operation that may be decided at any later time.
const NEVER: u64 = u64::MAX;

/// An operation on the axis: nanoseconds and its cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) invoke: u64,
    complete: u64,
    pub(crate) cost: u32,
    index: u32,
}

impl Interval {
    /// The operation at `index` of the history. Without a completion the decision may fall at
    /// any time from `invoke` on.
    pub(crate) fn new(invoke: u64, complete: Option<u64>, cost: u32, index: u32) -> Self {
        Self {
            invoke,
            complete: complete.map_or(NEVER, |complete| complete.min(NEVER - 1)),
            cost,
            index,
        }
    }

    pub(crate) fn complete(&self) -> Option<u64> {
        (self.complete != NEVER).then_some(self.complete)
    }

    /// The same operation over another span.
    pub(crate) fn spanning(self, invoke: u64, complete: u64) -> Self {
        Self::new(invoke, Some(complete), self.cost, self.index)
    }

    /// Place of the operation in the history.
    pub(crate) fn index(&self) -> usize {
        self.index as usize
    }
}

/// The completion of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub(crate) complete: u64,
    pub(crate) cost: u32,
    /// Place of the operation in the order of invokes.
    place: u32,
}

/// The operations that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpSelection {
    /// All.
    All,
    /// Those with a completion.
    Completed,
}

/// Operations by invoke and by completion. Made in O(n log n).
#[derive(Debug, Default)]
pub(crate) struct HistoryAxis {
    operations: Vec<Interval>,
    ends: Vec<Completion>,
}

impl HistoryAxis {
    pub(crate) fn new(mut operations: Vec<Interval>) -> Self {
        operations.sort_unstable_by_key(|op| op.invoke);
        let mut ends = Vec::with_capacity(operations.len());
        ends.extend((0..).zip(&operations).filter_map(|(place, op)| {
            Some(Completion {
                complete: op.complete()?,
                cost: op.cost,
                place,
            })
        }));
        ends.sort_unstable_by_key(|end| end.complete);
        Self { operations, ends }
    }

    /// The operations by invoke.
    pub(crate) fn operations(&self) -> &[Interval] {
        &self.operations
    }

    /// Those that count, by invoke.
    pub(crate) fn begins(
        &self,
        counted: OpSelection,
    ) -> impl DoubleEndedIterator<Item = &Interval> {
        self.operations
            .iter()
            .filter(move |op| counted == OpSelection::All || op.complete != NEVER)
    }

    /// The completions in order.
    pub(crate) fn ends(&self) -> &[Completion] {
        &self.ends
    }

    /// The operation that an end belongs to.
    pub(crate) fn of(&self, end: &Completion) -> &Interval {
        &self.operations[end.place as usize]
    }

    /// For each operation, the place of its completion among the ends; 0 for one without.
    pub(crate) fn places_of_ends(&self) -> Vec<u32> {
        let mut places = vec![0; self.operations.len()];
        for (place, end) in (0..).zip(&self.ends) {
            places[end.place as usize] = place;
        }
        places
    }

    /// The fewest operations wholly inside a span whose cost is above `max`. Of equal costs, those
    /// that come first in the history.
    pub(crate) fn heaviest(&self, first: u64, last: u64, max: u64) -> Vec<usize> {
        let from = self.operations.partition_point(|op| op.invoke < first);
        let begun = self.operations[from..]
            .iter()
            .take_while(|op| op.invoke <= last);
        Self::fewest(begun.filter(|op| op.complete <= last).collect(), max)
    }

    /// The fewest of these operations whose cost is above `max`. Of equal costs, those that come
    /// first in the history.
    pub(crate) fn fewest(mut of: Vec<&Interval>, max: u64) -> Vec<usize> {
        of.sort_unstable_by_key(|op| (std::cmp::Reverse(op.cost), op.index));
        let mut cost = 0;
        let needed = of.iter().take_while(|op| {
            let more = cost <= max;
            cost += u64::from(op.cost);
            more
        });
        needed.map(|op| op.index()).collect()
    }
}
