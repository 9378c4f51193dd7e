//! Boxes over everything else: all keys and signs, and the narration of the next chapter.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::frame::PanelFrame;
use super::rich;
use crate::bindings::{BINDINGS, KeyBinding};
use crate::state::{Overlay, ScreenState};

/// Widest narration.
const PROSE: usize = 72;

/// The title and lines of the help.
fn help(app: &ScreenState) -> (String, Vec<Line<'static>>) {
    let theme = &app.theme;
    let bindings = || BINDINGS.iter().filter(|b| b.is_for(app.mode()));
    let width = bindings()
        .map(|b| b.names().join(", ").len())
        .max()
        .unwrap_or(0);
    let key = |binding: &KeyBinding| {
        Line::from(vec![
            Span::styled(
                format!("{:width$}  ", binding.names().join(", ")),
                theme.accent,
            ),
            Span::styled(binding.help, theme.text),
        ])
    };
    let mut lines: Vec<Line<'static>> = bindings().map(key).collect();
    lines.push(Line::default());
    lines.push(Line::from(vec![
        Span::styled("✓", theme.good),
        Span::styled(" well   ", theme.text),
        Span::styled("!", theme.warning),
        Span::styled(" take care   ", theme.text),
        Span::styled("✗", theme.bad),
        Span::styled(" broken   ", theme.text),
        Span::styled("=", theme.accent),
        Span::styled(" measured   ", theme.text),
        Span::styled("▒", theme.bad),
        Span::styled(" a difference", theme.text),
    ]));
    ("Keys (any key closes)".into(), lines)
}

/// The title and narration of the next chapter.
fn ahead(app: &ScreenState) -> (String, Vec<Line<'static>>) {
    let next = app.story.current.map_or(0, |current| current + 1);
    let Some(chapter) = app.story.chapters.get(next) else {
        return (
            "Next".into(),
            vec![Line::styled("This is the last chapter.", app.theme.text)],
        );
    };
    let width = PROSE.min(usize::from(app.size.width).saturating_sub(8));
    let lines = rich::prose(
        chapter.narration.trim_end(),
        app.theme.text,
        app.theme.code,
        width,
    );
    (format!("Next: {}. {}", next + 1, chapter.title), lines)
}

/// Draws a box in the middle of the screen.
pub(crate) fn draw(app: &ScreenState, overlay: Overlay, screen: Rect, buf: &mut Buffer) {
    let (title, lines) = match overlay {
        Overlay::Help => help(app),
        Overlay::Ahead => ahead(app),
    };
    let widest = lines.iter().map(Line::width).max().unwrap_or(0);
    let size = |n: usize, most: u16| u16::try_from(n).unwrap_or(u16::MAX).min(most);
    let width = size(widest.max(title.len() + 2) + 4, screen.width);
    let height = size(lines.len() + 2, screen.height);
    let place = Rect {
        x: screen.x + (screen.width - width) / 2,
        y: screen.y + (screen.height - height) / 2,
        width,
        height,
    };
    Clear.render(place, buf);
    let shown = usize::from(place.height.saturating_sub(2));
    let frame = PanelFrame {
        theme: &app.theme,
        title: &title,
        boxed: true,
        focused: true,
        hidden: (0, lines.len().saturating_sub(shown)),
    };
    let inner = frame.draw(place, buf);
    for (y, line) in (inner.top()..inner.bottom()).zip(&lines) {
        buf.set_line(inner.x, y, line, inner.width);
    }
}
