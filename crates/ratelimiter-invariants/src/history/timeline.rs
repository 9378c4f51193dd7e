use std::fmt;
use std::time::Duration;

use ratelimiter_api::Operation;

use super::Witness;
use crate::text::HumanDuration;

const MIN_WIDTH: usize = 40;
const MAX_WIDTH: usize = 240;
const MAX_LABEL: usize = 21;
const MIN_BAR: usize = 12;
const MAX_ROWS: usize = 24;

/// A witness as a picture, for a terminal or a log: one row an admission, the bar from its invoke
/// to its completion.
///
/// ```text
/// 3 admissions within 90 ms, limit 2/1s
/// node-2 [====================]                   0.000..50.000 ms
/// node-1         [=============================] 20.000..90.000 ms
/// node-3                  |                      40.000..40.000 ms
/// ```
///
/// A line has at least 40 and at most 240 columns; of more than 24 admissions the ones in the
/// middle are left out.
#[derive(Clone, Copy, Debug)]
pub struct Timeline<'a> {
    witness: &'a Witness,
    width: usize,
}

/// How a row's columns share the width.
struct RowLayout {
    label: usize,
    bar: usize,
    /// Zero where there is no room for the times.
    times: usize,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(witness: &'a Witness, width: usize) -> Self {
        Self {
            witness,
            width: width.clamp(MIN_WIDTH, MAX_WIDTH),
        }
    }

    fn layout<'o>(&self, rows: impl Iterator<Item = &'o Operation> + Clone) -> RowLayout {
        let label = rows
            .clone()
            .map(|op| op.node.as_str().chars().count())
            .max()
            .unwrap_or(0)
            .min(MAX_LABEL);
        let times = rows.map(|op| self.times(op).len() + 1).max().unwrap_or(0);
        let room = self.width - label - 1;
        let times = if room >= times + MIN_BAR { times } else { 0 };
        RowLayout {
            label,
            bar: room - times,
            times,
        }
    }

    fn row(&self, operation: &Operation, layout: &RowLayout) -> String {
        let RowLayout { label, bar, times } = *layout;
        let from = self.column(operation.invoke, bar);
        let to = self.column(operation.complete, bar);
        let cell = |n: usize| match n {
            n if n == from && n == to => '|',
            n if n == from => '[',
            n if n == to => ']',
            n if (from..to).contains(&n) => '=',
            _ => ' ',
        };
        let drawn: String = (0..bar).map(cell).collect();
        let node: String = operation.node.as_str().chars().take(MAX_LABEL).collect();
        if times == 0 {
            return format!("{node:label$} {drawn}");
        }
        format!("{node:label$} {drawn}{:>times$}", self.times(operation))
    }

    /// Where a time falls in a bar of so many columns.
    fn column(&self, time: Duration, columns: usize) -> usize {
        let span = self.witness.span.as_nanos().max(1);
        let since = time.saturating_sub(self.witness.start).as_nanos().min(span);
        let last = columns.saturating_sub(1) as u128;
        usize::try_from((since * last + span / 2) / span).unwrap_or(0)
    }

    fn times(&self, operation: &Operation) -> String {
        let ms = |time: Duration| time.saturating_sub(self.witness.start).as_secs_f64() * 1e3;
        format!(
            "{:.3}..{:.3} ms",
            ms(operation.invoke),
            ms(operation.complete)
        )
    }
}

impl fmt::Display for Timeline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Witness {
            contract,
            operations,
            span,
            ..
        } = self.witness;
        let found = format!(
            "{} within {},",
            self.witness.counted(),
            HumanDuration(*span)
        );
        let limit = format!("limit {contract}");
        let gap = if found.len() + 1 + limit.len() <= self.width {
            " "
        } else {
            "\n"
        };
        write!(f, "{found}{gap}{limit}")?;

        let (head, tail) = if operations.len() <= MAX_ROWS {
            (operations.as_slice(), &[][..])
        } else {
            (
                &operations[..MAX_ROWS / 2],
                &operations[operations.len() - MAX_ROWS / 2..],
            )
        };
        let layout = self.layout(head.iter().chain(tail));
        for operation in head {
            write!(f, "\n{}", self.row(operation, &layout))?;
        }
        if !tail.is_empty() {
            write!(
                f,
                "\n... {} more ...",
                operations.len() - head.len() - tail.len()
            )?;
        }
        for operation in tail {
            write!(f, "\n{}", self.row(operation, &layout))?;
        }
        Ok(())
    }
}
