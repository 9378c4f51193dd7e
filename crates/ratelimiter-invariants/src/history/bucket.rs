//! The token bucket: a cost of at most `b + r t` in any closed interval of length t.
//!
//! All is computed in one integer unit, so that no rounding decides: tokens times the window, in ticks of time. A tick is
//! a nanosecond, or a larger power of ten where the numbers would not fit; then times are rounded outwards, which keeps the
//! certain part certain and the possible part possible.
//!
//! - **Certain**: the operations wholly inside `[s, e]` cost more than `b + r (e - s)`, in every placement. The starts are swept
//!   downwards; a tree over the completions holds, for every end, the cost inside less the refill, and gives its maximum. O(n log n).
//! - **Possible**: the operations that meet `[s, e]` can all be placed in it, and cost A(e) - B(s), where A counts those invoked by
//!   e and B those completed before s. The two parts separate, so that one scan finds the maximum. O(n log n) for sorting.

use std::cmp::Reverse;

use super::Contract;
use super::sweep::Interval;
use super::tree::MaxTree;

/// The arithmetic of one contract over one history.
#[derive(Clone, Copy, Debug)]
struct Scale {
    /// Nanoseconds a tick.
    tick: u64,
    /// Units a token.
    token: i64,
    /// Units refilled a tick.
    refill: i64,
}

impl Scale {
    fn new(max: u32, window: u64, operations: &[Interval]) -> Self {
        let cost: u128 = operations.iter().map(|op| u128::from(op.cost)).sum();
        let span = operations.iter().map(|op| op.complete.unwrap_or(op.invoke)).max().unwrap_or(0);
        let mut tick = 1;
        // The largest sums are the whole cost in units, and the refill over the whole span: each at most an eighth of an i64.
        let fits = |tick: u64| {
            let largest = i64::MAX.unsigned_abs() / 8;
            (cost + u128::from(max)) * u128::from(window.div_ceil(tick)) < u128::from(largest)
                && u128::from(max) * u128::from(span.div_ceil(tick)) < u128::from(largest)
        };
        while !fits(tick) {
            tick *= 10;
        }
        let token = i64::try_from((window / tick).max(1)).unwrap_or(i64::MAX / 8);
        Self { tick, token, refill: max.into() }
    }

    fn down(self, time: u64) -> i64 {
        i64::try_from(time / self.tick).unwrap_or(i64::MAX / 8)
    }

    fn up(self, time: u64) -> i64 {
        i64::try_from(time.div_ceil(self.tick)).unwrap_or(i64::MAX / 8)
    }

    fn units(self, cost: u32) -> i64 {
        i64::from(cost) * self.token
    }

    /// Tokens that a bucket must hold for this many units, rounded up.
    fn tokens(self, units: i64) -> u64 {
        u64::try_from(units.max(0)).unwrap_or(0).div_ceil(self.token.unsigned_abs())
    }
}

/// For every end: the cost inside less the refill up to that end. Ends become active as the starts reach them.
struct Ends {
    /// Leaf n is `nodes[leaves + n]`; a node has the cost of its leaves, and the largest of (cost up to an end) - (refill to it).
    nodes: Vec<(i64, i64)>,
    leaves: usize,
}

const NEVER: i64 = i64::MIN / 2;

impl Ends {
    fn new(count: usize) -> Self {
        let leaves = count.next_power_of_two().max(1);
        Self { nodes: vec![(0, NEVER); 2 * leaves], leaves }
    }

    /// Adds a cost at end `at`, whose refill since the origin is `refill`.
    fn add(&mut self, at: usize, cost: i64, refill: i64) {
        let mut node = self.leaves + at;
        let inside = self.nodes[node].0 + cost;
        self.nodes[node] = (inside, inside - refill);
        while node > 1 {
            node /= 2;
            let (left, right) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
            self.nodes[node] = (left.0 + right.0, left.1.max(left.0 + right.1));
        }
    }

    fn largest(&self) -> i64 {
        self.nodes[1].1
    }

    /// The first end whose cost less refill is above `bound`, if any is.
    fn first_above(&self, bound: i64) -> Option<usize> {
        if self.largest() <= bound {
            return None;
        }
        let (mut node, mut before) = (1, 0);
        while node < self.leaves {
            let left = self.nodes[2 * node];
            if before + left.1 > bound {
                node *= 2;
            } else {
                before += left.0;
                node = 2 * node + 1;
            }
        }
        Some(node - self.leaves)
    }
}

