//! The curves of one chart, and the hatched area between two that should be equal.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use demo_core::{ChartKind, SeriesRole};

use super::canvas::{PlotCanvas, Side};
use super::dots::{BrailleGrid, DashStyle};
use super::scale::{TimeScale, ValueScale};
use crate::model::chart::{Chart, JOIN};
use crate::model::text;
use crate::theme::Theme;

/// Each curve shows its sign this often.
const SIGN_EVERY: usize = 16;
/// Later ones are drawn over earlier ones.
const ORDER: [SeriesRole; 6] = [
    SeriesRole::Part,
    // Most of the time nothing is bad: that line lies at zero, and should not colour a good one
    // just above it.
    SeriesRole::Bad,
    SeriesRole::Good,
    SeriesRole::Bound,
    SeriesRole::Whole,
    SeriesRole::Sum,
];

/// One series and its look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeriesLook {
    pub(crate) series: usize,
    pub(crate) role: SeriesRole,
    pub(crate) sign: char,
    pub(crate) style: Style,
    dash: DashStyle,
}

/// The looks of all series, in the order in which they are drawn; [`SeriesRole::Gap`] is no curve
/// and comes last.
pub(crate) fn looks(chart: &Chart, theme: &Theme) -> Vec<SeriesLook> {
    let roles = ORDER.into_iter().chain([SeriesRole::Gap]);
    roles
        .flat_map(|role| {
            chart.with_role(role).enumerate().map(move |(nth, series)| {
                let (sign, dash) = sign(role, nth);
                SeriesLook {
                    series,
                    role,
                    sign,
                    style: theme.series(role, nth),
                    dash,
                }
            })
        })
        .collect()
}

fn sign(role: SeriesRole, nth: usize) -> (char, DashStyle) {
    let nth = u32::try_from(nth).unwrap_or(u32::MAX);
    let other = |first: char| {
        if nth == 0 {
            first
        } else {
            char::from_digit(10 + nth % 26, 36).unwrap_or('?')
        }
    };
    match role {
        SeriesRole::Part => (
            char::from_digit((nth + 1) % 36, 36).unwrap_or('?'),
            DashStyle::Dotted,
        ),
        SeriesRole::Sum => (other('Σ'), DashStyle::Solid),
        SeriesRole::Whole => (other('W'), DashStyle::Solid),
        SeriesRole::Bound => (other('╌'), DashStyle::Dashed),
        SeriesRole::Good => (other('+'), DashStyle::Solid),
        SeriesRole::Bad => (other('×'), DashStyle::Solid),
        SeriesRole::Gap => ('▒', DashStyle::Solid),
    }
}

/// How far sum and whole are apart, and how that is called: as measured, or else as their
/// difference.
pub(crate) struct ChartGap {
    pub(crate) name: String,
    series: Option<usize>,
    between: Option<(usize, usize)>,
}

impl ChartGap {
    pub(crate) fn of(chart: &Chart) -> Option<Self> {
        let first = |role| chart.with_role(role).next();
        let series = first(SeriesRole::Gap);
        let other = match chart.spec.kind {
            ChartKind::Curves => SeriesRole::Whole,
            ChartKind::Stack => SeriesRole::Bound,
        };
        let between = first(SeriesRole::Sum).zip(first(other));
        if series.is_none() && between.is_none() {
            return None;
        }
        let name = series.map_or_else(|| "gap".to_owned(), |i| chart.spec.series[i].name.clone());
        Some(Self {
            name,
            series,
            between,
        })
    }

    /// Its size at one time.
    pub(crate) fn size(&self, value: impl Fn(usize) -> Option<f64>) -> Option<f64> {
        match (self.series, self.between) {
            (Some(series), _) => value(series),
            (None, Some((sum, whole))) => Some((value(sum)? - value(whole)?).abs()),
            (None, None) => None,
        }
    }
}

/// The curves of a chart.
pub(crate) struct CurvePlot<'a> {
    pub(crate) chart: &'a Chart,
    pub(crate) theme: &'a Theme,
    pub(crate) looks: &'a [SeriesLook],
    pub(crate) heights: ValueScale,
    pub(crate) times: TimeScale,
    /// The columns at which something began or ended.
    pub(crate) marks: &'a [usize],
}

