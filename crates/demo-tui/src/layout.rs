//! The places of the panels. This file alone decides the breakpoints.
//!
//! ```text
//!  Full, from 100x28        Compact, from 60x20 (made for 80x24)    Stacked, from 40x10
//!  +-----------------------+ +-----------------------+              +------------------+
//!  | header                | | header                |              | header           |
//!  | chapters | narration  | | cluster, on one line  |              | names of panels  |
//!  |          | (text)     | | narration             |              |                  |
//!  | cluster  | chart      | | (text)                |              | the focused      |
//!  |          | chart      | | chart                 |              | panel            |
//!  | numbers  | violations | | violations            |              |                  |
//!  | status                | | status                |              | status           |
//!  | keys                  | | keys                  |              | keys             |
//!  +-----------------------+ +-----------------------+              +------------------+
//! ```
//!
//! Intervals that prove something take the place of the charts, unless there is room for both. On a
//! large screen with large spacing the compact arrangement is used.

use ratatui::layout::{Constraint, Layout, Rect, Size};

/// The smallest readable size.
pub(crate) const MIN: Size = Size::new(40, 10);
const COMPACT: Size = Size::new(60, 20);
const FULL: Size = Size::new(100, 28);
/// Fewer rows show no curve.
const LEAST_CHART: u16 = 8;

/// The arrangement that fits the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayoutKind {
    Full,
    Compact,
    Stacked,
    TooSmall,
}

/// A part of the screen that can be focused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Panel {
    Narration,
    Text,
    Charts,
    Intervals,
    Findings,
    Chapters,
    Cluster,
    Numbers,
}

impl Panel {
    pub(crate) const ALL: [Self; 8] = [
        Self::Narration,
        Self::Text,
        Self::Charts,
        Self::Intervals,
        Self::Findings,
        Self::Chapters,
        Self::Cluster,
        Self::Numbers,
    ];
}

/// The inputs of the layout besides the size.
#[derive(Clone, Debug)]
pub(crate) struct LayoutNeeds {
    pub(crate) focus: Panel,
    pub(crate) zoom: bool,
    /// Few panels and much space.
    pub(crate) large: bool,
    /// Number of intervals to draw.
    pub(crate) intervals: u16,
    /// The chapter has a longer text.
    pub(crate) text: bool,
    /// The narration is the summary.
    pub(crate) over: bool,
    /// Number of charts to show.
    pub(crate) charts: usize,
    pub(crate) chapters: u16,
    /// Lines of the narration, at the width of [`prose_width`].
    pub(crate) narration: u16,
    /// Lines.
    pub(crate) cluster: u16,
    /// Violations that were seen.
    pub(crate) findings: u16,
}

/// The places of the panels.
#[derive(Clone, Debug)]
pub(crate) struct ScreenLayout {
    pub(crate) kind: LayoutKind,
    pub(crate) header: Rect,
    pub(crate) status: Rect,
    pub(crate) footer: Rect,
    /// The cluster on one line, where it has no panel.
    pub(crate) strip: Option<Rect>,
    /// The names of the panels, where only one of them is shown.
    pub(crate) tabs: Option<Rect>,
    pub(crate) panels: Vec<(Panel, Rect)>,
}

impl ScreenLayout {
    /// Where a panel stands, if it is shown.
    pub(crate) fn place(&self, panel: Panel) -> Option<Rect> {
        self.panels
            .iter()
            .find(|(p, _)| *p == panel)
            .map(|(_, area)| *area)
    }
}

pub(crate) fn kind(size: Size, large: bool) -> LayoutKind {
    let holds = |least: Size| size.width >= least.width && size.height >= least.height;
    if holds(FULL) && !large {
        LayoutKind::Full
    } else if holds(COMPACT) {
        LayoutKind::Compact
    } else if holds(MIN) {
        LayoutKind::Stacked
    } else {
        LayoutKind::TooSmall
    }
}

/// How wide the narration is.
pub(crate) fn prose_width(size: Size, large: bool) -> u16 {
    match kind(size, large) {
        LayoutKind::Full => size.width - side_width(size.width) - 4,
        _ => size.width.saturating_sub(2),
    }
}

fn side_width(width: u16) -> u16 {
    if width >= 140 { 38 } else { 32 }
}

