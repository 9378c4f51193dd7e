//! The axes of a chart. Faults and instants are pinned on the time axis.
//!
//! ```text
//!  30│
//!   0└─────────┣━ the valve is shut ━┫────────────────▲ surge ──
//!     0:05          0:10          0:15          0:20        0:25
//! ```

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::scale::{TimeScale, ValueScale};
use crate::model::marks::MarkSpan;
use crate::model::text;
use crate::theme::Theme;

/// The axis of values takes this many columns.
pub(crate) fn gutter(heights: ValueScale) -> u16 {
    let widest = labels(heights).iter().map(String::len).max().unwrap_or(0);
    u16::try_from(widest + 1).unwrap_or(u16::MAX)
}

fn labels(heights: ValueScale) -> [String; 3] {
    [
        heights.most,
        f64::midpoint(heights.most, heights.least),
        heights.least,
    ]
    .map(text::number)
}

/// Draws the axis of values at the left of `plot`, down to the line below it.
pub(crate) fn values(heights: ValueScale, theme: &Theme, plot: Rect, buf: &mut Buffer) {
    let x = plot.x - 1;
    for y in plot.top()..plot.bottom() {
        buf[(x, y)].set_char('│').set_style(theme.border);
    }
    buf[(x, plot.bottom())]
        .set_char('└')
        .set_style(theme.border);
    let [most, middle, least] = labels(heights);
    let mut label = |y: u16, words: &str| {
        let width = u16::try_from(words.len()).unwrap_or(0);
        buf.set_string(x - width, y, words, theme.dim);
    };
    label(plot.y, &most);
    label(plot.bottom(), &least);
    if plot.height >= 5 {
        label(plot.y + plot.height / 2, &middle);
    }
}

/// Where marks cross the plot.
pub(crate) fn crossings(spans: &[MarkSpan], times: TimeScale) -> Vec<usize> {
    let edges = spans.iter().flat_map(|s| [Some(s.begin), s.end]).flatten();
    let columns = edges.filter_map(|at| usize::try_from(times.column(at)).ok());
    columns.filter(|column| *column < times.columns).collect()
}

/// Draws the time axis into one line, with all spans and as many of their labels as there is room
/// for.
pub(crate) fn marks(
    spans: &[MarkSpan],
    times: TimeScale,
    theme: &Theme,
    area: Rect,
    buf: &mut Buffer,
) {
    for x in area.left()..area.right() {
        buf[(x, area.y)].set_char('─').set_style(theme.border);
    }
    let last = i64::from(area.width) - 1;
    let now = times.column(times.now).min(last);
    let mut put = |column: i64, symbol: char| {
        if (0..=last).contains(&column) {
            let x = area.x + u16::try_from(column).unwrap_or(0);
            buf[(x, area.y)].set_char(symbol).set_style(theme.mark);
        }
    };
    for span in spans {
        let begin = times.column(span.begin);
        let end = span.end.map_or(now, |end| times.column(end));
        if span.is_moment() {
            put(begin, '▲');
            continue;
        }
        for column in begin.max(0)..=end {
            put(column, '━');
        }
        put(begin, '┣');
        put(end, if span.end.is_some() { '┫' } else { '▶' });
    }
    let ends = |s: &MarkSpan| {
        (
            times.column(s.begin),
            s.end.map_or(now, |end| times.column(end)),
        )
    };
    let stretches: Vec<LabelStretch> = spans
        .iter()
        .map(|span| {
            let ((begin, end), width) = (ends(span), text::width(&span.label));
            LabelStretch {
                begin,
                end,
                width: i64::try_from(width).unwrap_or(i64::MAX),
            }
        })
        .collect();
    for (span, place) in spans.iter().zip(places(&stretches, last)) {
        if let Some(left) = place.and_then(|left| u16::try_from(left).ok()) {
            let (from, _) = buf.set_stringn(
                area.x + left,
                area.y,
                &span.label,
                usize::from(area.width - left),
                theme.mark.bold(),
            );
            // Air on both sides, but not in place of an edge.
            for x in [(area.x + left).wrapping_sub(1), from] {
                let cell = buf
                    .cell_mut((x, area.y))
                    .filter(|cell| matches!(cell.symbol(), "─" | "━"));
                cell.filter(|_| area.contains((x, area.y).into()))
                    .map(|cell| cell.set_char(' '));
            }
        }
    }
}

