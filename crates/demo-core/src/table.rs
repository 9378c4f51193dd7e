use serde::{Deserialize, Serialize};

/// Columns between two columns of a table.
const GAP: usize = 2;
/// A narrower bar shows nothing.
const LEAST_BAR: usize = 6;

/// Values of several subjects under the same headings.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Table {
    /// A sentence with the subject of the table.
    pub title: String,
    /// One heading a column, the most important first.
    pub headings: Vec<String>,
    /// The rows, from the top.
    pub rows: Vec<TableRow>,
}

/// One subject of a table.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct TableRow {
    /// The subject's name, then its values.
    pub cells: Vec<String>,
    /// Lengths of its bar: the part that is in order, and the part that is too many.
    pub bar: [u64; 2],
}

impl Table {
    /// The headings and then the rows, each with the columns of the two parts of its bar. Names
    /// stand on the left and values on the right. Without room, the bar and then the last columns
    /// are left out.
    pub fn lines(&self, width: usize) -> Vec<(String, [usize; 2])> {
        let rows = || self.rows.iter().map(|row| &row.cells);
        let mut used = 0;
        let mut widths = Vec::new();
        for column in 0..self.headings.len() {
            let cells = rows().chain([&self.headings]).filter_map(|c| c.get(column));
            let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            used += widest + if column > 0 { GAP } else { 0 };
            if used > width && column > 0 {
                break;
            }
            widths.push(widest);
        }
        let room = width.saturating_sub(used + GAP);
        let room = if room < LEAST_BAR { 0 } else { room };
        let longest = self.rows.iter().map(|row| row.bar[0] + row.bar[1]).max();
        let share = room as f64 / longest.unwrap_or(0).max(1) as f64;
        let line = |cells: &[String], bar: [u64; 2]| {
            let mut text = String::new();
            for (cell, widest) in cells.iter().zip(&widths) {
                text += &if text.is_empty() {
                    format!("{cell:<widest$}")
                } else {
                    format!("{:GAP$}{cell:>widest$}", "")
                };
            }
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of the room"
            )]
            let end = |length: u64| (length as f64 * share).round() as usize;
            let within = end(bar[0]);
            let beyond = end(bar[0] + bar[1]) - within;
            if within + beyond > 0 {
                text += "  ";
            }
            (text, [within, beyond])
        };
        let rows = self.rows.iter().map(|row| line(&row.cells, row.bar));
        [line(&self.headings, [0, 0])]
            .into_iter()
            .chain(rows)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |name: &str, taken: u64, bar| TableRow {
            cells: vec![name.into(), taken.to_string()],
            bar,
        };
        Table {
            title: "glasses".into(),
            headings: vec!["glass".into(), "taken".into()],
            rows: vec![row("small", 3, [3, 0]), row("tall one", 12, [4, 8])],
        }
    }

    fn drawn(width: usize) -> Vec<String> {
        let draw = |(text, [within, beyond]): (String, [usize; 2])| {
            format!("{text}{}{}", "=".repeat(within), "#".repeat(beyond))
        };
        table().lines(width).into_iter().map(draw).collect()
    }

    #[test]
    fn columns_are_aligned_and_bars_share_one_scale() {
        let expected = [
            "glass     taken",
            "small         3  ===",
            "tall one     12  ====########",
        ];
        assert_eq!(drawn(29), expected);
    }

    #[test]
    fn a_narrow_table_leaves_out_bar_and_columns() {
        assert_eq!(
            drawn(20),
            ["glass     taken", "small         3", "tall one     12"]
        );
        assert_eq!(drawn(14), ["glass   ", "small   ", "tall one"]);
    }
}
