//! The token bucket: a cost of at most `b + r t` in any closed interval of length t.
//!
//! All is computed in one integer unit, since rounding must not decide: tokens times the window, in
//! ticks of time. A tick is a nanosecond, or a larger power of ten where the numbers would not fit;
//! then times are rounded outwards, which keeps the certain part certain and the possible part
//! possible.
//!
//! - **Certain**: the operations wholly inside `[s, e]` cost more than `b + r (e - s)`, in every
//!   placement. The starts are swept downwards; a tree over the completions holds, for every end,
//!   the cost inside less the refill, and gives its maximum. O(n log n).
//! - **Possible**: the operations that meet `[s, e]` can all be placed in it, and cost A(e) - B(s),
//!   where A counts those invoked by e and B those completed before s. The two parts separate: one
//!   scan finds the maximum. O(n).

use std::iter::Peekable;
use std::slice::Iter;

use super::axis::{Completion, HistoryAxis, Interval, OpSelection};
use super::level::QuotaLevel;

/// The arithmetic of one contract over one history.
#[derive(Clone, Copy, Debug)]
struct BucketScale {
    /// Nanoseconds a tick.
    tick: u64,
    /// Units a token.
    token: i64,
    /// Units refilled a tick.
    refill: i64,
}

impl BucketScale {
    fn new(max: u32, window: u64, axis: &HistoryAxis) -> Self {
        let cost: u128 = axis.operations().iter().map(|op| u128::from(op.cost)).sum();
        let last_invoke = axis.operations().last().map_or(0, |op| op.invoke);
        let span = axis
            .ends()
            .last()
            .map_or(0, |end| end.complete)
            .max(last_invoke);
        let mut tick = 1;
        // The largest sums are the whole cost in units, and the refill over the whole span: each at
        // most an eighth of an i64.
        let fits = |tick: u64| {
            let largest = i64::MAX.unsigned_abs() / 8;
            (cost + u128::from(max)) * u128::from(window.div_ceil(tick)) < u128::from(largest)
                && u128::from(max) * u128::from(span.div_ceil(tick)) < u128::from(largest)
        };
        while !fits(tick) {
            tick *= 10;
        }
        let token = i64::try_from((window / tick).max(1)).unwrap_or(i64::MAX / 8);
        Self {
            tick,
            token,
            refill: max.into(),
        }
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
        u64::try_from(units.max(0))
            .unwrap_or(0)
            .div_ceil(self.token.unsigned_abs())
    }
}

/// Ends under one leaf of the tree.
const BLOCK: usize = 16;

/// Less than any cost less a refill.
const NEVER: i64 = i64::MIN / 2;

/// For every end: the cost inside less the refill up to that end. Ends count as soon as the starts
/// have reached an operation that completes there.
struct InsideTree<'a> {
    scale: BucketScale,
    ends: &'a [Completion],
    /// Whether the operation of each end is inside.
    inside: Vec<bool>,
    /// Leaf n is `nodes[leaves + n]`, for a block of ends. A node has the cost of its ends, and the
    /// largest of (cost up to an end) - (refill to it).
    nodes: Vec<(i64, i64)>,
    leaves: usize,
}

impl<'a> InsideTree<'a> {
    fn new(scale: BucketScale, ends: &'a [Completion]) -> Self {
        let leaves = ends.len().div_ceil(BLOCK).next_power_of_two();
        Self {
            scale,
            ends,
            inside: vec![false; ends.len()],
            nodes: vec![(0, NEVER); 2 * leaves],
            leaves,
        }
    }

    /// Adds the operation that completes at this end.
    fn add(&mut self, place: usize) {
        self.inside[place] = true;
        let (mut cost, mut largest) = (0, NEVER);
        for (_, value, up_to) in self.block(place / BLOCK) {
            (cost, largest) = (up_to, largest.max(value));
        }
        let mut node = self.leaves + place / BLOCK;
        self.nodes[node] = (cost, largest);
        while node > 1 {
            node /= 2;
            let (left, right) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
            self.nodes[node] = (left.0 + right.0, left.1.max(left.0 + right.1));
        }
    }

    /// The ends of a block that count: place, cost in the block up to it less the refill, and that
    /// cost.
    fn block(&self, block: usize) -> impl Iterator<Item = (usize, i64, i64)> {
        let places = block * BLOCK..self.ends.len().min((block + 1) * BLOCK);
        let mut cost = 0;
        places
            .filter(|&place| self.inside[place])
            .map(move |place| {
                let end = &self.ends[place];
                cost += self.scale.units(end.cost);
                (
                    place,
                    cost - self.scale.refill * self.scale.up(end.complete),
                    cost,
                )
            })
    }

    fn largest(&self) -> i64 {
        self.nodes[1].1
    }

    /// The first end whose cost less refill is above `bound`, if any is.
    fn first_above(&self, bound: i64) -> Option<u64> {
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
        let mut block = self.block(node - self.leaves);
        block
            .find(|(_, value, _)| before + value > bound)
            .map(|(place, ..)| self.ends[place].complete)
    }
}

