//! The nodes and their dependencies: state and, if there is one, a short note.

use demo_core::{Reachability, Tone};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::rich;
use crate::model::story::StoryState;
use crate::model::text;
use crate::state::ScreenState;
use crate::theme::Theme;

/// One node or dependency.
struct ClusterMember<'a> {
    name: &'a str,
    sign: &'static str,
    word: &'static str,
    style: Style,
    note: Option<(Style, &'a str)>,
}

fn members<'a>(story: &'a StoryState, theme: &Theme) -> Vec<ClusterMember<'a>> {
    let note = |name: &str| {
        story
            .notes
            .get(name)
            .map(|(tone, text)| (theme.tone(*tone), text.as_str()))
    };
    let nodes = story.health.nodes.iter().map(|node| {
        let (sign, word, style) = match node.state {
            Reachability::Up => ("✓", "up", theme.good),
            Reachability::Suspect => ("!", "suspect", theme.warning),
            Reachability::Down => ("✗", "down", theme.bad),
        };
        ClusterMember {
            name: &node.id,
            sign,
            word,
            style,
            note: note(&node.id),
        }
    });
    let dependencies = story.health.dependencies.iter().map(|dependency| {
        let (sign, word, style) = match dependency.connected {
            true => ("✓", "connected", theme.good),
            false => ("✗", "not connected", theme.bad),
        };
        ClusterMember {
            name: &dependency.name,
            sign,
            word,
            style,
            note: note(&dependency.name),
        }
    });
    // A note of something wrong outranks a connection that stands.
    let troubled =
        |name: &str| matches!(story.notes.get(name), Some((Tone::Warning | Tone::Bad, _)));
    nodes
        .chain(dependencies)
        .map(|member| {
            if member.sign == "✓" && troubled(member.name) {
                ClusterMember {
                    sign: "!",
                    style: theme.warning,
                    ..member
                }
            } else {
                member
            }
        })
        .collect()
}

/// How many lines [`lines`] has when every note has one of its own.
pub(crate) fn rows(story: &StoryState) -> usize {
    let members = story.health.nodes.len() + story.health.dependencies.len();
    let notes = story
        .health
        .dependencies
        .iter()
        .filter(|d| story.notes.contains_key(&d.name))
        .count();
    members + notes
}

pub(crate) fn lines(app: &ScreenState, width: usize) -> Vec<Line<'static>> {
    let members = members(&app.story, &app.theme);
    if members.is_empty() {
        return vec![Line::styled("not polled yet", app.theme.dim)];
    }
    let name_width = members
        .iter()
        .map(|m| text::width(m.name))
        .max()
        .unwrap_or(0)
        .min(width / 2);
    let mut lines = Vec::new();
    for member in members {
        let name = text::fit(member.name, name_width);
        let air = " ".repeat(name_width - text::width(&name) + 1);
        let mut spans = vec![
            Span::styled(format!("{} ", member.sign), member.style),
            Span::styled(format!("{name}{air}"), app.theme.strong),
            Span::styled(member.word, member.style),
        ];
        let used: usize = spans.iter().map(Span::width).sum();
        match member.note {
            Some((style, note)) if used + 1 + text::width(note) <= width => {
                spans.push(Span::styled(format!(" {note}"), style));
                lines.push(Line::from(spans));
            }
            Some((style, note)) => {
                lines.push(rich::row(spans, width));
                lines.push(Line::styled(
                    format!("  {}", text::fit(note, width.saturating_sub(2))),
                    style,
                ));
            }
            None => lines.push(rich::row(spans, width)),
        }
    }
    lines
}

/// The same on one line; notes only on nodes and dependencies in trouble.
pub(crate) fn strip(app: &ScreenState, width: usize) -> Line<'static> {
    let members = members(&app.story, &app.theme);
    if members.is_empty() {
        return Line::styled(" cluster: not polled yet", app.theme.dim);
    }
    let drawn = |air: &str, between: &str| {
        let mut spans = vec![Span::raw(" ")];
        for (i, member) in members.iter().enumerate() {
            if i > 0 {
                spans.push(Span::styled(between.to_owned(), app.theme.border));
            }
            spans.push(Span::styled(format!("{}{air}", member.sign), member.style));
            spans.push(Span::styled(format!("{} ", member.name), app.theme.strong));
            match member.note {
                Some((style, note)) if member.sign == "!" => {
                    spans.push(Span::styled(note.to_owned(), style));
                }
                _ => spans.push(Span::styled(member.word, member.style)),
            }
        }
        Line::from(spans)
    };
    let roomy = drawn(" ", " │ ");
    if roomy.width() <= width {
        return roomy;
    }
    rich::row(drawn("", " ").spans, width)
}
