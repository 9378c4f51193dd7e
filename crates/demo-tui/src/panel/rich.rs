//! Lines in several styles, put together piece by piece.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::model::text;

/// Wrapped text with a sign in front of its first line.
pub(crate) fn signed(
    sign: &str,
    sign_style: Style,
    words: &str,
    style: Style,
    width: usize,
) -> Vec<Line<'static>> {
    let indent = text::width(sign) + 1;
    let wrapped = text::wrap(words, width.saturating_sub(indent).max(1));
    let first = |i: usize| {
        if i == 0 {
            Span::styled(format!("{sign} "), sign_style)
        } else {
            Span::raw(" ".repeat(indent))
        }
    };
    wrapped
        .into_iter()
        .enumerate()
        .map(|(i, line)| Line::from(vec![first(i), Span::styled(line, style)]))
        .collect()
}

/// Wrapped text; text between backticks is set off.
pub(crate) fn prose(words: &str, style: Style, code: Style, width: usize) -> Vec<Line<'static>> {
    let mut within = false;
    let mut lines = Vec::new();
    for line in text::wrap(words, width) {
        // A backtick without a partner ends with its paragraph.
        within &= !line.is_empty();
        let mut spans = Vec::new();
        for (i, piece) in line.split('`').enumerate() {
            within ^= i > 0;
            if !piece.is_empty() {
                spans.push(Span::styled(
                    piece.to_owned(),
                    if within { code } else { style },
                ));
            }
        }
        lines.push(Line::from(spans));
    }
    lines
}

/// Entries of several spans each, as many of them in a line as fit, none of them broken.
pub(crate) fn rows(entries: Vec<[Span<'static>; 3]>, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = vec![Line::default()];
    for entry in entries {
        // The space after the last entry may be lost.
        let lost = entry[2].content.len() - entry[2].content.trim_end().len();
        let needed = entry.iter().map(Span::width).sum::<usize>() - lost;
        if lines
            .last()
            .is_some_and(|line| line.width() > 0 && line.width() + needed > width)
        {
            lines.push(Line::default());
        }
        if let Some(line) = lines.last_mut() {
            line.spans.extend(entry);
        }
    }
    lines
}

/// The spans, as many of them as fit, the rest dropped.
pub(crate) fn row(spans: Vec<Span<'static>>, width: usize) -> Line<'static> {
    let mut left = width;
    let mut kept = Vec::new();
    for span in spans {
        let needed = span.width();
        if needed <= left {
            left -= needed;
            kept.push(span);
        } else {
            kept.push(Span::styled(text::fit(&span.content, left), span.style));
            break;
        }
    }
    Line::from(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_set_off_across_lines() {
        let (plain, code) = (Style::new(), Style::new().bold());
        let lines = prose("run `cargo build` now", plain, code, 10);
        let styles: Vec<_> = lines
            .iter()
            .flatten()
            .map(|s| (s.content.to_string(), s.style == code))
            .collect();
        let expected = [
            ("run ", false),
            ("cargo", true),
            ("build", true),
            (" now", false),
        ];
        assert_eq!(styles, expected.map(|(s, c)| (s.to_owned(), c)));
    }

    #[test]
    fn a_long_row_ends_in_an_ellipsis() {
        let line = row(vec![Span::raw("abc"), Span::raw("def")], 5);
        assert_eq!(line.to_string(), "abcd…");
    }
}
