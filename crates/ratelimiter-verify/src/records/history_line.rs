//! Lines of history files: `docs/history.md` describes them.

use std::io::{self, Read, Write};
use std::time::Duration;

use ratelimiter_api::{Key, Operation, Outcome};
use ratelimiter_invariants::History;

use super::error::RecordError;
use super::field::RowDefect;
use super::histories::KeyedHistories;
use super::json::{NoJson, members};
use super::lines::RecordLines;
use super::time::{Stamp, TimeUnit};

/// The members that most lines have.
const MEMBERS: [&str; 6] = ["key", "node", "invoke_ms", "complete_ms", "outcome", "cost"];

/// A line without other members, and without escapes in its texts; its numbers are read as integers
/// of nanoseconds.
fn add_plain_line(histories: &mut KeyedHistories, line: &str) -> Option<Result<(), RowDefect>> {
    let mut values = [""; MEMBERS.len()];
    let mut next = 0;
    let read = members(line, |name, value| {
        // Most lines have them in this order.
        if MEMBERS.get(next) != Some(&name) {
            let place = MEMBERS.iter().position(|member| *member == name);
            next = place.ok_or(NoJson)?;
        }
        values[next] = value;
        next += 1;
        Ok(())
    });
    read.ok()?;
    let [key, node, invoke, complete, outcome, cost] = values;
    let (key, node) = (plain_text(key)?, plain_text(node)?);
    let time =
        |raw| Stamp::number(raw, TimeUnit::MILLI).map(|stamp| Duration::from_nanos(stamp.nanos));
    let (invoke, complete) = (time(invoke)?, time(complete)?);
    let outcome = match outcome {
        "\"allowed\"" => Outcome::Allowed,
        "\"denied\"" => Outcome::Denied,
        "\"failed\"" => Outcome::Failed,
        "\"unknown\"" => Outcome::Unknown,
        _ => return None,
    };
    let cost = if cost.is_empty() {
        1
    } else {
        cost.parse().ok()?
    };
    Some(histories.add(key, node, (invoke, complete), outcome, cost))
}

/// The inside of a text that has no escapes and is not empty.
fn plain_text(raw: &str) -> Option<&str> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    // All bytes at once: most texts are plain.
    let plain = |all: bool, byte: u8| all & (byte >= b' ') & (byte != b'\\');
    (!inside.is_empty() && inside.bytes().fold(true, plain)).then_some(inside)
}

/// Adds the check of one line.
pub(super) fn add_line(histories: &mut KeyedHistories, line: &str) -> Result<(), RowDefect> {
    // Most lines are plain; the others are read by the list of members in `Operation`.
    if let Some(added) = add_plain_line(histories, line) {
        return added;
    }
    let operation: Operation = serde_json::from_str(line).map_err(|error| {
        // The parser's own place is within the line, whose number is stated already.
        let error = error.to_string().replace(" at line 1 ", " at ");
        RowDefect::Line(format!(
            "{error}; expected {{\"key\",\"node\",\"invoke_ms\",\"complete_ms\",\"outcome\":\
             \"allowed|denied|failed|unknown\"}}"
        ))
    })?;
    histories.add_operation(operation)
}

/// Whether a line is meant as one of a history.
pub(super) fn is_history(line: &str) -> bool {
    line.starts_with('{') && line.contains("\"invoke_ms\"")
}

/// Reads a history and sorts it by key. Empty lines are skipped.
///
/// # Errors
/// At the first line that is no operation.
pub fn read_history(file: impl Read) -> Result<Vec<(Key, History)>, RecordError> {
    let mut histories = KeyedHistories::new(false);
    RecordLines::new(file).visit(|line| add_line(&mut histories, line))?;
    Ok(histories.sorted())
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
            let histories = read_history(file).unwrap();
            histories
                .iter()
                .flat_map(|(_, history)| history.iter())
                .collect()
        };
        let claims = LINE.replace("\"allowed\"", "\"allowed\",\"claims\":{\"remaining\":3}");
        let operations = read(format!("{LINE}\n\n{claims}\n").as_bytes());
        assert_eq!((operations.len(), operations[0].cost), (2, 1));
        assert_eq!(operations[1].claims.remaining, Some(3));
        let mut written = Vec::new();
        write_history(&operations, &mut written).unwrap();
        assert_eq!(read(&written), operations);
    }

    #[test]
    fn errors_name_their_line() {
        for (text, line) in [
            (format!("{LINE}\n{{\"key\":\"k\""), "line 2"),
            (format!("{LINE}\n{LINE}{LINE}\n"), "line 2"),
            (LINE.replace("2.5", "0.5"), "line 1: its end is before"),
            (LINE.replace("allowed", "maybe"), "line 1: unknown variant"),
            (
                LINE.replace("\"allowed\"", "\"allowed\",\"cost\":0"),
                "line 1: cost is",
            ),
        ] {
            let error = read_history(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(line), "{error}");
        }
    }
}
