//! The CSV file.

use std::time::Duration;

use diagnosis::SignalSeries;

use crate::graph::Declared;

/// The largest time: beyond it, seconds and fractions of them do not fit into a number any more.
const LATEST: f64 = 1e12;

/// Times and columns.
#[derive(Debug)]
pub(crate) struct Table {
    headers: Vec<String>,
    rows: Vec<(f64, Vec<Option<f64>>)>,
}

impl Table {
    /// Reads a table. An empty cell, `NaN` or `null` is a missing sample.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let headers = reader.headers().map_err(|e| e.to_string())?.clone();
        let first = headers.get(0).unwrap_or_default();
        if first != "time" {
            return Err(format!(
                "the first column is called {first:?}: it has to be \"time\", in seconds"
            ));
        }
        let mut rows = Vec::new();
        for (line, record) in (2..).zip(reader.records()) {
            let record = record.map_err(|e| e.to_string())?;
            let mut cells = record.iter();
            let time = cells.next().unwrap_or_default();
            let time: f64 = time
                .parse()
                .ok()
                .filter(|t: &f64| t.abs() <= LATEST)
                .ok_or_else(|| {
                    format!(
                        "line {line}: time {time:?} is not a number of seconds up to {LATEST:e}"
                    )
                })?;
            let cells: Result<_, _> = cells
                .zip(headers.iter().skip(1))
                .map(|(cell, header)| value(cell, header, line))
                .collect();
            rows.push((time, cells?));
        }
        if rows.is_empty() {
            return Err("there are no rows".into());
        }
        Ok(Self {
            headers: headers.iter().skip(1).map(str::to_owned).collect(),
            rows,
        })
    }

    /// The first and the last time.
    pub(crate) fn span(&self) -> (f64, f64) {
        let times = || self.rows.iter().map(|(t, _)| *t);
        (
            times().fold(f64::INFINITY, f64::min),
            times().fold(f64::NEG_INFINITY, f64::max),
        )
    }

    /// Every column as a signal, with times since the first row.
    pub(crate) fn signals(&self, declared: &Declared) -> Vec<SignalSeries> {
        let (first, _) = self.span();
        (0..self.headers.len())
            .map(|i| {
                let column = declared.column(&self.headers[i]);
                let mut series =
                    SignalSeries::new(column.entity, column.signal, column.unit, column.role);
                for (t, cells) in &self.rows {
                    series.push(Duration::from_secs_f64(t - first), cells[i]);
                }
                series
            })
            .collect()
    }
}

fn value(cell: &str, header: &str, line: usize) -> Result<Option<f64>, String> {
    match cell {
        "" | "null" | "None" => Ok(None),
        _ => match cell.parse::<f64>() {
            Ok(value) => Ok(value.is_finite().then_some(value)),
            Err(_) => Err(format!(
                "line {line}: {header} is {cell:?}, which is not a number"
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_cells_are_missing_samples() {
        let table = Table::parse("time,a_x,b_y\n10,1,\n11, NaN ,2.5\n").expect("a table");
        let signals = table.signals(&Declared::default());
        assert_eq!(
            signals[0].points,
            [(Duration::ZERO, Some(1.0)), (Duration::from_secs(1), None)]
        );
        assert_eq!(
            signals[1].points,
            [(Duration::ZERO, None), (Duration::from_secs(1), Some(2.5))]
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let error = |text: &str| Table::parse(text).expect_err("a bad table");
        assert_eq!(
            error("a,b\n1,2\n"),
            "the first column is called \"a\": it has to be \"time\", in seconds"
        );
        assert_eq!(error("time,a\n"), "there are no rows");
        assert_eq!(
            error("time,a\n1,x\n"),
            "line 2: a is \"x\", which is not a number"
        );
        for time in ["noon", "NaN", "inf", "1e20", ""] {
            let expected = format!("line 2: time {time:?} is not a number of seconds up to 1e12");
            assert_eq!(error(&format!("time,a\n{time},1\n")), expected);
        }
    }
}
