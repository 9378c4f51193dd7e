//! History files: one JSON object a line. `docs/history.md` describes them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use ratelimiter_api::{Key, Operation};
use ratelimiter_invariants::{History, HistoryError};

/// A history file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryFileError {
    /// Reading failed.
    #[error("line {line}: {source}")]
    Read {
        /// Line, counted from 1.
        line: usize,
        /// The reason.
        source: io::Error,
    },
    /// A line is no operation.
    #[error(
        "line {line}: {reason}; expected \
         {{\"key\",\"node\",\"invoke_ms\",\"complete_ms\",\"outcome\":\"allowed|denied|failed|unknown\"}}"
    )]
    Line {
        /// Line, counted from 1.
        line: usize,
        /// The reason.
        reason: String,
    },
    /// A check completes before it was sent: the times are not of one monotonic clock.
    #[error(
        "line {line}: complete_ms is before invoke_ms: the times must be of one monotonic clock"
    )]
    Backwards {
        /// Line, counted from 1.
        line: usize,
    },
    /// More checks of one key than can be judged.
    #[error("line {line}: {source}")]
    Refused {
        /// Line, counted from 1.
        line: usize,
        /// The reason.
        source: HistoryError,
    },
    /// A check of no cost.
    #[error("line {line}: cost is 0: it must be at least 1")]
    NoCost {
        /// Line, counted from 1.
        line: usize,
    },
}

/// Reads a history and sorts it by key. Empty lines are skipped.
///
/// # Errors
/// At the first line that is no operation.
pub fn read_history(mut file: impl BufRead) -> Result<BTreeMap<Key, History>, HistoryFileError> {
    let mut keys: BTreeMap<Key, History> = BTreeMap::new();
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        if file
            .read_line(&mut text)
            .map_err(|source| HistoryFileError::Read { line, source })?
            == 0
        {
            break;
        }
        if text.trim().is_empty() {
            continue;
        }
        let operation: Operation =
            serde_json::from_str(text.trim_end()).map_err(|e| HistoryFileError::Line {
                line,
                reason: without_place(&e.to_string()),
            })?;
        if operation.cost == 0 {
            return Err(HistoryFileError::NoCost { line });
        }
        keys.entry(operation.key.clone())
            .or_default()
            .push(operation)
            .map_err(|source| match source {
                HistoryError::Backwards { .. } => HistoryFileError::Backwards { line },
                source => HistoryFileError::Refused { line, source },
            })?;
    }
    Ok(keys)
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
