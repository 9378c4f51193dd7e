//! Parts that stand on each other. Where their sum is above the bound, the part above it is
//! hatched.
//!
//! ```text
//!  20│     3▒▒▒▒▒▒▒▒▒3▒▒▒▒▒▒▒
//!    │     ▒▒▒▒ 10 too many ▒
//!  10│ limit 10 ╌╌╌╌╌╌╌╌╌╌╌╌╌
//!    │     ⢕⢕2⢕⢕⢕⢕⢕⢕⢕2⢕⢕⢕⢕⢕⢕⢕
//!   0│     1⠕⠕⠕⠕⠕⠕⠕⠕⠕1⠕⠕⠕⠕⠕⠕⠕
//! ```

use std::time::Duration;

use demo_core::SeriesRole;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::canvas::PlotCanvas;
use super::dots::{BrailleGrid, DashStyle};
use super::plot::{CurvePlot, HatchColumn, SeriesLook};
use crate::model::text;

/// Each part shows its sign this often.
const SIGN_EVERY: usize = 12;

/// The chart of a stack.
pub(crate) struct StackPlot<'a>(pub(crate) CurvePlot<'a>);

impl StackPlot<'_> {
    pub(crate) fn draw(&self, area: Rect, buf: &mut Buffer) {
        let plot = &self.0;
        let (columns, rows) = (usize::from(area.width), usize::from(area.height));
        let mut canvas = PlotCanvas { area, buf };
        plot.draw_marks(&mut canvas, rows);
        let mut dots = BrailleGrid::new(columns, rows);
        let mut hatched = Vec::new();
        for column in 0..columns {
            self.column(column, rows, &mut dots, &mut canvas, &mut hatched);
        }
        let bound = self.bound();
        if let Some((look, value)) = bound {
            let y = plot.heights.dot(value, rows * 4);
            let last = i64::try_from(columns * 2).unwrap_or(i64::MAX);
            dots.line((0, y), (last, y), DashStyle::Dashed, look.style);
        }
        canvas.draw_dots(&dots, columns, rows);
        self.signs(&mut canvas, columns, rows);
        if let Some((look, value)) = bound {
            let row = plot.heights.dot(value, rows * 4) / 4;
            let name = &plot.chart.spec.series[look.series].name;
            canvas.write(
                1,
                row,
                &format!(" {name} {} ", text::number(value)),
                look.style,
            );
        }
        plot.name_gap(&mut canvas, &hatched);
    }

    fn parts(&self) -> impl Iterator<Item = &SeriesLook> {
        self.0
            .looks
            .iter()
            .filter(|look| look.role == SeriesRole::Part)
    }

    /// The first bound and its latest value.
    fn bound(&self) -> Option<(&SeriesLook, f64)> {
        let look = self
            .0
            .looks
            .iter()
            .find(|look| look.role == SeriesRole::Bound)?;
        let value = self
            .0
            .chart
            .samples()
            .rev()
            .find_map(|s| s.values[look.series])?;
        Some((look, value))
    }

    /// The tops of the parts at a time, from the lowest; `None` while one is missing.
    fn tops(&self, at: Duration) -> Option<Vec<f64>> {
        let mut sum = 0.0;
        let top = |look: &SeriesLook| {
            sum += self.0.chart.value_before(look.series, at)?;
            Some(sum)
        };
        self.parts().map(top).collect()
    }

    fn column(
        &self,
        column: usize,
        rows: usize,
        dots: &mut BrailleGrid,
        canvas: &mut PlotCanvas<'_>,
        hatched: &mut Vec<HatchColumn>,
    ) {
        let plot = &self.0;
        let tops = [column * 2, column * 2 + 1].map(|dot| self.tops(plot.times.dot_time(dot)?));
        let dot = |value| plot.heights.dot(value, rows * 4);
        let limit = self.bound().map_or(f64::INFINITY, |(_, value)| value);
        // From one value to another, at both columns of dots; nothing where they are the same.
        let sides = |from: &dyn Fn(&[f64]) -> f64, to: &dyn Fn(&[f64]) -> f64| {
            tops.each_ref().map(|tops| {
                let tops = tops.as_deref()?;
                let (from, to) = (from(tops), to(tops));
                (to > from).then(|| (dot(to), dot(from)))
            })
        };
        for (nth, look) in self.parts().enumerate() {
            let below = |tops: &[f64]| {
                if nth == 0 {
                    0.0
                } else {
                    tops[nth - 1].min(limit)
                }
            };
            let above = |tops: &[f64]| tops[nth].min(limit);
            for (i, side) in sides(&below, &above).into_iter().enumerate() {
                if let Some((upper, lower)) = side {
                    dots.fill(column * 2 + i, upper..lower, look.style);
                }
            }
        }
        let highest = |tops: &[f64]| tops.last().copied().unwrap_or(0.0);
        let over = sides(&|_| limit, &highest);
        canvas.hatch(dots, column, over, '▒', plot.theme.bad);
        if let Some((upper, lower)) = over.into_iter().flatten().next_back() {
            hatched.push(HatchColumn {
                column,
                upper,
                lower,
            });
        }
    }

    /// The sign of each part in the middle of its height.
    fn signs(&self, canvas: &mut PlotCanvas<'_>, columns: usize, rows: usize) {
        let parts: Vec<&SeriesLook> = self.parts().collect();
        for (nth, look) in parts.iter().enumerate() {
            let first = 2 + nth * SIGN_EVERY / parts.len();
            for column in (first..columns).step_by(SIGN_EVERY) {
                let Some(tops) = self.0.times.time(column).and_then(|at| self.tops(at)) else {
                    continue;
                };
                let base = if nth == 0 { 0.0 } else { tops[nth - 1] };
                if tops[nth] > base {
                    let row = self.0.heights.dot(f64::midpoint(base, tops[nth]), rows * 4) / 4;
                    canvas.put(column, row, look.sign, look.style.bold());
                }
            }
        }
    }
}
