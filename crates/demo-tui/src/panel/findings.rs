//! The findings of the detectors: severity, subject, start, duration, numbers.

use demo_core::Severity;
use ratatui::text::{Line, Span};

use super::rich;
use crate::model::story::Sighting;
use crate::model::text;
use crate::state::ScreenState;

pub(crate) fn title(app: &ScreenState) -> String {
    let active = app.story.active().count();
    match (active, app.story.findings.len() - active) {
        (0, 0) => String::from("Violations"),
        (active, 0) => format!("Violations: {active} active"),
        (0, cleared) => format!("Violations: none active, {cleared} cleared"),
        (active, cleared) => format!("Violations: {active} active, {cleared} cleared"),
    }
}

/// The active ones first, then the newest.
pub(crate) fn lines(app: &ScreenState, width: usize) -> Vec<Line<'static>> {
    if app.story.findings.is_empty() {
        return vec![Line::from(vec![
            Span::styled("✓ ", app.theme.good),
            Span::styled("none so far", app.theme.dim),
        ])];
    }
    let mut sightings: Vec<&Sighting> = app.story.findings.iter().rev().collect();
    sightings.sort_by_key(|s| s.cleared.is_some());
    sightings
        .into_iter()
        .flat_map(|s| sighting_lines(app, s, width))
        .collect()
}

fn sighting_lines(
    app: &ScreenState,
    Sighting { finding, cleared }: &Sighting,
    width: usize,
) -> Vec<Line<'static>> {
    let theme = &app.theme;
    let first = finding.first_seen;
    let lasted = text::seconds(cleared.unwrap_or(app.story.now).saturating_sub(first));
    let detected = text::seconds(finding.detected_at.saturating_sub(first));
    let word = match finding.severity {
        Severity::Warning => "WARNING",
        Severity::Critical => "CRITICAL",
    };
    let (badge, name) = match cleared {
        None => (
            Span::styled(format!(" ✗ {word} "), theme.badge(finding.severity)),
            theme.strong,
        ),
        Some(_) => (
            Span::styled(format!(" ✓ cleared {} ", word.to_lowercase()), theme.good),
            theme.dim,
        ),
    };
    let times = match cleared {
        None => format!(
            "  since {}, for {lasted}, seen after {detected}",
            text::clock(first)
        ),
        Some(_) => format!(
            "  at {}, for {lasted}, seen after {detected}",
            text::clock(first)
        ),
    };
    let head = vec![
        badge,
        Span::styled(format!(" {}", finding.name), name),
        Span::styled(format!(" [{}]", finding.subject), name),
        Span::styled(times, theme.dim),
    ];
    let style = if cleared.is_some() {
        theme.dim
    } else {
        theme.text
    };
    let mut lines = vec![rich::row(head, width)];
    if !finding.evidence.is_empty() {
        lines.extend(rich::signed(" ", style, &finding.evidence, style, width));
    }
    lines
}
