//! The aligned contract: windows of one grid, whose alignment is not known.
//!
//! The cost of a window is a step function of its start s (see `steps`), and an alignment a has as
//! its windows s = a, a + W, a + 2 W, ... So the function is folded at W. All folds are walked at
//! once from a = 0 to W, and a tree holds their costs at a: its root is the largest cost of any
//! window of the alignment.
//!
//! ```text
//!   cost(s)   __--__---_____-__      largest over the folds at a:     the contract holds if
//!             |  W  |  W  |  W  |    max(cost(a), cost(a + W), ...)   the smallest is at most max
//! ```
//!
//! With the certain cost the smallest of the largest is at most the truth: in every placement, each
//! window holds at least the cost that lies wholly inside. With the possible cost it is at least
//! the truth: the best alignment for the worst placement is no worse than that alignment. O(n log
//! n).

use super::tree::MaxTree;

/// A change of the cost in one fold.
#[derive(Clone, Copy, Debug)]
struct FoldStep {
    /// Distance from the start of the fold, below W.
    at: i64,
    fold: u32,
    cost: u32,
}

/// The changes of all folds, by distance from the start of the fold.
struct WindowFolds {
    rises: Vec<FoldStep>,
    falls: Vec<FoldStep>,
    /// The cost at the start of each fold in which it changes.
    costs: MaxTree<u64>,
    /// The largest cost of a fold in which it does not change.
    least: u64,
}

impl WindowFolds {
    /// From the changes of a step function in order.
    fn new(steps: impl Iterator<Item = (i64, i64)>, window: i64) -> Self {
        let (mut rises, mut falls, mut costs) = (Vec::new(), Vec::new(), Vec::new());
        let (mut cost, mut least) = (0_i64, 0);
        let mut end = i64::MIN;
        for (at, change) in steps {
            if at >= end {
                let start = at.div_euclid(window) * window;
                if start > end {
                    least = least.max(cost);
                }
                costs.push(cost.unsigned_abs());
                end = start + window;
            }
            let fold = costs.len() as u32 - 1;
            let list = if change > 0 { &mut rises } else { &mut falls };
            list.push(FoldStep {
                at: at - (end - window),
                fold,
                cost: change.unsigned_abs() as u32,
            });
            cost += change;
        }
        rises.sort_unstable_by_key(|change| change.at);
        falls.sort_unstable_by_key(|change| change.at);
        let least = least.max(cost).unsigned_abs();
        Self {
            rises,
            falls,
            costs: MaxTree::new(costs),
            least,
        }
    }
}

/// The smallest, over all alignments, of the largest cost of any window, and its alignment.
pub(crate) fn least_peak(steps: impl Iterator<Item = (i64, i64)>, window: i64) -> (u64, i64) {
    let WindowFolds {
        rises,
        falls,
        mut costs,
        least,
    } = WindowFolds::new(steps, window);
    let (mut rises, mut falls) = (rises.iter().peekable(), falls.iter().peekable());
    let mut smallest = (u64::MAX, 0);
    let mut next = Some(0);
    while let Some(at) = next {
        while let Some(fall) = falls.next_if(|fall| fall.at == at) {
            let fold = fall.fold as usize;
            costs.set(fold, costs.get(fold) - u64::from(fall.cost));
        }
        while let Some(rise) = rises.next_if(|rise| rise.at == at) {
            let fold = rise.fold as usize;
            costs.set(fold, costs.get(fold) + u64::from(rise.cost));
        }
        smallest = smallest.min((costs.largest().unwrap_or(0), at));
        let later = [rises.peek(), falls.peek()];
        next = later.into_iter().flatten().map(|change| change.at).min();
    }
    (smallest.0.max(least), smallest.1)
}

/// A range of window starts `[from, to)` that a contract refutes, folded: `from` and `to` lie in
/// `[0, W]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowPiece {
    from: i64,
    to: i64,
    /// Start of the fold.
    fold: i64,
}

impl WindowPiece {
    /// Adds the starts from `since` up to `until`, fold by fold. Those of a window and more are
    /// every alignment.
    pub(crate) fn fold(mut since: i64, until: i64, window: i64, pieces: &mut Vec<Self>) {
        let until = until.min(since.saturating_add(window));
        while since < until {
            let fold = since.div_euclid(window) * window;
            let to = until.min(fold + window);
            pieces.push(Self {
                from: since - fold,
                to: to - fold,
                fold,
            });
            since = to;
        }
    }
}

/// Window starts, one or more for every alignment, each in a piece. Nothing when some alignment has
/// none. O(n log n).
pub(crate) fn cover(mut pieces: Vec<WindowPiece>, window: i64) -> Option<Vec<i64>> {
    pieces.sort_unstable_by_key(|piece| piece.from);
    let mut pieces = pieces.into_iter().peekable();
    let (mut covered, mut best) = (0, None::<WindowPiece>);
    let mut starts = Vec::new();
    while covered < window {
        while let Some(piece) = pieces.next_if(|piece| piece.from <= covered) {
            if best.is_none_or(|best| piece.to > best.to) {
                best = Some(piece);
            }
        }
        let best = best.filter(|best| best.to > covered)?;
        starts.push(best.fold + covered);
        covered = best.to;
    }
    Some(starts)
}

/// The pieces on which the cost is above `max`.
pub(crate) fn heavy_pieces(
    steps: impl Iterator<Item = (i64, i64)>,
    window: i64,
    max: u64,
) -> Vec<WindowPiece> {
    let mut pieces = Vec::new();
    let (mut cost, mut since) = (0_i64, 0);
    for (at, change) in steps {
        if cost.unsigned_abs() > max {
            WindowPiece::fold(since, at, window, &mut pieces);
        }
        cost += change;
        since = at;
    }
    pieces
}
