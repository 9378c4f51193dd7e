//! Boxes over everything else: all keys and signs, and the narration of the next chapter.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::frame::PanelFrame;
use super::rich;
use crate::bindings::{BINDINGS, KeyBinding};
use crate::state::ScreenState;

/// Widest narration.
const PROSE: usize = 72;

/// A box in the middle of the screen.
pub(crate) struct OverlayBox<'a> {
    pub(crate) app: &'a ScreenState,
    pub(crate) title: String,
    pub(crate) lines: Vec<Line<'static>>,
}

/// The title and lines of the help.
pub(crate) fn help(app: &ScreenState) -> (String, Vec<Line<'static>>) {
    let theme = &app.theme;
    let bindings = || BINDINGS.iter().filter(|b| b.is_for(app.mode()));
    let width = bindings().map(|b| b.names().len()).max().unwrap_or(0);
    let key = |binding: &KeyBinding| {
        Line::from(vec![
            Span::styled(format!("{:width$}  ", binding.names()), theme.key),
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
pub(crate) fn ahead(app: &ScreenState) -> (String, Vec<Line<'static>>) {
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

impl Widget for &OverlayBox<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let width = self
            .lines
            .iter()
            .map(Line::width)
            .max()
            .unwrap_or(0)
            .max(self.title.len() + 2)
            + 4;
        let (width, height) = (
            u16::try_from(width).unwrap_or(u16::MAX),
            u16::try_from(self.lines.len() + 2).unwrap_or(u16::MAX),
        );
        let (width, height) = (width.min(area.width), height.min(area.height));
        let place = Rect {
            x: area.x + (area.width - width) / 2,
            y: area.y + (area.height - height) / 2,
            width,
            height,
        };
        Clear.render(place, buf);
        let frame = PanelFrame {
            theme: &self.app.theme,
            title: &self.title,
            boxed: true,
            focused: true,
            above: 0,
            below: self
                .lines
                .len()
                .saturating_sub(usize::from(height.saturating_sub(2))),
        };
        frame.render(place, buf);
        let inner = PanelFrame::inner(place, true);
        for (y, line) in (inner.top()..inner.bottom()).zip(&self.lines) {
            buf.set_line(inner.x, y, line, inner.width);
        }
    }
}
