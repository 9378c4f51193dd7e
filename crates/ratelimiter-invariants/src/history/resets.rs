//! The fixed contract where the edges are not known: resets of the key at least W apart, with a
//! cost of at most L from each to the next.
//!
//! This is the weakest of three kinds of fixed windows. A grid of windows is such a sequence, and
//! so are windows that begin with the first check after the last one ended. A violation of this
//! kind is therefore one of all three, and a limiter that keeps any of them keeps this one.
//!
//! - **Certain**: in `(s, s + k W]` lie at most k resets, so at most k + 1 windows share the closed
//!   span `[s, s + k W]`. A cost wholly inside above (k + 1) L is too much in every placement. The
//!   spans of k = 0 and of powers of two up to the whole history are swept: O(n log(T / W)).
//! - **Possible**: one sequence of resets for which no window can hold more than L, wherever the
//!   decisions lie. The operations that can be in `[p, r)` cost A(r) - B(p), where A counts those
//!   invoked before r and B those completed before p. Between two invokes A is constant, so the
//!   resets that may stand there begin at one instant and go on to the next invoke: this instant is
//!   W after the earliest reset p that A permits. O(n).
//!
//! ```text
//!   invokes      |  |  |          |   |                |
//!   resets     ....................    ----            ------------->
//!              p may stand here        r >= p + W and A(r) - B(p) <= L
//! ```

use std::collections::VecDeque;

use super::axis::{HistoryAxis, OpSelection};
use super::steps::{self, signed};

/// A reset, or the bound of one, before all operations.
const BEFORE_ALL: i64 = i64::MIN / 2;

/// The largest cost that some window holds for certain, and, where it is above `max`, the largest
/// cost that the windows of a span may hold: a span of the history wholly holds more.
pub(crate) fn certain(axis: &HistoryAxis, max: u64, window: u64) -> (u64, Option<u64>) {
    let first = axis.operations().first().map_or(0, |op| op.invoke);
    let last = axis.ends().last().map_or(0, |end| end.complete);
    let whole = last.saturating_sub(first).div_ceil(window);
    let lengths = std::iter::successors(Some(1_u64), |windows| windows.checked_mul(2));
    let mut peak = 0;
    let mut broken = None;
    for windows in [0].into_iter().chain(lengths) {
        let length = windows.saturating_mul(window).saturating_add(1);
        let inside = steps::peak(steps::certain(axis, length));
        let held = inside.div_ceil(windows + 1);
        if held > max && broken.is_none() {
            broken = Some(max * (windows + 1));
        }
        peak = peak.max(held);
        if windows >= whole {
            break;
        }
    }
    (peak, broken)
}

/// Whether some sequence of resets has no window that can hold more than `max`.
pub(crate) fn exist(axis: &HistoryAxis, counted: OpSelection, max: u64, window: u64) -> bool {
    let window = signed(window);
    let mut begins = axis.begins(counted).peekable();
    let mut ends = axis.ends().iter();
    // The resets that may stand, as the first and the last of each gap between invokes.
    let mut resets = VecDeque::from([(
        BEFORE_ALL,
        begins.peek().map_or(i64::MAX, |op| signed(op.invoke)),
    )]);
    let (mut invoked, mut completed, mut earliest) = (0, 0, BEFORE_ALL);
    while let Some(op) = begins.next() {
        invoked += u64::from(op.cost);
        while completed + max < invoked {
            let Some(end) = ends.next() else {
                return false;
            };
            completed += u64::from(end.cost);
            earliest = signed(end.complete) + 1;
        }
        while resets.front().is_some_and(|gap| gap.1 < earliest) {
            resets.pop_front();
        }
        let Some(&(first, _)) = resets.front() else {
            return false;
        };
        let from = (first.max(earliest) + window).max(signed(op.invoke) + 1);
        let to = begins.peek().map_or(i64::MAX, |op| signed(op.invoke));
        if from <= to {
            resets.push_back((from, to));
        }
    }
    true
}
