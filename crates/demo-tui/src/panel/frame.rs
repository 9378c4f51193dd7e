//! The surroundings of a panel: a box where there is room, a rule above it where there is not.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Block, BorderType, Widget};

use crate::model::text;
use crate::theme::Theme;

/// The surroundings of a panel. How many lines are out of sight stands in the border, so that
/// nothing is cut silently.
pub(crate) struct PanelFrame<'a> {
    pub(crate) theme: &'a Theme,
    pub(crate) title: &'a str,
    pub(crate) boxed: bool,
    pub(crate) focused: bool,
    pub(crate) above: usize,
    pub(crate) below: usize,
}

impl PanelFrame<'_> {
    /// Where the panel's content goes.
    pub(crate) fn inner(area: Rect, boxed: bool) -> Rect {
        if boxed {
            let inner = Block::bordered().inner(area);
            // A column of air on both sides.
            Rect {
                x: inner.x + 1,
                width: inner.width.saturating_sub(2),
                ..inner
            }
        } else {
            let inner = Rect {
                y: area.y + 1,
                height: area.height.saturating_sub(1),
                ..area
            };
            Rect {
                x: inner.x + 1,
                width: inner.width.saturating_sub(2),
                ..inner
            }
        }
    }

    fn hidden(&self) -> String {
        match (self.above, self.below) {
            (0, 0) => String::new(),
            (above, 0) => format!(" ↑ {above} more "),
            (0, below) => format!(" ↓ {below} more "),
            (above, below) => format!(" ↑ {above} ↓ {below} more "),
        }
    }
}

impl Widget for &PanelFrame<'_> {
    fn render(self, area: Rect, buf: &mut Buffer) {
        if area.is_empty() {
            return;
        }
        let (line, title_style) = if self.focused {
            (self.theme.focus, self.theme.accent)
        } else {
            (self.theme.border, self.theme.strong)
        };
        let rule = if self.boxed {
            let kind = if self.focused {
                BorderType::Thick
            } else {
                BorderType::Rounded
            };
            Block::bordered()
                .border_type(kind)
                .border_style(line)
                .render(area, buf);
            area.y + area.height - 1
        } else {
            let symbol = if self.focused { "━" } else { "─" };
            for x in area.left()..area.right() {
                buf[(x, area.y)].set_symbol(symbol).set_style(line);
            }
            area.y
        };
        let hidden = self.hidden();
        let hidden_width = text::width(&hidden);
        let width = usize::from(area.width);
        if hidden_width + 4 <= width {
            let x = area.right() - 1 - u16::try_from(hidden_width).unwrap_or(0);
            buf.set_string(x, rule, &hidden, self.theme.warning);
        }
        // The title shares its line with the count where there is no lower border.
        let taken = if self.boxed { 0 } else { hidden_width };
        let title = text::fit(self.title, width.saturating_sub(6 + taken));
        let marker = if self.focused { "▸ " } else { " " };
        let title = format!("{marker}{title} ");
        // A bold title is not to inherit the colour of the line that it stands on.
        for x in area.x + 1
            ..area.x
                + 1
                + u16::try_from(text::width(&title))
                    .unwrap_or(0)
                    .min(area.width - 1)
        {
            buf[(x, area.y)].reset();
        }
        buf.set_string(area.x + 1, area.y, title, title_style);
    }
}
