//! How it ended: outcome, expectations, numbers, findings.

use demo_core::StoryEnd;
use ratatui::text::Line;

use super::{narration, rich};
use crate::model::story::NarrationLine;
use crate::model::text;
use crate::state::ScreenState;

pub(crate) fn lines(app: &ScreenState, width: usize) -> Vec<Line<'static>> {
    let (story, theme) = (&app.story, &app.theme);
    let Some(outcome) = &story.outcome else {
        return vec![];
    };
    let (sign, style) = match outcome {
        StoryEnd::Completed => ("✓", theme.good.bold()),
        StoryEnd::Missed { .. } => ("!", theme.status),
        StoryEnd::Failed { .. } => ("✗", theme.bad),
        StoryEnd::Quit => ("·", theme.strong),
    };
    let words = text::capitalized(&outcome.to_string());
    let mut lines = rich::signed(sign, style, &words, style, width);
    lines.push(Line::default());
    // The conclusion of the last chapter; the other lines are in the lists below.
    let concluded =
        |line: &&NarrationLine| matches!(line, NarrationLine::Said(..) | NarrationLine::Table(_));
    let spoken = story.spoken.iter().filter(concluded);
    lines.extend(spoken.flat_map(|line| narration::spoken_lines(theme, line, width)));
    let expected = story.expected.iter();
    lines.extend(
        expected
            .flat_map(|(name, occurred)| narration::expected_lines(theme, name, *occurred, width)),
    );
    lines.extend(
        story
            .measured
            .iter()
            .flat_map(|m| narration::measurement_lines(theme, m, width)),
    );
    let active = story.active().count();
    if active > 0 {
        let words = format!(
            "{active} of {} violations still active",
            story.findings.len()
        );
        lines.extend(rich::signed(
            "!",
            theme.warning,
            &words,
            theme.warning,
            width,
        ));
    }
    lines
}
