//! The keys that matter now.

use ratatui::text::{Line, Span};

use crate::bindings::{BINDINGS, KeyBinding, KeyEffect};
use crate::model::text;
use crate::state::ScreenState;

pub(crate) fn line(app: &ScreenState) -> Line<'static> {
    let width = usize::from(app.size.width);
    let bindings = BINDINGS.iter().filter(|b| b.is_for(app.mode()));
    let hints: Vec<(&KeyBinding, String, String)> = bindings
        .filter_map(|b| Some((b, b.names().swap_remove(0), hint(app, b)?)))
        .collect();
    let cost = |(_, key, hint): &(_, String, String)| text::width(key) + text::width(hint) + 4;
    let essential: usize = hints.iter().filter(|h| h.0.essential).map(cost).sum();
    let mut room = width.saturating_sub(essential);
    let mut spans = vec![Span::raw(" ")];
    for entry in hints {
        let cost = cost(&entry);
        let (binding, key, hint) = entry;
        if !binding.essential {
            if cost > room {
                continue;
            }
            room -= cost;
        }
        spans.push(Span::styled(key, app.theme.accent));
        spans.push(Span::styled(format!(" {hint}   "), app.theme.text));
    }
    super::rich::row(spans, width)
}

/// The footer's hint for a key; nothing when the key has no effect now.
fn hint(app: &ScreenState, binding: &KeyBinding) -> Option<String> {
    let story = &app.story;
    let over = story.outcome.is_some();
    if binding.hint.is_empty() || (app.leaving && binding.press != KeyEffect::Quit) {
        return None;
    }
    match binding.press {
        KeyEffect::Advance if over => None,
        KeyEffect::Advance if story.blocked() => Some("not yet".into()),
        KeyEffect::Advance => {
            let hint = story
                .chapter()
                .map_or(binding.hint, |c| c.key_hint.as_str());
            Some(text::fit(hint, usize::from(app.size.width) / 2))
        }
        KeyEffect::Rerun
            if over || story.running || !story.chapter().is_some_and(|c| c.repeatable) =>
        {
            None
        }
        KeyEffect::Encore
            if over || story.running || !story.chapter().is_some_and(|c| c.has_encore) =>
        {
            None
        }
        KeyEffect::Details
            if app
                .story
                .page
                .as_ref()
                .is_none_or(|page| page.details.is_empty()) =>
        {
            None
        }
        KeyEffect::Details if app.details => Some("the answer".into()),
        KeyEffect::Pause if app.player.is_some_and(|player| player.paused) => Some("go on".into()),
        KeyEffect::Quit if app.leaving => Some("leaving".into()),
        KeyEffect::Quit if over => Some("leave".into()),
        KeyEffect::Zoom if app.zoom => Some("all panels".into()),
        _ => Some(binding.hint.into()),
    }
}