pub(crate) fn arrange(size: Size, needs: &LayoutNeeds) -> ScreenLayout {
    let mut rest = Rect::new(0, 0, size.width, size.height);
    let kind = kind(size, needs.large);
    let header = top(&mut rest, 1);
    let footer = bottom(&mut rest, 1);
    let status = bottom(&mut rest, 1);
    let mut layout = ScreenLayout {
        kind,
        header,
        status,
        footer,
        strip: None,
        tabs: None,
        panels: Vec::new(),
    };
    match kind {
        LayoutKind::TooSmall => {}
        LayoutKind::Stacked => {
            layout.tabs = Some(top(&mut rest, 1));
            layout.panels.push((needs.focus, rest));
        }
        LayoutKind::Full | LayoutKind::Compact if needs.zoom => {
            layout.panels.push((needs.focus, rest));
        }
        LayoutKind::Compact => {
            layout.strip = Some(top(&mut rest, 1));
            compact(rest, needs, &mut layout.panels);
        }
        LayoutKind::Full => full(rest, needs, &mut layout.panels),
    }
    layout
}

fn compact(mut rest: Rect, needs: &LayoutNeeds, panels: &mut Vec<(Panel, Rect)>) {
    let spare = rest.height.saturating_sub(20);
    let findings = bottom(
        &mut rest,
        (3 + spare / 4).min(2 + 2 * needs.findings.max(1)),
    );
    let lower = lower(needs);
    let height = rest.height;
    let charts = match (needs.text, needs.over) {
        // A line above the intervals, and their axis below.
        _ if lower == Panel::Intervals => (needs.intervals + 2).min(height.saturating_sub(4)),
        _ if lower == Panel::Charts && needs.charts == 0 => 0,
        (true, _) => 7 - u16::from(height < 16),
        (_, true) => yielding(height, height / 3, 5, needs.narration + 1),
        _ => yielding(
            height,
            height / 2 + u16::from(height > 14),
            7,
            needs.narration + 1,
        ),
    };
    let charts = bottom(&mut rest, charts);
    if needs.text {
        let narration = (rest.height / 3).max(3);
        panels.push((Panel::Narration, top(&mut rest, narration)));
        panels.push((Panel::Text, rest));
    } else {
        panels.push((Panel::Narration, rest));
    }
    if !charts.is_empty() {
        panels.push((lower, charts));
    }
    panels.push((Panel::Findings, findings));
}

/// The panel in the place of the charts. One without a place of its own takes it while it is
/// focused.
fn lower(needs: &LayoutNeeds) -> Panel {
    match needs.focus {
        Panel::Chapters | Panel::Cluster | Panel::Numbers | Panel::Charts => needs.focus,
        _ if needs.intervals > 0 && !needs.over => Panel::Intervals,
        _ => Panel::Charts,
    }
}

fn full(rest: Rect, needs: &LayoutNeeds, panels: &mut Vec<(Panel, Rect)>) {
    let columns = side_width(rest.width);
    let split = Layout::horizontal([Constraint::Length(columns), Constraint::Fill(1)]);
    let [mut side, mut rest] = split.areas(rest);
    let chapters = (needs.chapters + 2).min(side.height / 2).max(3);
    panels.push((Panel::Chapters, top(&mut side, chapters)));
    let cluster = (needs.cluster.max(1) + 2).min(side.height.saturating_sub(4));
    panels.push((Panel::Cluster, top(&mut side, cluster)));
    panels.push((Panel::Numbers, side));

    let most = 4 + rest.height / 12;
    let findings = bottom(&mut rest, (2 + 2 * needs.findings.max(1)).clamp(4, most));
    let height = rest.height;
    // A line at least, and the border.
    let narration = needs.narration.max(1) + 2;
    if needs.intervals > 0 && !needs.over && needs.focus != Panel::Charts {
        let intervals = bottom(
            &mut rest,
            (needs.intervals + 3).min(height.saturating_sub(6)),
        );
        panels.push((Panel::Intervals, intervals));
        if rest.height >= narration + LEAST_CHART {
            let share = rest.height - narration;
            panels.push((Panel::Charts, bottom(&mut rest, share)));
        }
        panels.push((Panel::Narration, rest));
    } else if needs.charts == 0 && !needs.text {
        panels.push((Panel::Narration, rest));
    } else if needs.over {
        let charts = bottom(&mut rest, yielding(height, height * 2 / 5, 8, narration));
        panels.push((Panel::Narration, rest));
        panels.push((Panel::Charts, charts));
    } else if needs.text {
        panels.push((
            Panel::Narration,
            top(&mut rest, narration.min((height / 4).max(6))),
        ));
        let charts = bottom(&mut rest, (height / 3).max(9));
        panels.push((Panel::Text, rest));
        panels.push((Panel::Charts, charts));
    } else {
        let (share, least) = if needs.charts > 1 {
            (height * 2 / 3, 14)
        } else {
            (height / 2, 9)
        };
        let charts = bottom(&mut rest, yielding(height, share, least, narration));
        panels.push((Panel::Narration, rest));
        panels.push((Panel::Charts, charts));
    }
    panels.push((Panel::Findings, findings));
}

