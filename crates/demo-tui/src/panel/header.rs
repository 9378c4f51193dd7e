//! The bar at the top: subject, chapter, elapsed time, how it is run.

use ratatui::text::{Line, Span};

use crate::model::text;
use crate::state::ScreenState;

/// One line as wide as the screen.
pub(crate) fn line(app: &ScreenState) -> Line<'static> {
    let (story, theme) = (&app.story, &app.theme);
    let width = usize::from(app.size.width);
    let bold = theme.header.bold();

    let mut right = String::new();
    match &app.player {
        Some(player) => {
            let pace = if player.paused {
                "paused".into()
            } else {
                format!("{}x", text::number(player.speed))
            };
            let (now, length) = (text::clock(story.now), text::clock(player.length));
            right.push_str(&format!("{pace}  {now} of {length}"));
        }
        None => {
            if let Some(last) = app.last_key.filter(|_| story.outcome.is_none()) {
                right.push_str(&format!(
                    "key {} ago  ",
                    text::clock(app.clock.saturating_sub(last))
                ));
            }
            right.push_str(&text::clock(story.now));
        }
    }
    if !app.mode_label.is_empty() {
        right.push_str(&format!("  {}", app.mode_label));
    }
    right.push(' ');

    let place = match (story.current, &story.outcome) {
        (_, Some(_)) => "the end".to_owned(),
        (Some(chapter), None) => format!("chapter {} of {}", chapter + 1, story.chapters.len()),
        (None, None) => "starting".to_owned(),
    };
    let room = width.saturating_sub(text::width(&right) + text::width(&place) + 5);
    let left = format!(" {} ", text::fit(&story.subject, room));
    let used = text::width(&left) + text::width(&place) + text::width(&right) + 2;
    let air = " ".repeat(width.saturating_sub(used));
    Line::from(vec![
        Span::styled(left, bold),
        Span::styled("│ ", theme.header),
        Span::styled(place, theme.header),
        Span::styled(air, theme.header),
        Span::styled(text::fit(&right, width), theme.header),
    ])
}