/// The certain part: the size of the fullest bucket needed, in tokens, and the shortest interval that overflows one of
/// `max` tokens, as its first and last nanosecond.
pub(crate) fn certain(
    operations: &[Interval],
    contract: &Contract,
    window: u64,
) -> (u64, Option<(u64, u64)>) {
    let scale = Scale::new(contract.max(), window, operations);
    let mut completed: Vec<(u64, u64, u32)> =
        operations.iter().filter_map(|op| Some((op.invoke, op.complete?, op.cost))).collect();
    completed.sort_unstable_by_key(|op| Reverse(op.0));
    let mut ends: Vec<u64> = completed.iter().map(|op| op.1).collect();
    ends.sort_unstable();
    ends.dedup();
    let capacity = scale.units(contract.max());
    let mut tree = Ends::new(ends.len());
    let mut fullest = 0;
    let mut shortest: Option<(u64, u64)> = None;
    for (start, complete, cost) in completed {
        let at = ends.partition_point(|&end| end < complete);
        tree.add(at, scale.units(cost), scale.refill * scale.up(complete));
        let refilled = scale.refill * scale.down(start);
        fullest = fullest.max(tree.largest() + refilled);
        if let Some(end) = tree.first_above(capacity - refilled)
            && shortest.is_none_or(|(first, last)| ends[end] - start < last - first)
        {
            shortest = Some((start, ends[end]));
        }
    }
    (scale.tokens(fullest), shortest)
}

/// The possible part, and the bucket's possible use at any instant.
pub(crate) struct Possible {
    scale: Scale,
    /// Invokes, ascending, and the use of the bucket from each on, if all earlier operations fell as late as they can.
    invokes: Vec<u64>,
    uses: MaxTree<i64>,
    /// A(invokes[n]): the cost invoked by then.
    invoked: Vec<i64>,
    /// Completions, ascending, and the largest of r s - B(s) for s up to each.
    completions: Vec<u64>,
    origins: Vec<i64>,
    /// B just after completions[n].
    left: Vec<i64>,
}

impl Possible {
    pub(crate) fn new(operations: &[Interval], contract: &Contract, window: u64) -> Self {
        let scale = Scale::new(contract.max(), window, operations);
        let mut begins: Vec<(u64, u32)> = operations.iter().map(|op| (op.invoke, op.cost)).collect();
        begins.sort_unstable_by_key(|begin| begin.0);
        let mut ends: Vec<(u64, u32)> =
            operations.iter().filter_map(|op| Some((op.complete?, op.cost))).collect();
        ends.sort_unstable_by_key(|end| end.0);
        let (mut completions, mut origins, mut left) = (Vec::new(), Vec::new(), Vec::new());
        let (mut gone, mut best) = (0, i64::MIN / 2);
        for (complete, cost) in ends {
            // At s = complete the operation itself still meets the interval.
            best = best.max(scale.refill * scale.up(complete) - gone);
            gone += scale.units(cost);
            completions.push(complete);
            origins.push(best);
            left.push(gone);
        }
        let mut possible = Self {
            scale,
            invokes: begins.iter().map(|begin| begin.0).collect(),
            uses: MaxTree::new(&[]),
            invoked: Vec::with_capacity(begins.len()),
            completions,
            origins,
            left,
        };
        let mut invoked = 0;
        for (_, cost) in &begins {
            invoked += scale.units(*cost);
            possible.invoked.push(invoked);
        }
        let (mut invoked, mut completed, mut before) = (0, 0, 0);
        let uses = possible.invokes.iter().map(|&at| {
            invoked += count(&possible.invokes[invoked..], |&invoke| invoke <= at);
            completed += count(&possible.completions[completed..], |&complete| complete <= at);
            before += count(&possible.completions[before..], |&complete| complete < at);
            possible.use_of(at, invoked, completed, before)
        });
        let uses: Vec<i64> = uses.collect();
        possible.uses = MaxTree::new(&uses);
        possible
    }

    /// The largest of A(e) - r e + r s - B(s) for all s up to `at`, and e = `at`.
    fn use_at(&self, at: u64) -> i64 {
        let invoked = self.invokes.partition_point(|&invoke| invoke <= at);
        let completed = self.completions.partition_point(|&complete| complete <= at);
        let before = self.completions.partition_point(|&complete| complete < at);
        self.use_of(at, invoked, completed, before)
    }

    /// The same, given how many were invoked and completed by `at`, and how many completed before it.
    fn use_of(&self, at: u64, invoked: usize, completed: usize, before: usize) -> i64 {
        let invoked = invoked.checked_sub(1).map_or(0, |n| self.invoked[n]);
        let now = self.scale.down(at) * self.scale.refill;
        let gone = before.checked_sub(1).map_or(0, |n| self.left[n]);
        let origin = completed.checked_sub(1).map_or(i64::MIN / 2, |n| self.origins[n]);
        invoked - now + origin.max(now - gone)
    }

    /// The size of the fullest bucket that can have been needed, tokens.
    pub(crate) fn peak(&self) -> u64 {
        self.scale.tokens(self.uses.max(0, self.invokes.len()).unwrap_or(0))
    }

    /// The same at any instant from `first` to `last`.
    pub(crate) fn peak_between(&self, first: u64, last: u64) -> u64 {
        let from = self.invokes.partition_point(|&invoke| invoke < first);
        let to = self.invokes.partition_point(|&invoke| invoke <= last);
        let later = self.uses.max(from, to).unwrap_or(0);
        self.scale.tokens(later.max(self.use_at(first)))
    }
}

/// How many of the first times fulfil the condition.
fn count(times: &[u64], condition: impl Fn(&u64) -> bool) -> usize {
    times.iter().take_while(|time| condition(time)).count()
}