impl CurvePlot<'_> {
    pub(crate) fn draw(&self, area: Rect, buf: &mut Buffer) {
        let (columns, rows) = (usize::from(area.width), usize::from(area.height));
        let mut canvas = PlotCanvas { area, buf };
        self.draw_marks(&mut canvas, rows);
        let mut dots = BrailleGrid::new(columns, rows);
        let hatched = self.hatch(&mut dots, &mut canvas, columns, rows);
        for look in self.looks.iter().filter(|l| l.role != SeriesRole::Gap) {
            self.curve(&mut dots, look, rows);
        }
        canvas.draw_dots(&dots, columns, rows);
        self.signs(&mut canvas, columns, rows);
        self.name_gap(&mut canvas, &hatched);
    }

    /// Draws a line at every begin and end of a mark.
    pub(super) fn draw_marks(&self, canvas: &mut PlotCanvas<'_>, rows: usize) {
        for column in self.marks {
            for row in 0..rows {
                canvas.put(*column, row, '┊', self.theme.mark);
            }
        }
    }

    fn curve(&self, dots: &mut BrailleGrid, look: &SeriesLook, rows: usize) {
        let mut before = None;
        for sample in self.chart.samples() {
            let point = sample.values[look.series].map(|value| {
                (
                    sample.at,
                    (self.times.dot(sample.at), self.heights.dot(value, rows * 4)),
                )
            });
            if let Some((at, to)) = point {
                match before {
                    Some((earlier, from)) if at - earlier <= JOIN => {
                        dots.line(from, to, look.dash, look.style);
                    }
                    _ => dots.line(to, to, DashStyle::Solid, look.style),
                }
            }
            before = point;
        }
    }

    /// Puts the sign of each curve on it now and then, at other columns for each, so that curves
    /// that lie on each other are seen to.
    fn signs(&self, canvas: &mut PlotCanvas<'_>, columns: usize, rows: usize) {
        let curves: Vec<_> = self
            .looks
            .iter()
            .filter(|l| !matches!(l.role, SeriesRole::Gap | SeriesRole::Bound))
            .collect();
        for (nth, look) in curves.iter().enumerate() {
            // Counted from the newest values.
            let first = 2 + nth * SIGN_EVERY / curves.len();
            let newest = usize::try_from(self.times.column(self.times.now))
                .unwrap_or(0)
                .min(columns - 1);
            for column in (first..=newest)
                .step_by(SIGN_EVERY)
                .map(|back| newest - back)
            {
                let Some(value) = self.value(look.series, column) else {
                    continue;
                };
                canvas.put(
                    column,
                    self.heights.dot(value, rows * 4) / 4,
                    look.sign,
                    look.style,
                );
            }
        }
    }

    /// Hatches the area between sum and whole, and returns the cells that are wholly inside.
    fn hatch(
        &self,
        dots: &mut BrailleGrid,
        canvas: &mut PlotCanvas<'_>,
        columns: usize,
        rows: usize,
    ) -> Vec<HatchColumn> {
        let Some((sum, whole)) = ChartGap::of(self.chart).and_then(|gap| gap.between) else {
            return vec![];
        };
        let edges = |at: Option<Duration>| -> Side {
            let dot = |series| {
                Some(
                    self.heights
                        .dot(self.chart.value_at(series, at?)?, rows * 4),
                )
            };
            dot(sum).zip(dot(whole)).map(|(a, b)| (a.min(b), a.max(b)))
        };
        let mut hatched = Vec::new();
        for column in 0..columns {
            let sides = [column * 2, column * 2 + 1].map(|dot| edges(self.times.dot_time(dot)));
            canvas.hatch(dots, column, sides, '▒', self.theme.bad);
            let newest = sides.into_iter().flatten().next_back();
            if let Some((upper, lower)) = newest.filter(|(upper, lower)| lower - upper >= 4) {
                hatched.push(HatchColumn {
                    column,
                    upper,
                    lower,
                });
            }
        }
        hatched
    }

    /// Writes the size of the gap beside it: the present one where it can be seen, else the largest
    /// that can be.
    pub(super) fn name_gap(&self, canvas: &mut PlotCanvas<'_>, hatched: &[HatchColumn]) {
        let (Some(gap), Some(newest)) = (ChartGap::of(self.chart), hatched.last()) else {
            return;
        };
        let now = usize::try_from(self.times.column(self.times.now)).unwrap_or(0);
        let size = gap.size(|series| self.chart.latest(series, self.times.now));
        let present = size.filter(|size| *size > 0.0 && now.saturating_sub(newest.column) <= 3);
        let (place, size, was) = if let Some(size) = present {
            // In a stack the gap stays, so its middle is the place.
            let middle = match self.chart.spec.kind {
                ChartKind::Curves => newest,
                ChartKind::Stack => &hatched[hatched.len() / 2],
            };
            (middle, size, "")
        } else {
            let Some((at, size)) = self.largest(&gap) else {
                return;
            };
            let column = usize::try_from(self.times.column(at)).unwrap_or(0);
            let Some(nearest) = hatched.iter().min_by_key(|h| h.column.abs_diff(column)) else {
                return;
            };
            (nearest, size, "was ")
        };
        let size = text::number(size);
        let words = match self.chart.spec.kind {
            ChartKind::Curves => format!(" {} {was}{size} ", gap.name),
            ChartKind::Stack => format!(" {was}{size} {} ", gap.name),
        };
        let (upper, lower) = (place.upper / 4, place.lower / 4);
        let rows = [
            usize::midpoint(upper, lower),
            lower + 1,
            upper.saturating_sub(1),
            upper,
            lower,
            lower + 2,
        ];
        canvas.label(place.column, &rows, &words, self.theme.badge_bad);
    }

    /// The sample in which the gap was largest, and how large.
    fn largest(&self, gap: &ChartGap) -> Option<(Duration, f64)> {
        let shown = self
            .chart
            .samples()
            .filter(|s| self.times.column(s.at) >= 0);
        let sizes = shown.filter_map(|s| Some((s.at, gap.size(|series| s.values[series])?)));
        sizes.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn value(&self, series: usize, column: usize) -> Option<f64> {
        self.chart.value_at(series, self.times.time(column)?)
    }
}

/// A column in which sum and whole are apart by a line of text or more, and the rows of dots
/// between which they are.
pub(super) struct HatchColumn {
    pub(super) column: usize,
    pub(super) upper: usize,
    pub(super) lower: usize,
}
