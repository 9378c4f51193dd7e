use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Columns for the number and the label of an interval.
const LABEL: usize = 14;

/// Intervals on one axis, for example the requests that prove a violation.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Intervals {
    /// A sentence with the conclusion.
    pub title: String,
    /// Unit of the axis.
    pub unit: Cow<'static, str>,
    /// The intervals, from the top.
    pub rows: Vec<IntervalRow>,
    /// Number of intervals that are in order; later ones are too many.
    pub allowed: Option<usize>,
}

/// One interval.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct IntervalRow {
    /// Name of its node or client.
    pub label: String,
    /// Begin, from the axis's zero.
    pub from: f64,
    /// End, at least [`from`](Self::from).
    pub to: f64,
}

impl Intervals {
    /// Whether the `nth` interval, from 0, is one too many.
    pub fn is_too_many(&self, nth: usize) -> bool {
        self.allowed.is_some_and(|allowed| nth >= allowed)
    }

    /// End of the axis.
    pub fn end(&self) -> f64 {
        self.rows
            .iter()
            .map(|row| row.to)
            .filter(|to| to.is_finite())
            .fold(0.0, f64::max)
    }

    /// The drawing in ASCII, about `width` columns wide: the sentence, a bar per interval, the
    /// axis.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let bar = width.saturating_sub(LABEL).max(10);
        let mut lines = vec![self.title.clone()];
        for (nth, row) in self.rows.iter().enumerate() {
            let (from, to) = (self.column(row.from, bar), self.column(row.to, bar));
            let filling = if self.is_too_many(nth) { "#" } else { "=" };
            let filled = filling.repeat(to.saturating_sub(from).saturating_sub(1));
            let ends = if from == to {
                "|".into()
            } else {
                format!("[{filled}]")
            };
            lines.push(format!(
                "{:>2} {:<10} {}{ends}",
                nth + 1,
                row.label,
                " ".repeat(from)
            ));
        }
        let end = format!("{:.3} {}", self.end(), self.unit);
        lines.push(format!("{:LABEL$}0{end:>1$}", "", bar - 1));
        lines
    }

    /// The column of a value, of `columns`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "negative values saturate"
    )]
    fn column(&self, value: f64, columns: usize) -> usize {
        let share = if self.end() > 0.0 {
            value / self.end()
        } else {
            0.0
        };
        ((share * (columns - 1) as f64).round() as usize).min(columns - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_share_one_axis() {
        let row = |label: &str, from, to| IntervalRow {
            label: label.into(),
            from,
            to,
        };
        let rows = vec![row("a", 0.0, 2.0), row("b", 1.0, 4.0), row("c", 4.0, 4.0)];
        let intervals = Intervals {
            title: "3 of 2".into(),
            unit: "ms".into(),
            rows,
            allowed: Some(1),
        };
        let expected = [
            "3 of 2",
            " 1 a          [====]",
            " 2 b             [######]",
            " 3 c                    |",
            "              0  4.000 ms",
        ];
        assert_eq!(intervals.lines(25), expected);
    }
}
