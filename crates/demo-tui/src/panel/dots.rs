//! A grid of braille dots, two by four in a cell, so that a line of text has room for a curve.

use ratatui::style::Style;

/// The bit of each dot in a braille character, by row and column.
pub(crate) const BITS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// Dots and, for each cell, the style of the last line that went through it.
pub(crate) struct BrailleGrid {
    columns: usize,
    rows: usize,
    cells: Vec<(u32, Style)>,
}

/// How a line is broken up, so that lines differ without colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DashStyle {
    Solid,
    Dotted,
    Dashed,
}

impl DashStyle {
    fn shows(self, x: i64) -> bool {
        match self {
            Self::Solid => true,
            Self::Dotted => x.rem_euclid(2) == 0,
            Self::Dashed => x.rem_euclid(6) < 4,
        }
    }
}

impl BrailleGrid {
    pub(crate) fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns,
            rows,
            cells: vec![(0, Style::new()); columns * rows],
        }
    }

    /// Draws a line between two dots; dots outside the grid are left out.
    pub(crate) fn line(
        &mut self,
        from: (i64, usize),
        to: (i64, usize),
        dash: DashStyle,
        style: Style,
    ) {
        let (x0, y0) = (from.0, from.1.cast_signed() as i64);
        let (x1, y1) = (to.0, to.1.cast_signed() as i64);
        let steps = (x1 - x0).abs().max((y1 - y0).abs()).max(1);
        for step in 0..=steps {
            let between =
                |from: i64, to: i64| from + (2 * (to - from) * step + steps).div_euclid(2 * steps);
            let (x, y) = (between(x0, x1), between(y0, y1));
            if dash.shows(x) {
                self.dot(x, y, style);
            }
        }
    }

    /// Fills a column of dots between two rows, both left out, like a chessboard.
    pub(crate) fn fill(&mut self, x: usize, rows: std::ops::Range<usize>, style: Style) {
        for y in rows.skip(1).filter(|y| (x + y).is_multiple_of(2)) {
            self.dot(x.cast_signed() as i64, y.cast_signed() as i64, style);
        }
    }

    /// The character of a cell and its style, if anything is in it.
    pub(crate) fn cell(&self, column: usize, row: usize) -> Option<(char, Style)> {
        let (bits, style) = *self.cells.get(row * self.columns + column)?;
        let symbol = char::from_u32(0x2800 + bits).filter(|_| bits != 0)?;
        Some((symbol, style))
    }

    fn dot(&mut self, x: i64, y: i64, style: Style) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        let (column, row) = (x / 2, y / 4);
        if column < self.columns && row < self.rows {
            let cell = &mut self.cells[row * self.columns + column];
            cell.0 |= BITS[y % 4][x % 2];
            cell.1 = style;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(dots: &BrailleGrid) -> String {
        (0..dots.columns)
            .map(|c| dots.cell(c, 0).map_or(' ', |(symbol, _)| symbol))
            .collect()
    }

    #[test]
    fn lines_are_clipped_and_dashes_differ() {
        let mut dots = BrailleGrid::new(4, 1);
        dots.line((-50, 3), (50, 3), DashStyle::Solid, Style::new());
        assert_eq!(drawn(&dots), "⣀⣀⣀⣀");
        let mut dots = BrailleGrid::new(4, 1);
        dots.line((0, 0), (7, 0), DashStyle::Dotted, Style::new());
        assert_eq!(drawn(&dots), "⠁⠁⠁⠁");
        let mut dots = BrailleGrid::new(4, 1);
        dots.line((0, 0), (7, 3), DashStyle::Dashed, Style::new());
        assert_eq!(drawn(&dots), "⠉⠒ ⣀");
    }
}
