//! The chapter's narration, then the sentences and measurements of its callback.

use demo_core::{Measurement, Table, Tone};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{chapters, rich};
use crate::layout::{self, LayoutKind};
use crate::model::story::NarrationLine;
use crate::model::text;
use crate::state::ScreenState;
use crate::theme::Theme;

pub(crate) fn title(app: &ScreenState) -> String {
    let Some(title) = app.story.chapter_title() else {
        return String::from("Narration");
    };
    if layout::kind(app.size, app.large) == LayoutKind::Full {
        title
    } else {
        format!("{title}  {}", chapters::progress(app))
    }
}

pub(crate) fn lines(app: &ScreenState, width: usize) -> Vec<Line<'static>> {
    let theme = &app.theme;
    let Some(chapter) = app.story.chapter() else {
        return vec![Line::styled("The story is about to begin.", theme.dim)];
    };
    let narration = match &app.story.encore {
        Some((_, narration)) => narration,
        None => &chapter.narration,
    };
    let mut lines = rich::prose(narration.trim_end(), theme.text, theme.code, width);
    if !app.story.spoken.is_empty() && !lines.is_empty() {
        lines.push(Line::default());
    }
    lines.extend(
        app.story
            .spoken
            .iter()
            .flat_map(|spoken| spoken_lines(theme, spoken, width)),
    );
    if app.large { spaced(lines) } else { lines }
}

/// The lines with an empty one between any two.
pub(crate) fn spaced(lines: Vec<Line<'static>>) -> Vec<Line<'static>> {
    let lines = lines.into_iter().filter(|line| line.width() > 0);
    lines.flat_map(|line| [line, Line::default()]).collect()
}

pub(crate) fn spoken_lines(
    theme: &Theme,
    spoken: &NarrationLine,
    width: usize,
) -> Vec<Line<'static>> {
    match spoken {
        NarrationLine::Said(tone, words) => {
            let style = theme.tone(*tone);
            rich::signed(tone_sign(*tone), style, words, style, width)
        }
        NarrationLine::Measured(m) => measurement_lines(theme, m, width),
        NarrationLine::Expected(name, occurred) => expected_lines(theme, name, *occurred, width),
        NarrationLine::Table(table) => table_lines(theme, table, width),
    }
}

fn table_lines(theme: &Theme, table: &Table, width: usize) -> Vec<Line<'static>> {
    let mut lines = rich::prose(&table.title, theme.strong, theme.code, width);
    let rows = table.lines(width).into_iter().enumerate();
    lines.extend(rows.map(|(nth, (text, [within, beyond]))| {
        let style = if nth == 0 { theme.dim } else { theme.text };
        let spans = vec![
            Span::styled(text, style),
            Span::styled("░".repeat(within), theme.good),
            Span::styled("█".repeat(beyond), theme.bad),
        ];
        rich::row(spans, width)
    }));
    lines
}

pub(crate) fn measurement_lines(
    theme: &Theme,
    m: &Measurement,
    width: usize,
) -> Vec<Line<'static>> {
    rich::signed("=", theme.accent, &measurement(m), theme.strong, width)
}

pub(crate) fn expected_lines(
    theme: &Theme,
    name: &str,
    occurred: bool,
    width: usize,
) -> Vec<Line<'static>> {
    let (sign, words, style): (_, _, Style) = if occurred {
        ("✓", format!("occurred: {name}"), theme.good)
    } else {
        ("✗", format!("did not occur: {name}"), theme.bad)
    };
    rich::signed(sign, style, &words, style, width)
}

/// A measurement on one line, as "drift: 18 (nodes 29, store 11)".
fn measurement(m: &Measurement) -> String {
    let detail = if m.detail.is_empty() {
        String::new()
    } else {
        format!(" ({})", m.detail)
    };
    format!("{}: {}{detail}", m.name, quantity(m))
}

/// A value with its unit.
pub(crate) fn quantity(m: &Measurement) -> String {
    format!("{} {}", text::number(m.value), m.unit)
        .trim_end()
        .to_owned()
}

fn tone_sign(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "·",
        Tone::Good => "✓",
        Tone::Warning => "!",
        Tone::Bad => "✗",
    }
}
