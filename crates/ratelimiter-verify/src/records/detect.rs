//! The format of a file, told from its begin.

use std::ops::ControlFlow;
use std::time::Duration;

use super::field::RowDefect;
use super::format::{FieldsAsked, FormatSource, LineFields, OpenFormat};
use super::history_line::is_history;
use super::json::NoJson;
use super::log_format::nginx_format;
use super::outcome::StatusOutcomes;
use super::presets::{PRESETS, TOTALS};
use super::row::Row;
use super::template::LineTemplate;

/// Lines that a format must read.
const LINES: usize = 20;

/// The format of a file that begins with this text, or the reason why it cannot be judged.
pub(super) fn detect(sample: &[u8], outcomes: &StatusOutcomes) -> Result<FormatSource, String> {
    let text = String::from_utf8_lossy(sample);
    let has_all = |words: &&(&[&str], _, _)| words.0.iter().all(|word| text.contains(word));
    if let Some((_, name, records)) = TOTALS.iter().find(has_all) {
        return Err(format!(
            "this is {name}, which has no single checks to judge; records are written by {records}"
        ));
    }
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    // The last line of a sample may be cut.
    let whole = &lines[..lines
        .len()
        .min(LINES)
        .min((lines.len() - usize::from(lines.len() > 1)).max(1))];
    for preset in PRESETS.iter().filter(|preset| preset.is_distinct) {
        let source = FormatSource::of(preset)?;
        let fits = if source.is_history() {
            whole.first().is_none_or(|line| is_history(line))
        } else if source.is_whole() {
            text.trim_start().starts_with('{')
                && source
                    .members()
                    .iter()
                    .all(|name| text.contains(name.as_str()))
        } else {
            reads(&source, whole, outcomes)
        };
        if fits {
            return Ok(source);
        }
    }
    let common = |line: &&str| {
        let (parts, _) = nginx_format("combined").ok()?;
        let template = LineTemplate::new(&parts, "", &["status".to_owned()]).ok()?;
        let fields = template.fields(line).ok()?;
        Some(fields[0].parse::<u16>().is_ok())
    };
    if whole.first().and_then(common) == Some(true) {
        return Err(
            "a common access log: say --format nginx:combined, whose time is the end of a \
                    request, or --format apache:combined, whose time is its begin; or the \
                    log_format itself"
                .into(),
        );
    }
    Err("no format that is known by its lines: name it with --format".into())
}

/// Whether all of these lines are read, and one at least is a check.
fn reads(source: &FormatSource, lines: &[&str], outcomes: &StatusOutcomes) -> bool {
    let ask = FieldsAsked {
        key: Some("all"),
        takes: Some(Duration::ZERO),
        outcomes: true,
    };
    let Some(Ok(format)) = lines.first().map(|first| source.open(first, &ask)) else {
        return false;
    };
    let mut checks = 0;
    let read = lines
        .iter()
        .skip(usize::from(format.has_header))
        .all(|line| {
            let visit = |_: Row<'_>| {
                checks += 1;
                Ok(())
            };
            format.rows_of(line, outcomes, visit).is_ok()
        });
    read && checks > 0
}

impl OpenFormat {
    /// Calls `visit` with the checks of a line.
    pub(super) fn rows_of<'l>(
        &self,
        line: &'l str,
        outcomes: &StatusOutcomes,
        mut visit: impl FnMut(Row<'l>) -> Result<(), RowDefect>,
    ) -> Result<(), RowDefect> {
        let mut row = |fields: &_| match self.rows.row(fields, self.text, outcomes)? {
            Some(row) => visit(row),
            None => Ok(()),
        };
        match &self.fields {
            LineFields::Csv(columns) => row(&columns.fields(line)),
            LineFields::Text(template) => {
                let fields = template.fields(line).map_err(|number| {
                    RowDefect::Line(format!("the line ends within field {number} of its format"))
                })?;
                row(&fields)
            }
            LineFields::Json(json) => {
                let visited = json.rows(line, |fields| match row(fields) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(defect) => ControlFlow::Break(defect),
                });
                match visited {
                    Ok(ControlFlow::Continue(())) => Ok(()),
                    Ok(ControlFlow::Break(defect)) => Err(defect),
                    Err(NoJson) => Err(RowDefect::Line("no JSON object on one line".into())),
                }
            }
        }
    }
}
