//! The chapters: done, left out, current, to come.

use ratatui::text::{Line, Span};

use crate::model::text;
use crate::state::ScreenState;

pub(crate) fn lines(app: &ScreenState, width: usize) -> Vec<Line<'static>> {
    let (story, theme) = (&app.story, &app.theme);
    let over = story.outcome.is_some();
    let current = story.current.unwrap_or(0);
    let started = story.current.is_some();
    let numbered = story.chapters.iter().enumerate();
    numbered
        .map(|(i, chapter)| {
            let (sign, style) = match i {
                _ if started && i < current && !story.entered.contains(&i) => ("–", theme.dim),
                _ if started && (i < current || (over && i == current)) => ("✓", theme.dim),
                _ if started && i == current => ("▶", theme.accent),
                _ => ("○", theme.text),
            };
            let title = text::fit(&chapter.title, width.saturating_sub(6));
            Line::from(vec![
                Span::styled(
                    format!("{sign} "),
                    if sign == "✓" { theme.good } else { style },
                ),
                Span::styled(format!("{:>2} ", i + 1), style),
                Span::styled(title, style),
            ])
        })
        .collect()
}

/// How far the story has come, a sign a chapter.
pub(crate) fn progress(app: &ScreenState) -> String {
    let current = app.story.current.unwrap_or(0);
    (0..app.story.chapters.len())
        .map(|i| match i {
            _ if i < current => '●',
            _ if i == current => '◉',
            _ => '○',
        })
        .collect()
}
