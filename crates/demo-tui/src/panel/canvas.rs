//! The part of the screen that a plot draws on.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::dots::BrailleGrid;
use crate::model::text;

/// A screen with coordinates from the upper left corner of a plot. Cells outside are left out.
pub(super) struct PlotCanvas<'a> {
    pub(super) area: Rect,
    pub(super) buf: &'a mut Buffer,
}

/// The upper and the lower row of dots of an area, in one column of dots.
pub(super) type Side = Option<(usize, usize)>;

impl PlotCanvas<'_> {
    pub(super) fn put(&mut self, column: usize, row: usize, symbol: char, style: Style) {
        if let Some((x, y)) = self.place(column, row) {
            self.buf[(x, y)].set_char(symbol).set_style(style);
        }
    }

    pub(super) fn write(&mut self, column: usize, row: usize, words: &str, style: Style) {
        if let Some((x, y)) = self.place(column, row) {
            self.buf
                .set_stringn(x, y, words, usize::from(self.area.right() - x), style);
        }
    }

    /// Draws all dots.
    pub(super) fn draw_dots(&mut self, dots: &BrailleGrid, columns: usize, rows: usize) {
        for row in 0..rows {
            for column in 0..columns {
                if let Some((symbol, style)) = dots.cell(column, row) {
                    self.put(column, row, symbol, style);
                }
            }
        }
    }

    /// Fills a column of an area: the cells wholly inside with a symbol, the rest with dots.
    pub(super) fn hatch(
        &mut self,
        dots: &mut BrailleGrid,
        column: usize,
        sides: [Side; 2],
        symbol: char,
        style: Style,
    ) {
        let inside = match sides {
            [Some((a, b)), Some((c, d))] => a.max(c) / 4 + 1..b.min(d) / 4,
            _ => 0..0,
        };
        for (i, side) in sides.into_iter().enumerate() {
            let Some((upper, lower)) = side else { continue };
            let dot = column * 2 + i;
            if inside.is_empty() {
                dots.fill(dot, upper..lower, style);
            } else {
                dots.fill(dot, upper..inside.start * 4, style);
                dots.fill(dot, inside.end * 4 - 1..lower, style);
            }
        }
        for row in inside {
            self.put(column, row, symbol, style);
        }
    }

    /// Writes a label centred on a column, in the one of some rows in which it covers the least.
    pub(super) fn label(&mut self, column: usize, rows: &[usize], words: &str, style: Style) {
        let (width, columns) = (text::width(words), usize::from(self.area.width));
        if width < columns {
            let left = column.saturating_sub(width / 2).min(columns - width);
            if let Some(row) = rows
                .iter()
                .copied()
                .min_by_key(|row| self.cost(left, *row, width))
            {
                self.write(left, row, words, style);
            }
        }
    }

    /// Number of drawn dots that a label would cover; larger than any such number outside the plot.
    fn cost(&self, column: usize, row: usize, width: usize) -> usize {
        let lost = |column| match self.place(column, row) {
            Some((x, y)) => usize::from(!matches!(self.buf[(x, y)].symbol(), " " | "▒")),
            None => width,
        };
        (column..column + width).map(lost).sum()
    }

    fn place(&self, column: usize, row: usize) -> Option<(u16, u16)> {
        let x = self.area.x.checked_add(u16::try_from(column).ok()?)?;
        let y = self.area.y.checked_add(u16::try_from(row).ok()?)?;
        self.area.contains((x, y).into()).then_some((x, y))
    }
}
