//! How each role looks. Panels name roles; only this file names colours.

use demo_core::{SeriesRole, Severity, Tone};
use ratatui::style::{Color, Modifier, Style};

/// The set of colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Palette {
    /// For a dark background.
    #[default]
    Dark,
    /// For a light background.
    Light,
    /// None: bold, dim and reverse only.
    Monochrome,
}

/// A style for each role. Text is in the terminal's own colours; colour only underlines the meaning
/// of a word or a symbol.
#[derive(Clone, Debug)]
pub(crate) struct Theme {
    pub(crate) text: Style,
    pub(crate) strong: Style,
    pub(crate) dim: Style,
    pub(crate) border: Style,
    pub(crate) focus: Style,
    pub(crate) accent: Style,
    pub(crate) code: Style,
    pub(crate) good: Style,
    pub(crate) warning: Style,
    pub(crate) bad: Style,
    /// The bar at the top.
    pub(crate) header: Style,
    /// The current activity.
    pub(crate) status: Style,
    pub(crate) badge_warning: Style,
    pub(crate) badge_bad: Style,
    pub(crate) mark: Style,
    parts: [Style; 4],
    bound: Style,
}

impl Theme {
    pub(crate) fn new(palette: Palette) -> Self {
        match palette {
            Palette::Dark => Self::colored(&PaletteColors {
                dim: 246,
                border: 240,
                accent: 80,
                good: 114,
                warning: 221,
                bad: 203,
                mark: 183,
                parts: [110, 139, 144, 109],
                bar: (15, 24),
                on_badge: 16,
            }),
            Palette::Light => Self::colored(&PaletteColors {
                dim: 242,
                border: 249,
                accent: 25,
                good: 28,
                warning: 130,
                bad: 160,
                mark: 90,
                parts: [61, 96, 94, 66],
                bar: (15, 24),
                on_badge: 15,
            }),
            Palette::Monochrome => Self::monochrome(),
        }
    }

    fn colored(colors: &PaletteColors) -> Self {
        let fg = |index| Style::new().fg(Color::Indexed(index));
        let on = |fg, bg| Style::new().fg(Color::Indexed(fg)).bg(Color::Indexed(bg));
        let bold = |style: Style| style.add_modifier(Modifier::BOLD);
        Self {
            text: Style::new(),
            strong: bold(Style::new()),
            dim: fg(colors.dim),
            border: fg(colors.border),
            focus: fg(colors.accent),
            accent: bold(fg(colors.accent)),
            code: fg(colors.accent),
            good: fg(colors.good),
            warning: fg(colors.warning),
            bad: bold(fg(colors.bad)),
            header: on(colors.bar.0, colors.bar.1),
            status: bold(fg(colors.warning)),
            badge_warning: bold(on(colors.on_badge, colors.warning)),
            badge_bad: bold(on(colors.on_badge, colors.bad)),
            mark: fg(colors.mark),
            parts: colors.parts.map(fg),
            bound: fg(colors.bad),
        }
    }

    fn monochrome() -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let dim = plain.add_modifier(Modifier::DIM);
        let reversed = plain.add_modifier(Modifier::REVERSED);
        Self {
            text: plain,
            strong: bold,
            dim,
            border: dim,
            focus: bold,
            accent: bold,
            code: bold,
            good: plain,
            warning: bold,
            bad: bold,
            header: reversed,
            status: bold,
            badge_warning: reversed,
            badge_bad: reversed.add_modifier(Modifier::BOLD),
            mark: plain,
            parts: [dim; 4],
            bound: plain,
        }
    }

    pub(crate) fn tone(&self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => self.text,
            Tone::Good => self.good,
            Tone::Warning => self.warning,
            Tone::Bad => self.bad,
        }
    }

    pub(crate) fn badge(&self, severity: Severity) -> Style {
        match severity {
            Severity::Warning => self.badge_warning,
            Severity::Critical => self.badge_bad,
        }
    }

    /// The `nth` series of a role.
    pub(crate) fn series(&self, role: SeriesRole, nth: usize) -> Style {
        match role {
            SeriesRole::Part => self.parts[nth % self.parts.len()],
            SeriesRole::Sum => self.status,
            SeriesRole::Whole => self.accent,
            SeriesRole::Gap | SeriesRole::Bad => self.bad,
            SeriesRole::Bound => self.bound,
            SeriesRole::Good => self.good,
        }
    }
}

/// The differences of the two colour palettes, by number in the 256 colours that every terminal of
/// today draws alike.
struct PaletteColors {
    dim: u8,
    border: u8,
    accent: u8,
    good: u8,
    warning: u8,
    bad: u8,
    mark: u8,
    parts: [u8; 4],
    bar: (u8, u8),
    on_badge: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_nothing_has_a_colour() {
        let t = Theme::new(Palette::Monochrome);
        let styles = [
            t.text, t.strong, t.dim, t.border, t.focus, t.accent, t.code, t.good, t.warning, t.bad,
            t.header,
        ];
        let more = [t.status, t.badge_warning, t.badge_bad, t.mark, t.bound];
        for style in styles.iter().chain(&more).chain(&t.parts) {
            assert_eq!((style.fg, style.bg), (None, None));
        }
    }
}
