//! All keys and signs, over everything else.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::frame::Frame;
use crate::app::App;
use crate::bindings::{BINDINGS, Binding};

/// The overlay.
pub(crate) struct Help<'a>(pub(crate) &'a App);

impl Help<'_> {
    fn lines(&self) -> Vec<Line<'static>> {
        let theme = &self.0.theme;
        let names: Vec<String> = BINDINGS.iter().map(Binding::names).collect();
        let width = names.iter().map(String::len).max().unwrap_or(0);
        let mut lines: Vec<Line<'static>> = names
            .iter()
            .zip(BINDINGS)
            .map(|(name, binding)| {
                Line::from(vec![
                    Span::styled(format!("{name:width$}  "), theme.key),
                    Span::styled(binding.help, theme.text),
                ])
            })
            .collect();
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
        lines
    }
}

impl Widget for &Help<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        let lines = self.lines();
        let width = lines.iter().map(Line::width).max().unwrap_or(0) + 4;
        let (width, height) =
            (u16::try_from(width).unwrap_or(u16::MAX), u16::try_from(lines.len() + 2).unwrap_or(u16::MAX));
        let (width, height) = (width.min(area.width), height.min(area.height));
        let place = Rect {
            x: area.x + (area.width - width) / 2,
            y: area.y + (area.height - height) / 2,
            width,
            height,
        };
        Clear.render(place, buf);
        let frame = Frame {
            theme: &self.0.theme,
            title: "Keys (any key closes)",
            boxed: true,
            focused: true,
            above: 0,
            below: lines.len().saturating_sub(usize::from(height.saturating_sub(2))),
        };
        frame.render(place, buf);
        let inner = Frame::inner(place, true);
        for (y, line) in (inner.top()..inner.bottom()).zip(&lines) {
            buf.set_line(inner.x, y, line, inner.width);
        }
    }
}
