//! A longer text that comes piece by piece, as a diagnosis does.

use ratatui::text::Line;

use super::narration::spaced;
use super::rich;
use crate::model::text;
use crate::state::ScreenState;

pub(crate) fn title(app: &ScreenState) -> String {
    let Some(page) = &app.story.page else {
        return String::from("Text");
    };
    let mut title = text::capitalized(&page.panel);
    if app.story.running {
        title.push_str(" ...");
    }
    if app.details && !page.details.is_empty() {
        title.push_str(": the evidence");
    }
    title
}

pub(crate) fn lines(app: &ScreenState, width: usize) -> Vec<Line<'static>> {
    let Some(page) = &app.story.page else {
        return vec![];
    };
    let words = if app.details && !page.details.is_empty() {
        &page.details
    } else {
        &page.text
    };
    let lines = rich::prose(words.trim_end(), app.theme.text, app.theme.code, width);
    if app.large { spaced(lines) } else { lines }
}
