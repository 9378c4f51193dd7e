//! The charts: all on the time of the act, faults pinned on each, every series named with its sign
//! and its present value.

use std::time::Duration;

use demo_core::{ChartKind, SeriesRole};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::frame::PanelFrame;
use super::plot::{ChartGap, CurvePlot, SeriesLook, looks};
use super::scale::{TimeScale, ValueScale};
use super::stack::StackPlot;
use super::{axis, rich};
use crate::layout::Panel;
use crate::model::chart::Chart;
use crate::model::text;
use crate::state::ScreenState;

/// A second chart is shown when each has at least this many rows.
const LEAST: u16 = 7;

/// The title of the `nth` chart shown: quantity, unit, window.
pub(crate) fn title(app: &ScreenState, nth: usize) -> String {
    let charts = &app.story.charts;
    let Some(chart) = pick(app, nth) else {
        return String::from("Chart");
    };
    let unit = if chart.spec.unit.is_empty() {
        String::new()
    } else {
        format!("{}, ", chart.spec.unit)
    };
    let more = if charts.len() > 1 && nth == 0 {
        format!("  {}/{}", app.first_chart + 1, charts.len())
    } else {
        String::new()
    };
    let (from, now) = (text::clock(times(app, 0).from), text::clock(app.story.now));
    format!("{} [{unit}{from} to {now}]{more}", chart.spec.title)
}

fn times(app: &ScreenState, columns: usize) -> TimeScale {
    TimeScale::new(app.story.act_began, app.story.now, columns)
}

fn scale_of(chart: &Chart, from: Duration) -> ValueScale {
    let curves = chart
        .spec
        .series
        .iter()
        .enumerate()
        .filter(|(_, s)| s.role != SeriesRole::Gap);
    ValueScale::of(chart, &curves.map(|(i, _)| i).collect::<Vec<_>>(), from)
}

fn pick(app: &ScreenState, nth: usize) -> Option<&Chart> {
    let charts = &app.story.charts;
    charts.get((app.first_chart + nth) % charts.len().max(1))
}

/// Draws the charts that there is room for.
pub(crate) fn draw(app: &ScreenState, boxed: bool, area: Rect, buf: &mut Buffer) {
    if app.story.charts.len() > 1 && area.height >= 2 * LEAST {
        let lower = (area.height * 2 / 5).max(LEAST);
        let places = Layout::vertical([Constraint::Fill(1), Constraint::Length(lower)]);
        let [upper, lower] = places.areas(area);
        // They stand on one time axis, which the lower one names.
        draw_chart(app, boxed, (0, false), upper, buf);
        draw_chart(app, boxed, (1, true), lower, buf);
    } else {
        draw_chart(app, boxed, (0, true), area, buf);
    }
}

/// Draws the `nth` chart, with or without the names of its times.
fn draw_chart(
    app: &ScreenState,
    boxed: bool,
    (nth, labelled): (usize, bool),
    area: Rect,
    buf: &mut Buffer,
) {
    let frame = PanelFrame {
        theme: &app.theme,
        title: &title(app, nth),
        boxed,
        focused: nth == 0 && app.focus() == Panel::Charts,
        hidden: (0, 0),
    };
    let inner = frame.draw(area, buf);
    match pick(app, nth) {
        Some(chart) if inner.height >= 4 && inner.width >= 20 => {
            figure(app, chart, labelled, inner, buf);
        }
        _ => {}
    }
}

fn figure(app: &ScreenState, chart: &Chart, labelled: bool, area: Rect, buf: &mut Buffer) {
    let theme = &app.theme;
    let from = times(app, 0).from;
    let looks = looks(chart, theme);
    let rows = if area.height >= 9 { 2 } else { 1 };
    let mut legend = legend_lines(app, chart, &looks, false, area.width.into());
    if legend.len() > rows {
        legend = legend_lines(app, chart, &looks, true, area.width.into());
    }
    legend.truncate(rows);
    for (y, line) in (area.top()..).zip(&legend) {
        buf.set_line(area.x, y, line, area.width);
    }
    let above = u16::try_from(legend.len()).unwrap_or(1);
    let heights = scale_of(chart, from);
    // The same for all charts, so that a time is in the same column of each.
    let charts = app.story.charts.iter();
    let gutter = charts
        .map(|c| axis::gutter(scale_of(c, from)))
        .max()
        .unwrap_or(0);
    let below = if labelled && area.height >= 7 { 2 } else { 1 };
    let plot = Rect {
        x: area.x + gutter,
        y: area.y + above,
        width: area.width.saturating_sub(gutter),
        height: area.height - above - below,
    };
    let times = times(app, plot.width.into());
    let spans = app.story.marks.spans();
    axis::values(heights, theme, plot, buf);
    let line = Rect {
        y: plot.bottom(),
        height: 1,
        ..plot
    };
    axis::marks(spans, times, theme, line, buf);
    if below == 2 {
        axis::times(
            times,
            theme,
            Rect {
                y: line.y + 1,
                ..line
            },
            buf,
        );
    }
    let marks = axis::crossings(spans, times);
    let curves = CurvePlot {
        chart,
        theme,
        looks: &looks,
        heights,
        times,
        marks: &marks,
    };
    match chart.spec.kind {
        ChartKind::Curves => curves.draw(plot, buf),
        ChartKind::Stack => StackPlot(curves).draw(plot, buf),
    }
}

/// Every series: sign, name, present value. The gap and its two curves come first, the parts
/// last; where there is little room, the parts have their signs alone.
fn legend_lines(
    app: &ScreenState,
    chart: &Chart,
    looks: &[SeriesLook],
    short: bool,
    width: usize,
) -> Vec<Line<'static>> {
    let (theme, now) = (&app.theme, app.story.now);
    let after = if short { "  " } else { "   " };
    let entry = |sign: char, style, name: &str, value: Option<f64>| {
        let value = value.map_or_else(|| "no data".to_owned(), text::number);
        [
            Span::styled(format!("{sign} "), style),
            Span::styled(format!("{name} "), theme.text),
            Span::styled(format!("{value}{after}"), theme.strong),
        ]
    };
    let mut entries = Vec::new();
    if let Some(gap) = ChartGap::of(chart) {
        let size = gap.size(|series| chart.latest(series, now));
        entries.push(entry('▒', theme.bad, &gap.name, size));
    }
    let curves = looks.iter().filter(|l| l.role != SeriesRole::Gap);
    let (parts, rest): (Vec<&SeriesLook>, Vec<&SeriesLook>) =
        curves.partition(|l| l.role == SeriesRole::Part);
    for look in rest.into_iter().rev().chain(parts) {
        let name = &chart.spec.series[look.series].name;
        let value = chart.latest(look.series, now);
        let mut entry = entry(look.sign, look.style, name, value);
        if short && look.role == SeriesRole::Part {
            entry[0].content = format!("{}:", look.sign).into();
            entry[1].content = "".into();
        }
        entries.push(entry);
    }
    rich::rows(entries, width)
}
