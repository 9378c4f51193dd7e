//! Intervals as bars on one axis with a unit. Where there are fewer rows than intervals, two or
//! four share a row.
//!
//! ```text
//!   1 node-2 ┣━━━━━━━━━━━━━━━━━━━━━━┫
//!   2 node-1    ┣━━━━━━━━━━━━━━━━━━━━━━━┫
//!   3 node-1       ┣▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒┫ too many: 2 may pass
//!            0 ms             0.5             1
//! ```

use demo_core::{IntervalRow, Intervals};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::dots::{BrailleGrid, DashStyle};
use super::frame::PanelFrame;
use super::scale::ticks;
use crate::layout::Panel;
use crate::model::text;
use crate::state::ScreenState;
use crate::theme::Theme;

pub(crate) fn title(app: &ScreenState) -> String {
    app.story
        .intervals
        .as_ref()
        .map(|intervals| intervals.title.clone())
        .unwrap_or_default()
}

/// Draws the intervals of the chapter.
pub(crate) fn draw(app: &ScreenState, boxed: bool, area: Rect, buf: &mut Buffer) {
    let Some(intervals) = &app.story.intervals else {
        return;
    };
    let theme = &app.theme;
    let frame = PanelFrame {
        theme,
        title: &intervals.title,
        boxed,
        focused: app.focus() == Panel::Intervals,
        hidden: (0, 0),
    };
    let inner = frame.draw(area, buf);
    let label = intervals
        .rows
        .iter()
        .map(|row| text::width(&row.label))
        .max()
        .unwrap_or(0)
        .min(21);
    let gutter = u16::try_from(label + 4).unwrap_or(u16::MAX);
    if inner.height < 2 || inner.width < gutter + 12 {
        return;
    }
    let rows = usize::from(inner.height - 1);
    let bars = Rect {
        x: inner.x + gutter,
        width: inner.width - gutter,
        height: inner.height - 1,
        ..inner
    };
    let figure = IntervalFigure {
        intervals,
        theme,
        bars,
        label,
    };
    let used = if intervals.rows.len() <= rows {
        figure.singly(buf)
    } else {
        figure.together(rows, buf)
    };
    figure.axis(bars.y + used, buf);
}

struct IntervalFigure<'a> {
    intervals: &'a Intervals,
    theme: &'a Theme,
    bars: Rect,
    label: usize,
}

impl IntervalFigure<'_> {
    /// One bar a row. Returns the number of rows.
    fn singly(&self, buf: &mut Buffer) -> u16 {
        for ((nth, row), y) in self
            .intervals
            .rows
            .iter()
            .enumerate()
            .zip(self.bars.top()..)
        {
            let too_many = self.intervals.is_too_many(nth);
            let style = if too_many {
                self.theme.bad
            } else {
                self.theme.text
            };
            self.name(y, &format!("{:>2} ", nth + 1), &row.label, style, buf);
            let (from, to) = (self.column(row.from), self.column(row.to));
            let filling = if too_many { '▒' } else { '━' };
            for x in from..=to {
                buf[(x, y)].set_char(filling).set_style(style);
            }
            buf[(from, y)].set_char(if from == to { '┃' } else { '┣' });
            if from < to {
                buf[(to, y)].set_char('┫');
            }
            if let Some(allowed) = self.intervals.allowed.filter(|_| too_many) {
                self.say(y, from, to, &format!(" too many: {allowed} may pass "), buf);
            }
        }
        u16::try_from(self.intervals.rows.len()).unwrap_or(u16::MAX)
    }

    /// Two or four bars a row, those of one label together. Returns the number of rows.
    fn together(&self, rows: usize, buf: &mut Buffer) -> u16 {
        let per_row = if self.intervals.rows.len() <= 2 * rows {
            2
        } else {
            4
        };
        let mut sorted: Vec<&IntervalRow> = self.intervals.rows.iter().collect();
        sorted.sort_by(|a, b| a.label.cmp(&b.label).then(a.from.total_cmp(&b.from)));
        let groups: Vec<&[&IntervalRow]> = sorted
            .chunk_by(|a, b| a.label == b.label)
            .flat_map(|of_one| of_one.chunks(per_row))
            .collect();
        // Too many labels for rows of their own: the rows that fit.
        let groups = &groups[..groups.len().min(rows)];
        let mut dots = BrailleGrid::new(self.bars.width.into(), groups.len());
        for (row, group) in groups.iter().enumerate() {
            for (i, interval) in group.iter().enumerate() {
                let y = row * 4 + i * 4 / per_row;
                let dot = |value| 2 * i64::from(self.column(value) - self.bars.x);
                dots.line(
                    (dot(interval.from), y),
                    (dot(interval.to) + 1, y),
                    DashStyle::Solid,
                    self.theme.text,
                );
            }
        }
        for ((row, group), y) in groups.iter().enumerate().zip(self.bars.top()..) {
            let count = format!("{:>2} ", group.len());
            self.name(y, &count, &group[0].label, self.theme.text, buf);
            for (column, x) in (self.bars.left()..self.bars.right()).enumerate() {
                if let Some((symbol, style)) = dots.cell(column, row) {
                    buf[(x, y)].set_char(symbol).set_style(style);
                }
            }
        }
        u16::try_from(groups.len()).unwrap_or(u16::MAX)
    }

    fn name(&self, y: u16, number: &str, label: &str, style: Style, buf: &mut Buffer) {
        let left = self.bars.x - u16::try_from(self.label + 4).unwrap_or(0);
        let (x, _) = buf.set_stringn(left, y, number, 3, self.theme.dim);
        buf.set_stringn(x, y, text::fit(label, self.label), self.label, style);
    }

    /// Writes beside a bar, or on it where there is no room beside.
    fn say(&self, y: u16, from: u16, to: u16, words: &str, buf: &mut Buffer) {
        let width = u16::try_from(text::width(words)).unwrap_or(u16::MAX);
        let left = if to + 1 + width <= self.bars.right() {
            to + 1
        } else if self.bars.x + width <= from {
            from - width
        } else {
            (from + to).saturating_sub(width) / 2
        };
        if left >= self.bars.x && left + width <= self.bars.right() {
            buf.set_string(left, y, words, self.theme.badge_bad);
        }
    }

    fn axis(&self, y: u16, buf: &mut Buffer) {
        let Intervals { unit, .. } = self.intervals;
        let most = usize::from(self.bars.width / 12);
        let mut free = self.bars.x;
        for (nth, value) in ticks(self.intervals.end(), most).into_iter().enumerate() {
            let number = text::number(value);
            let label = if nth == 0 {
                format!("{number} {unit}")
            } else {
                number
            };
            let width = u16::try_from(text::width(&label)).unwrap_or(0);
            let x = self
                .column(value)
                .saturating_sub(width / 2)
                .max(self.bars.x);
            if x >= free && x + width <= self.bars.right() {
                buf.set_string(x, y, &label, self.theme.dim);
                free = x + width + 1;
            }
        }
    }

    fn column(&self, value: f64) -> u16 {
        let end = self.intervals.end();
        let share = if end > 0.0 {
            (value / end).clamp(0.0, 1.0)
        } else {
            0.0
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a width"
        )]
        let column = (share * f64::from(self.bars.width - 1)).round() as u16;
        self.bars.x + column
    }
}