/// The charts' share of a height: less of it while the narration wants more, but not less than the
/// least.
fn yielding(height: u16, share: u16, least: u16, narration: u16) -> u16 {
    share.min(height.saturating_sub(narration)).max(least)
}

fn top(rest: &mut Rect, rows: u16) -> Rect {
    let split = Layout::vertical([Constraint::Length(rows), Constraint::Fill(1)]);
    let [taken, left] = split.areas(*rest);
    *rest = left;
    taken
}

fn bottom(rest: &mut Rect, rows: u16) -> Rect {
    let split = Layout::vertical([Constraint::Fill(1), Constraint::Length(rows)]);
    let [left, taken] = split.areas(*rest);
    *rest = left;
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn breakpoints() {
        let at = |width, height| kind(Size { width, height }, false);
        assert_eq!(at(120, 36), LayoutKind::Full);
        assert_eq!(at(100, 28), LayoutKind::Full);
        assert_eq!(at(99, 60), LayoutKind::Compact);
        assert_eq!(at(200, 27), LayoutKind::Compact);
        assert_eq!(at(80, 24), LayoutKind::Compact);
        assert_eq!(at(60, 20), LayoutKind::Compact);
        assert_eq!(at(59, 20), LayoutKind::Stacked);
        assert_eq!(at(40, 10), LayoutKind::Stacked);
        assert_eq!(at(39, 50), LayoutKind::TooSmall);
        assert_eq!(at(0, 0), LayoutKind::TooSmall);
        assert_eq!(kind(Size::new(200, 60), true), LayoutKind::Compact);
    }

    proptest! {
        /// At every size and in every state: panels lie inside the screen, none over another, and
        /// where there is room for the essential ones they are there with at least three rows.
        #[test]
        fn panels_never_overlap_and_essential_ones_fit(
            width in 0u16..220, height in 0u16..80,
            focus in proptest::sample::select(&Panel::ALL[..]),
            zoom: bool, text: bool, over: bool, large: bool, intervals in 0u16..30,
            charts in 0usize..4, chapters in 0u16..30, narration in 0u16..60,
            cluster in 0u16..20, findings in 0u16..9,
        ) {
            let size = Size { width, height };
            let intervals = if text { 0 } else { intervals };
            let needs = LayoutNeeds {
                focus, zoom, large, intervals, text, over, charts, chapters, narration, cluster,
                findings,
            };
            let layout = arrange(size, &needs);
            let mut areas: Vec<Rect> = layout.panels.iter().map(|(_, area)| *area).collect();
            areas.extend([layout.header, layout.status, layout.footer]);
            areas.extend(layout.strip.iter().chain(&layout.tabs));
            let screen = Rect::new(0, 0, width, height);
            for (i, area) in areas.iter().enumerate() {
                prop_assert_eq!(area.intersection(screen), *area);
                for other in &areas[..i] {
                    prop_assert!(area.intersection(*other).is_empty(), "{area:?} {other:?}");
                }
            }
            if matches!(layout.kind, LayoutKind::Full | LayoutKind::Compact) && !zoom {
                let chart = match layout.kind {
                    LayoutKind::Compact => lower(&needs),
                    _ if intervals > 0 && !over && focus != Panel::Charts => Panel::Intervals,
                    _ => Panel::Charts,
                };
                let least = if chart == Panel::Intervals { 3 } else { 5 };
                for (panel, rows) in [(Panel::Narration, 3), (chart, least), (Panel::Findings, 3)] {
                    if panel == Panel::Charts && charts == 0 {
                        continue;
                    }
                    let area = layout.place(panel);
                    prop_assert!(area.is_some_and(|a| a.height >= rows), "{panel:?} {layout:?}");
                }
            }
        }
    }
}
