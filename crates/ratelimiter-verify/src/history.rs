//! History files: one JSON object a line. `docs/history.md` describes them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use outside_text::read_line;
use ratelimiter_api::{Key, Operation};
use ratelimiter_invariants::{History, HistoryError};

/// A history file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {defect}")]
pub struct HistoryFileError {
    /// Line, counted from 1.
    pub line: usize,
    /// The reason.
    pub defect: LineDefect,
}

/// A line of a history file that is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LineDefect {
    /// Reading failed.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The line is no operation.
    #[error(
        "{0}; expected {{\"key\",\"node\",\"invoke_ms\",\"complete_ms\",\
         \"outcome\":\"allowed|denied|failed|unknown\"}}"
    )]
    NoOperation(String),
    /// A check completes before it was sent: the times are not of one monotonic clock.
    #[error("complete_ms is before invoke_ms: the times must be of one monotonic clock")]
    Backwards,
    /// More checks of one key than can be judged.
    #[error(transparent)]
    Refused(HistoryError),
    /// A check of no cost.
    #[error("cost is 0: it must be at least 1")]
    NoCost,
}

/// Reads a history and sorts it by key. Empty lines are skipped.
///
/// # Errors
/// At the first line that is no operation, or is longer than
/// [`LONGEST_LINE`](outside_text::LONGEST_LINE) bytes.
pub fn read_history(mut file: impl BufRead) -> Result<BTreeMap<Key, History>, HistoryFileError> {
    let mut keys: BTreeMap<Key, History> = BTreeMap::new();
    let mut text = String::new();
    for line in 1.. {
        let at_line = |defect| HistoryFileError { line, defect };
        let read = read_line(&mut file, &mut text);
        if read.map_err(|e| at_line(e.into()))? == 0 {
            break;
        }
        if !text.trim().is_empty() {
            add(&mut keys, text.trim_end()).map_err(at_line)?;
        }
    }
    Ok(keys)
}

/// Adds the operation of one line.
fn add(keys: &mut BTreeMap<Key, History>, line: &str) -> Result<(), LineDefect> {
    let operation: Operation = serde_json::from_str(line)
        .map_err(|e| LineDefect::NoOperation(without_place(&e.to_string())))?;
    if operation.cost == 0 {
        return Err(LineDefect::NoCost);
    }
    let history = keys.entry(operation.key.clone()).or_default();
    history.push(operation).map_err(|error| match error {
        HistoryError::Backwards { .. } => LineDefect::Backwards,
        error => LineDefect::Refused(error),
    })
}

/// The parser's own place is within the line, whose number is stated already.
fn without_place(error: &str) -> String {
    error.replace(" at line 1 ", " at ")
}

/// Writes a history.
///
/// # Errors
/// When writing fails.
pub fn write_history<'a>(
    operations: impl IntoIterator<Item = &'a Operation>,
    mut file: impl Write,
) -> io::Result<()> {
    for operation in operations {
        serde_json::to_writer(&mut file, operation)?;
        writeln!(file)?;
    }
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        r#"{"key":"k","node":"n","invoke_ms":1.0,"complete_ms":2.5,"outcome":"allowed"}"#;

    #[test]
    fn a_history_reads_as_it_was_written() {
        let read = |file: &[u8]| -> Vec<Operation> {
            read_history(file)
                .unwrap()
                .values()
                .flat_map(History::iter)
                .collect()
        };
        let operations = read(format!("{LINE}\n\n{LINE}\n").as_bytes());
        assert_eq!((operations.len(), operations[0].cost), (2, 1));
        let mut written = Vec::new();
        write_history(&operations, &mut written).unwrap();
        assert_eq!(read(&written), operations);
    }

    #[test]
    fn errors_name_their_line() {
        for (text, line) in [
            (format!("{LINE}\n{{\"key\":\"k\""), "line 2"),
            (format!("{LINE}\n{LINE}{LINE}\n"), "line 2"),
            (LINE.replace("2.5", "0.5"), "line 1: complete_ms is before"),
            (LINE.replace("allowed", "maybe"), "line 1: unknown variant"),
            (
                LINE.replace("\"allowed\"", "\"allowed\",\"cost\":0"),
                "line 1: cost is 0",
            ),
        ] {
            let error = read_history(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(line), "{error}");
        }
    }
}
