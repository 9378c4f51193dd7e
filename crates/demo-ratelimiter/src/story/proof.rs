use std::time::Duration;

use demo_core::{IntervalRow, Intervals};
use ratelimiter_api::Limit;
use ratelimiter_invariants::Witness;

/// A witness as intervals on one axis: each admission was decided within its own.
pub(super) fn picture(witness: &Witness, limit: Limit) -> Intervals {
    let ms = |time: Duration| time.saturating_sub(witness.start).as_secs_f64() * 1e3;
    let rows: Vec<_> = witness
        .operations
        .iter()
        .map(|op| IntervalRow {
            label: op.node.to_string(),
            from: ms(op.invoke),
            to: ms(op.complete),
        })
        .collect();
    let (count, span) = (rows.len(), witness.span.as_secs_f64() * 1e3);
    Intervals {
        title: format!("{count} admissions within {span:.1} ms, where {limit} may pass"),
        unit: "ms".into(),
        allowed: usize::try_from(limit.admissions()).ok(),
        rows,
    }
}
