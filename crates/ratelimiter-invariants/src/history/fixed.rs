//! The fixed contract: aligned windows, whose alignment is not known.
//!
//! A window that begins at s is `[s, s + W)`. An operation over `[i, c]` lies wholly inside it exactly for s in `(c - W, i]`, and can
//! have been decided in it exactly for s in `(i - W, c]`. Either way the cost is a step function of s, and an alignment a
//! has as its windows s = a, a + W, a + 2 W, ... So the function is folded at W, and its largest value on each alignment
//! is found by bisection: where do the windows above some cost cover every alignment?
//!
//! ```text
//!   cost(s)   __--__---_____-__      largest over the folds at a:     the contract holds if the smallest of
//!             |  W  |  W  |  W  |    max(cost(a), cost(a + W), ...)   these is at most max
//! ```
//!
//! With the certain cost the smallest of the largest is at most the truth: in every placement, each window holds at
//! least the cost that lies wholly inside. With the possible cost it is at least the truth: the best alignment for the
//! worst placement is no worse than that alignment. O(n log n + n log c + T / W) for a history of length T and a
//! largest cost of c.

use super::sweep::Interval;

/// A range of window starts `[from, to)` with one cost, folded: `from` and `to` lie in `[0, W]`.
#[derive(Clone, Copy, Debug)]
struct Piece {
    from: i64,
    to: i64,
    cost: u64,
    /// Multiples of W that were taken off.
    fold: i64,
}

/// A step function of the window's start, folded at W.
pub(crate) struct Folded {
    pieces: Vec<Piece>,
    window: i64,
}

impl Folded {
    /// The cost that lies wholly inside.
    pub(crate) fn certain(operations: &[Interval], window: u64) -> Self {
        let window = signed(window);
        Self::new(
            operations.iter().filter_map(|op| {
                let (invoke, complete) = (signed(op.invoke), signed(op.complete?));
                Some((complete - window + 1, invoke + 1, op.cost))
            }),
            window,
        )
    }

    /// The cost that can have been decided inside. Beyond `horizon` a window holds nothing but operations without an end,
    /// as many as the window before it.
    pub(crate) fn possible(operations: &[Interval], window: u64, horizon: u64) -> Self {
        let window = signed(window);
        let end = signed(horizon).saturating_add(window);
        Self::new(
            operations
                .iter()
                .map(|op| (signed(op.invoke) - window + 1, op.complete.map_or(end, signed) + 1, op.cost)),
            window,
        )
    }

    /// From ranges `[from, to)` of window starts, each with a cost.
    fn new(ranges: impl Iterator<Item = (i64, i64, u32)>, window: i64) -> Self {
        let mut changes: Vec<(i64, i64)> = Vec::new();
        for (from, to, cost) in ranges {
            if from < to {
                changes.push((from, i64::from(cost)));
                changes.push((to, -i64::from(cost)));
            }
        }
        changes.sort_unstable_by_key(|change| change.0);
        let mut pieces = Vec::with_capacity(changes.len());
        let mut cost = 0;
        for pair in changes.windows(2) {
            cost += pair[0].1;
            let (mut from, to) = (pair[0].0, pair[1].0);
            while cost > 0 && from < to {
                let fold = from.div_euclid(window);
                let until = to.min((fold + 1) * window);
                let base = fold * window;
                pieces.push(Piece { from: from - base, to: until - base, cost: cost.unsigned_abs(), fold });
                from = until;
            }
        }
        Self { pieces, window }
    }

    /// The smallest, over all alignments, of the largest cost of any window: the smallest cost that not every alignment
    /// exceeds somewhere. O(n log c) for a largest cost of c.
    pub(crate) fn least_peak(&self) -> u64 {
        let (mut least, mut most) = (0, self.pieces.iter().map(|piece| piece.cost).max().unwrap_or(0));
        while least < most {
            let middle = least + (most - least) / 2;
            if self.exceeded_everywhere(middle) {
                least = middle + 1;
            } else {
                most = middle;
            }
        }
        least
    }

    /// Window starts, one or more for every alignment, each of a window that holds more than `max`. Nothing when some
    /// alignment has none.
    pub(crate) fn cover(&self, max: u64) -> Option<Vec<i64>> {
        let mut heavy: Vec<&Piece> = self.pieces.iter().filter(|piece| piece.cost > max).collect();
        heavy.sort_unstable_by_key(|piece| piece.from);
        let (mut covered, mut next) = (0, 0);
        let mut starts = Vec::new();
        while covered < self.window {
            let mut best: Option<&Piece> = None;
            while let Some(piece) = heavy.get(next).filter(|piece| piece.from <= covered) {
                if best.is_none_or(|b| piece.to > b.to) {
                    best = Some(piece);
                }
                next += 1;
            }
            let best = best.filter(|piece| piece.to > covered)?;
            starts.push(covered + best.fold * self.window);
            covered = best.to;
        }
        Some(starts)
    }

    /// Whether every alignment has a window that holds more than `max`.
    fn exceeded_everywhere(&self, max: u64) -> bool {
        let mut runs = self.runs(max);
        runs.sort_unstable();
        let mut covered = 0;
        for (from, to) in runs {
            if from > covered {
                return false;
            }
            covered = covered.max(to);
        }
        covered >= self.window
    }

    /// The longest ranges of one fold on which every piece costs more than `max`.
    fn runs(&self, max: u64) -> Vec<(i64, i64)> {
        let mut runs: Vec<(i64, i64)> = Vec::new();
        let mut fold = None;
        for piece in self.pieces.iter().filter(|piece| piece.cost > max) {
            match runs.last_mut() {
                Some((_, to)) if *to == piece.from && fold == Some(piece.fold) => *to = piece.to,
                _ => runs.push((piece.from, piece.to)),
            }
            fold = Some(piece.fold);
        }
        runs
    }
}

/// Three hundred years of nanoseconds are below the largest i64 by far.
fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}