/// A span in columns, and the width of its label.
#[derive(Clone, Copy, Debug)]
struct LabelStretch {
    begin: i64,
    end: i64,
    width: i64,
}

/// Where each label begins: in its span where that is long enough, else after it, else before it. A
/// label that would cover another, or a span that is not its own, is left out; the newest come
/// first.
fn places(stretches: &[LabelStretch], last: i64) -> Vec<Option<i64>> {
    let mut places: Vec<Option<i64>> = vec![None; stretches.len()];
    for (i, LabelStretch { begin, end, width }) in stretches.iter().copied().enumerate().rev() {
        let from = begin.max(-1);
        let inside = (end - from > width + 2).then(|| from + (end - from - width) / 2 + 1);
        let free = |left: i64| {
            let right = left + width - 1;
            let clear = |a: i64, b: i64| right < a || left > b;
            let others = || stretches.iter().enumerate().filter(|(j, _)| *j != i);
            left >= 0
                && right <= last
                && others().all(|(_, s)| clear(s.begin, s.end))
                && others()
                    .filter_map(|(j, s)| Some((places[j]?, s.width)))
                    .all(|(p, w)| clear(p - 1, p + w))
        };
        let candidates = [
            inside,
            Some(end + 2),
            Some(begin - 1 - width),
            Some(end + 1),
            Some(begin - width),
        ];
        places[i] = candidates
            .into_iter()
            .flatten()
            .find(|left| end >= 0 && free(*left));
    }
    places
}

/// Draws the labels of the time axis: round times of the story, as many as there is room for.
pub(crate) fn times(times: TimeScale, theme: &Theme, area: Rect, buf: &mut Buffer) {
    const STEPS: [u64; 8] = [1, 2, 5, 10, 15, 30, 60, 120];
    let room = (area.width / 12).max(1);
    let span = times.span().as_secs();
    let step = STEPS
        .into_iter()
        .find(|step| span / step <= room.into())
        .unwrap_or(120);
    let first = times.from.as_secs().div_ceil(step) * step;
    for second in (first..=first + span).step_by(usize::try_from(step).unwrap_or(1)) {
        let label = text::clock(Duration::from_secs(second));
        let width = u16::try_from(label.len()).unwrap_or(0);
        let column = u16::try_from(times.column(Duration::from_secs(second))).unwrap_or(u16::MAX);
        let left = column
            .saturating_sub(width / 2)
            .min(area.width.saturating_sub(width));
        if column < area.width {
            buf.set_stringn(area.x + left, area.y, &label, area.width.into(), theme.dim);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(stretches: &[(i64, i64, i64)]) -> Vec<Option<i64>> {
        let stretches: Vec<_> = stretches
            .iter()
            .map(|(begin, end, width)| LabelStretch {
                begin: *begin,
                end: *end,
                width: *width,
            })
            .collect();
        places(&stretches, 59)
    }

    #[test]
    fn labels_stand_in_or_beside_their_span() {
        assert_eq!(place(&[(10, 30, 6)]), [Some(18)]);
        assert_eq!(
            place(&[(10, 12, 6)]),
            [Some(14)],
            "after a span that is too short"
        );
        assert_eq!(
            place(&[(55, 59, 6)]),
            [Some(48)],
            "before one that is too short and too late"
        );
        assert_eq!(
            place(&[(-40, 20, 6)]),
            [Some(7)],
            "in the part that is to be seen"
        );
        assert_eq!(place(&[(-40, -20, 6)]), [None]);
    }

    #[test]
    fn labels_cover_neither_each_other_nor_other_spans() {
        assert_eq!(place(&[(10, 12, 6), (16, 18, 6)]), [Some(3), Some(20)]);
        assert_eq!(place(&[(2, 3, 6), (6, 7, 6)]), [None, Some(9)]);
        assert_eq!(
            place(&[(40, 50, 3), (53, 53, 6)]),
            [Some(44), Some(54)],
            "close, where it is narrow"
        );
    }
}
