//! The surroundings of a panel: a box where there is room, a rule above it where there is not.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::widgets::{Block, BorderType, Borders, Padding, Widget};

use crate::model::text;
use crate::theme::Theme;

/// The surroundings of a panel. How many lines are out of sight stands in the border, so that
/// nothing is cut silently.
pub(crate) struct PanelFrame<'a> {
    pub(crate) theme: &'a Theme,
    pub(crate) title: &'a str,
    pub(crate) boxed: bool,
    pub(crate) focused: bool,
    /// The numbers of lines out of sight above and below.
    pub(crate) hidden: (usize, usize),
}

/// A border with a column of air on both sides.
fn block(boxed: bool) -> Block<'static> {
    let borders = if boxed { Borders::ALL } else { Borders::TOP };
    Block::new()
        .borders(borders)
        .padding(Padding::horizontal(1))
}

impl PanelFrame<'_> {
    /// The place of the panel's content.
    pub(crate) fn inner(area: Rect, boxed: bool) -> Rect {
        block(boxed).inner(area)
    }

    /// Draws the frame, and returns the place of the content.
    pub(crate) fn draw(&self, area: Rect, buf: &mut Buffer) -> Rect {
        let inner = Self::inner(area, self.boxed);
        if area.is_empty() {
            return inner;
        }
        let (line, title_style) = if self.focused {
            (self.theme.focus, self.theme.accent)
        } else {
            (self.theme.border, self.theme.strong)
        };
        let kind = match (self.focused, self.boxed) {
            (true, _) => BorderType::Thick,
            (false, true) => BorderType::Rounded,
            (false, false) => BorderType::Plain,
        };
        block(self.boxed)
            .border_type(kind)
            .border_style(line)
            .render(area, buf);
        let hidden = match self.hidden {
            (0, 0) => String::new(),
            (above, 0) => format!(" ↑ {above} more "),
            (0, below) => format!(" ↓ {below} more "),
            (above, below) => format!(" ↑ {above} ↓ {below} more "),
        };
        let hidden_width = text::width(&hidden);
        let width = usize::from(area.width);
        // The title shares its line with the count where there is no lower border.
        let (rule, taken) = if self.boxed {
            (area.bottom() - 1, 0)
        } else {
            (area.y, hidden_width)
        };
        if hidden_width + 4 <= width {
            let x = area.right() - 1 - u16::try_from(hidden_width).unwrap_or(0);
            buf.set_string(x, rule, &hidden, self.theme.warning);
        }
        let title = text::fit(self.title, width.saturating_sub(6 + taken));
        let marker = if self.focused { "▸ " } else { " " };
        // A bold title is not to inherit the colour of the line that it stands on.
        let style = Style::reset().patch(title_style);
        buf.set_string(area.x + 1, area.y, format!("{marker}{title} "), style);
        inner
    }
}
