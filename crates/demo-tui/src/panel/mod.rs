//! The panels. Each says in lines what it has to show; only the charts draw for themselves.

pub(crate) mod chapters;
pub(crate) mod charts;
pub(crate) mod cluster;
pub(crate) mod findings;
pub(crate) mod footer;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod help;
pub(crate) mod narration;
pub(crate) mod numbers;
pub(crate) mod page;
pub(crate) mod status;
pub(crate) mod summary;

mod axis;
mod dots;
mod plot;
mod rich;
mod scale;

pub(crate) use rich::row;

use ratatui::text::Line;

use crate::app::App;
use crate::layout::{Kind, Panel};
use crate::model::text;
use frame::Frame;

/// What a panel shows, at a width; nothing for the charts.
pub(crate) fn content(app: &App, panel: Panel, width: usize) -> Vec<Line<'static>> {
    match panel {
        Panel::Narration => prose(app, width),
        Panel::Text => page::lines(app, width),
        Panel::Findings => findings::lines(app, width),
        Panel::Chapters => chapters::lines(app, width),
        Panel::Cluster => cluster::lines(app, width),
        Panel::Numbers => numbers::lines(app, width),
        Panel::Charts => vec![],
    }
}

/// What the narration shows: the summary, once there is one.
pub(crate) fn prose(app: &App, width: usize) -> Vec<Line<'static>> {
    if app.story.outcome.is_some() { summary::lines(app, width) } else { narration::lines(app, width) }
}

/// What stands above a panel.
pub(crate) fn title(app: &App, panel: Panel) -> String {
    match panel {
        Panel::Narration if app.story.outcome.is_some() => {
            format!("Summary after {}", text::clock(app.story.now))
        }
        Panel::Narration => narration::title(app),
        Panel::Text => page::title(app),
        Panel::Findings => findings::title(app),
        Panel::Charts => charts::title(app, 0),
        Panel::Chapters => "Chapters".into(),
        Panel::Cluster => "Cluster".into(),
        Panel::Numbers => "Measured".into(),
    }
}

/// By how many lines a panel can be scrolled, and how many it shows at once.
pub(crate) fn extent(app: &App, panel: Panel) -> (usize, usize) {
    let layout = app.layout();
    let Some(area) = layout.place(panel) else { return (0, 0) };
    let inner = Frame::inner(area, layout.kind == Kind::Full);
    let lines = content(app, panel, inner.width.into()).len();
    (lines.saturating_sub(inner.height.into()), inner.height.into())
}
