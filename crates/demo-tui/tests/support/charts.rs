//! Charts of made-up stories.

use demo_core::{ChartKind, ChartSpec, SeriesRole, SeriesSpec};

pub(crate) fn chart(
    id: &'static str,
    title: &str,
    unit: &str,
    kind: ChartKind,
    series: &[(&str, SeriesRole)],
) -> ChartSpec {
    let series = series.iter().map(|&(name, role)| SeriesSpec {
        name: name.into(),
        role,
    });
    ChartSpec {
        id: id.into(),
        title: title.into(),
        unit: unit.into(),
        kind,
        series: series.collect(),
    }
}
