//! The panels. Each returns its content as lines; only charts and intervals draw themselves.

pub(crate) mod chapters;
pub(crate) mod charts;
pub(crate) mod cluster;
pub(crate) mod findings;
pub(crate) mod footer;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod intervals;
pub(crate) mod narration;
pub(crate) mod numbers;
pub(crate) mod overlay;
pub(crate) mod page;
pub(crate) mod status;
pub(crate) mod summary;

mod axis;
mod canvas;
pub(crate) mod dots;
mod plot;
mod rich;
mod scale;
mod stack;

pub(crate) use rich::row;

use ratatui::text::Line;

use crate::layout::{self, LayoutKind, LayoutNeeds, Panel, ScreenLayout};
use crate::model::text;
use crate::state::ScreenState;
use frame::PanelFrame;

/// The content of a panel at a width; nothing for those that draw themselves.
pub(crate) fn content(app: &ScreenState, panel: Panel, width: usize) -> Vec<Line<'static>> {
    match panel {
        Panel::Narration => prose(app, width),
        Panel::Text => page::lines(app, width),
        Panel::Findings => findings::lines(app, width),
        Panel::Chapters => chapters::lines(app, width),
        Panel::Cluster => cluster::lines(app, width),
        Panel::Numbers => numbers::lines(app, width),
        Panel::Charts | Panel::Intervals => vec![],
    }
}

/// The content of the narration: the summary, once there is one.
pub(crate) fn prose(app: &ScreenState, width: usize) -> Vec<Line<'static>> {
    if app.story.outcome.is_some() {
        summary::lines(app, width)
    } else {
        narration::lines(app, width)
    }
}

/// The title of a panel.
pub(crate) fn title(app: &ScreenState, panel: Panel) -> String {
    match panel {
        Panel::Narration if app.story.outcome.is_some() => {
            format!("Summary after {}", text::clock(app.story.now))
        }
        Panel::Narration => narration::title(app),
        Panel::Text => page::title(app),
        Panel::Findings => findings::title(app),
        Panel::Charts => charts::title(app, 0),
        Panel::Intervals => intervals::title(app),
        Panel::Chapters => "Chapters".into(),
        Panel::Cluster => "Cluster".into(),
        Panel::Numbers => "Measured".into(),
    }
}

/// The places of all panels at the present size.
pub(crate) fn layout(app: &ScreenState) -> ScreenLayout {
    let rows = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).min(100);
    layout::arrange(
        app.size,
        &LayoutNeeds {
            focus: app.focus(),
            zoom: app.zoom,
            large: app.large,
            intervals: rows(app.story.intervals.as_ref().map_or(0, |i| i.rows.len())),
            text: app.story.page.is_some(),
            over: app.story.outcome.is_some(),
            charts: app.story.charts_to_show(),
            chapters: rows(app.story.chapters.len()),
            narration: rows(prose(app, layout::prose_width(app.size, app.large).into()).len()),
            cluster: rows(cluster::rows(&app.story)),
            findings: rows(app.story.findings.len()),
        },
    )
}

/// The number of lines that a panel can be scrolled by, and the number that it shows at once.
pub(crate) fn extent(app: &ScreenState, panel: Panel) -> (usize, usize) {
    let layout = layout(app);
    let Some(area) = layout.place(panel) else {
        return (0, 0);
    };
    let inner = PanelFrame::inner(area, layout.kind == LayoutKind::Full);
    let lines = content(app, panel, inner.width.into()).len();
    (
        lines.saturating_sub(inner.height.into()),
        inner.height.into(),
    )
}
