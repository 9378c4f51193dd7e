//! The numbers that were measured, as they stand.

use ratatui::text::{Line, Span};

use super::narration::quantity;
use super::rich;
use crate::model::text;
use crate::state::ScreenState;

pub(crate) fn lines(app: &ScreenState, width: usize) -> Vec<Line<'static>> {
    let theme = &app.theme;
    if app.story.measured.is_empty() {
        return vec![Line::styled("nothing yet", theme.dim)];
    }
    app.story
        .measured
        .iter()
        .map(|m| {
            let value = quantity(m);
            let name = text::fit(&m.name, width.saturating_sub(text::width(&value) + 1));
            let air = " ".repeat(width.saturating_sub(text::width(&name) + text::width(&value)));
            rich::row(
                vec![
                    Span::styled(name, theme.text),
                    Span::raw(air),
                    Span::styled(value, theme.strong),
                ],
                width,
            )
        })
        .collect()
}
