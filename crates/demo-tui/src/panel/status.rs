//! The status line: the current activity, or the reason why a key was refused.

use std::time::Duration;

use ratatui::text::{Line, Span};

use super::rich;
use crate::model::story::{NOTICE, StatusGauge};
use crate::model::text;
use crate::state::ScreenState;

const GAUGE: usize = 16;

pub(crate) fn line(app: &ScreenState) -> Line<'static> {
    let width = usize::from(app.size.width);
    let (story, theme) = (&app.story, &app.theme);
    if app.leaving {
        let words = " ■ healing, then leaving; Ctrl-C leaves at once";
        return rich::row(vec![Span::styled(words, theme.status)], width);
    }
    let mut spans = vec![Span::raw(" ")];
    let notice = story.refusal.as_ref().filter(|r| story.now < r.at + NOTICE);
    match (&story.status, notice) {
        (Some(status), None) => spans.extend(under_way(app, status, width)),
        (Some(status), Some(_)) => {
            if let Some(left) = remaining(app, status) {
                spans.push(Span::styled(format!("{left} s  "), theme.status));
            }
        }
        (None, None) if story.running => spans.push(Span::styled("▶ running", theme.status)),
        (None, None) if story.outcome.is_some() && app.player.is_some() => {
            spans.push(Span::styled(
                "■ the end of the log; q leaves, Left goes back",
                theme.strong,
            ));
        }
        (None, None) if story.outcome.is_some() => {
            spans.push(Span::styled("■ the end; q or Enter leaves", theme.strong));
        }
        (None, _) => {}
    }
    if let Some(refusal) = notice {
        let times = if refusal.times > 1 {
            format!(" (x{})", refusal.times)
        } else {
            String::new()
        };
        spans.push(Span::styled(
            format!("! {}{times}", refusal.reason),
            theme.warning.bold(),
        ));
    }
    rich::row(spans, width)
}

fn under_way(app: &ScreenState, status: &StatusGauge, width: usize) -> Vec<Span<'static>> {
    let theme = &app.theme;
    let Some(left) = remaining(app, status) else {
        return vec![Span::styled(format!("▶ {}", status.text), theme.status)];
    };
    let tail = GAUGE + 12;
    let words = text::fit(&status.text, width.saturating_sub(tail + 4));
    let until = status.until.unwrap_or_default();
    let share =
        until.saturating_sub(app.story.now).as_secs_f64() / status.total.as_secs_f64().max(0.001);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of 16"
    )]
    let filled = ((share.clamp(0.0, 1.0) * GAUGE as f64).ceil() as usize).min(GAUGE);
    vec![
        Span::styled(format!("▶ {words} "), theme.status),
        Span::styled(format!(" {left:>2} s  "), theme.strong),
        Span::styled("█".repeat(filled), theme.status),
        Span::styled("░".repeat(GAUGE - filled), theme.border),
    ]
}

/// Whole seconds, as one counts down: 3, 2, 1.
fn remaining(app: &ScreenState, status: &StatusGauge) -> Option<u64> {
    let left = status.until?.saturating_sub(app.story.now);
    Some(left.as_secs() + u64::from(left > Duration::from_secs(left.as_secs())))
}