/// The certain part: the size of the fullest bucket needed, in tokens, and the shortest interval
/// that overflows one of `max` tokens, as its first and last nanosecond.
pub(crate) fn certain(axis: &HistoryAxis, max: u32, window: u64) -> (u64, Option<(u64, u64)>) {
    let scale = BucketScale::new(max, window, axis);
    let capacity = scale.units(max);
    let mut fullest = 0;
    let mut shortest: Option<(u64, u64)> = None;
    by_start(scale, axis, |start, refilled, tree| {
        fullest = fullest.max(tree.largest() + refilled);
        if let Some(end) = tree.first_above(capacity - refilled)
            && shortest.is_none_or(|(first, last)| end - start < last - first)
        {
            shortest = Some((start, end));
        }
    });
    (scale.tokens(fullest), shortest)
}

/// Calls `visit` with each start, the latest first, the refill up to it, and the tree of the ends
/// of the operations that begin there or later.
fn by_start(
    scale: BucketScale,
    axis: &HistoryAxis,
    mut visit: impl FnMut(u64, i64, &InsideTree<'_>),
) {
    let places = axis.places_of_ends();
    let mut tree = InsideTree::new(scale, axis.ends());
    for (op, place) in axis.operations().iter().zip(places).rev() {
        if op.complete().is_some() {
            tree.add(place as usize);
            visit(op.invoke, scale.refill * scale.down(op.invoke), &tree);
        }
    }
}

/// The certain part over time: tokens that a bucket must have given up to an instant and not got
/// back. Time is mirrored, so that the starts are ends.
struct CertainLevel {
    scale: BucketScale,
    /// Ends, the latest first, and the units used there.
    rises: Vec<(u64, i64)>,
}

/// The certain level of a bucket over these operations.
pub(crate) fn certain_level(axis: &HistoryAxis, max: u32, window: u64) -> impl QuotaLevel {
    let last = axis.ends().last().map_or(0, |end| end.complete);
    let mirrored = axis
        .operations()
        .iter()
        .filter_map(|op| Some(op.spanning(last - op.complete()?, last - op.invoke)));
    let scale = BucketScale::new(max, window, axis);
    let mut rises = Vec::new();
    let mirrored = HistoryAxis::new(mirrored.collect());
    by_start(scale, &mirrored, |start, refilled, tree| {
        rises.push((last - start, tree.largest() + refilled));
    });
    rises.reverse();
    CertainLevel { scale, rises }
}

impl QuotaLevel for CertainLevel {
    fn at(&mut self, instant: u64) -> u64 {
        while let [.., next, _] = self.rises[..]
            && next.0 <= instant
        {
            self.rises.pop();
        }
        let latest = self.rises.last().filter(|rise| rise.0 <= instant);
        latest.map_or(0, |&(at, units)| {
            let refilled = self.scale.refill * self.scale.down(instant - at);
            self.scale.tokens(units - refilled)
        })
    }
}

/// The possible part: tokens that a bucket must hold at an instant e, the largest of A(e) - r e + r
/// s - B(s) for all s up to e.
struct BucketLevel<'a, I: Iterator<Item = &'a Interval>> {
    scale: BucketScale,
    begins: Peekable<I>,
    /// A(e).
    invoked: i64,
    /// Ends up to e, and those before it.
    ends: Peekable<Iter<'a, Completion>>,
    before: Peekable<Iter<'a, Completion>>,
    /// Cost of the ends up to e, and B(e).
    completed: i64,
    gone: i64,
    /// The largest of r s - B(s) for completions s up to e.
    origin: i64,
}

/// The level of a bucket over these operations.
pub(crate) fn bucket_level(
    axis: &HistoryAxis,
    counted: OpSelection,
    max: u32,
    window: u64,
) -> impl QuotaLevel {
    BucketLevel {
        scale: BucketScale::new(max, window, axis),
        begins: axis.begins(counted).peekable(),
        invoked: 0,
        ends: axis.ends().iter().peekable(),
        before: axis.ends().iter().peekable(),
        completed: 0,
        gone: 0,
        origin: NEVER,
    }
}

impl<'a, I: Iterator<Item = &'a Interval>> QuotaLevel for BucketLevel<'a, I> {
    fn at(&mut self, instant: u64) -> u64 {
        let scale = self.scale;
        while let Some(op) = self.begins.next_if(|op| op.invoke <= instant) {
            self.invoked += scale.units(op.cost);
        }
        while let Some(end) = self.ends.next_if(|end| end.complete <= instant) {
            // At s = complete the operation itself still meets the interval.
            self.origin = self
                .origin
                .max(scale.refill * scale.up(end.complete) - self.completed);
            self.completed += scale.units(end.cost);
        }
        while let Some(end) = self.before.next_if(|end| end.complete < instant) {
            self.gone += scale.units(end.cost);
        }
        let now = scale.refill * scale.down(instant);
        scale.tokens(self.invoked - now + self.origin.max(now - self.gone))
    }
}
