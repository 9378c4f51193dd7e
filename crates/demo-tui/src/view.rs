//! The whole screen, from the state alone. At 120x36:
//!
//! ```text
//!  Three tanks on one pipe │ chapter 4 of 11                             key 0:12 ago  0:41  local
//! ╭ Chapters ────────────╮┏▸ 4. The valve shuts ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┓
//! │ ✓  1 Welcome         │┃ The valve at the end of the pipe shuts for five seconds. The pump    ┃
//! │ ...                  │┃ does not know.                                                       ┃
//! │ ▶  4 The valve shuts │┃                                                                      ┃
//! │ ○  5 Detection       │┃ ! the valve is shut                                                  ┃
//! ╰──────────────────────╯┗━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┛
//! ╭ Cluster ─────────────╮╭ Water in 20 s [l, last 60 s]  1/2 ───────────────────────────────────╮
//! │ ✓ tank-1 up  20 l    ││ ▒ in the pipe 18   Σ arrived 102   W pumped 120   1 tank-1 34        │
//! │ ✓ tank-2 up  19 l    ││150│                   ⢀⠔⠒⠒⠒⠒W⠒⠒⠒⠒                                   │
//! │ ! pipe connected     ││   │            ⢀⡠⠔W⠒⠊┊▒▒▒▒ in the pipe 18 ▒                          │
//! │   valve shut         ││   │      ⡠⠔⠒⠉⠉       ┊⠢⢄▒▒▒▒▒▒▒                                      │
//! ╰──────────────────────╯│  0└──────────────────┣━━ valve shut ━━━━━━▶                          │
//! ╭ Measured ────────────╮╰──────────────────────────────────────────────────────────────────────╯
//! │ shut for       5.0 s │╭ Violations: 1 active ────────────────────────────────────────────────╮
//! │                      ││  ✗ WARNING  water_missing [pipe]  since 0:38, for 3.1 s, ...         │
//! ╰──────────────────────╯╰──────────────────────────────────────────────────────────────────────╯
//!  ▶ the valve is shut   2 s  ██████░░░░░░░░░░
//!  SPACE not yet   Tab panel   z zoom   ? help   q quit
//! ```
//!
//! How this shrinks is decided in [`crate::layout`].

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::layout::{LayoutKind, MIN, Panel};
use crate::model::text;
use crate::panel::frame::PanelFrame;
use crate::panel::{self, charts, cluster, footer, header, intervals, overlay, status};
use crate::state::ScreenState;

/// Draws everything.
pub(crate) fn view(app: &ScreenState) -> Buffer {
    let screen = Rect::new(0, 0, app.size.width, app.size.height);
    let mut buf = Buffer::empty(screen);
    draw(app, screen, &mut buf);
    buf
}

fn draw(app: &ScreenState, screen: Rect, buf: &mut Buffer) {
    let layout = panel::layout(app);
    if layout.kind == LayoutKind::TooSmall {
        too_small(app, screen, buf);
        return;
    }
    let mut line = |area: Rect, line: &Line<'_>| {
        buf.set_line(area.x, area.y, line, area.width);
    };
    line(layout.header, &header::line(app));
    line(layout.status, &status::line(app));
    line(layout.footer, &footer::line(app));
    if let Some(area) = layout.strip {
        line(area, &cluster::strip(app, area.width.into()));
    }
    if let Some(area) = layout.tabs {
        line(area, &tabs(app, area.width.into()));
    }
    let boxed = layout.kind == LayoutKind::Full;
    for (panel, area) in layout.panels {
        match panel {
            Panel::Charts => charts::draw(app, boxed, area, buf),
            Panel::Intervals => intervals::draw(app, boxed, area, buf),
            _ => lines(app, boxed, panel, area, buf),
        }
    }
    if let Some(overlay) = app.overlay {
        overlay::draw(app, overlay, screen, buf);
    }
}

/// A panel of lines, scrolled to where it should be.
fn lines(app: &ScreenState, boxed: bool, panel: Panel, area: Rect, buf: &mut Buffer) {
    let inner = PanelFrame::inner(area, boxed);
    let content = panel::content(app, panel, inner.width.into());
    let page = usize::from(inner.height);
    let most = content.len().saturating_sub(page);
    let offset = match panel {
        // The current chapter stays in sight.
        Panel::Chapters if !app.is_scrolled(panel) => app
            .story
            .current
            .unwrap_or(0)
            .saturating_sub(page / 2)
            .min(most),
        _ => app.offset(panel, most),
    };
    let frame = PanelFrame {
        theme: &app.theme,
        title: &panel::title(app, panel),
        boxed,
        focused: app.focus() == panel,
        hidden: (offset, most - offset),
    };
    frame.draw(area, buf);
    for (y, line) in (inner.top()..inner.bottom()).zip(&content[offset..]) {
        buf.set_line(inner.x, y, line, inner.width);
    }
}

/// The names of the panels, where only one of them is shown.
fn tabs(app: &ScreenState, width: usize) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    for panel in app.panels() {
        let name = match panel {
            Panel::Narration => "story",
            Panel::Text => "text",
            Panel::Charts => "chart",
            Panel::Intervals => "proof",
            Panel::Findings => "violations",
            Panel::Chapters => "chapters",
            Panel::Cluster => "cluster",
            Panel::Numbers => "numbers",
        };
        if panel == app.focus() {
            spans.push(Span::styled(format!("▸{name} "), app.theme.accent));
        } else {
            spans.push(Span::styled(format!(" {name} "), app.theme.dim));
        }
    }
    panel::row(spans, width)
}

fn too_small(app: &ScreenState, screen: Rect, buf: &mut Buffer) {
    let words = format!(
        "terminal too small: needs at least {}x{}",
        MIN.width, MIN.height
    );
    let wrapped = text::wrap(&words, screen.width.into());
    let top = usize::from(screen.height).saturating_sub(wrapped.len()) / 2;
    for (y, line) in (screen.top()..screen.bottom()).skip(top).zip(&wrapped) {
        buf.set_stringn(screen.x, y, line, screen.width.into(), app.theme.warning);
    }
}
