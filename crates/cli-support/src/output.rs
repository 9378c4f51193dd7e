//! The one place through which programs write to standard output and standard error.

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::Context as _;
use outside_text::{clean_line, escape};

/// Prints lines on standard output, without control characters but line breaks and tabs: JSON that
/// holds any means the same as before.
///
/// # Errors
/// When standard output is closed or full.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", escape(&text.to_string()))
        .and_then(|()| out.flush())
        .context("standard output cannot be written to")
}

/// Prints a remark on standard error, on one line without control characters.
pub fn remark(text: impl Display) {
    // A closed output has no reader to inform.
    let _ = writeln!(io::stderr(), "{}", clean_line(&text.to_string()));
}

/// Writes the records of a log to standard error, each on one line without control characters.
///
/// ```
/// use std::io::Write as _;
///
/// cli_support::LogLines.write_all(b"a record\n")?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogLines;

impl Write for LogLines {
    /// Writes one record.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        writeln!(io::stderr(), "{}", clean_line(text.trim_end_matches('\n')))?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
