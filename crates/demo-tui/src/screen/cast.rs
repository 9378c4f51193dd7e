//! Recordings: asciicast v2, one line of JSON an event.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use ratatui::layout::Size;

/// A recording being written. Each event is on disk before the next frame, so that a run that is killed leaves a
/// recording that plays.
#[derive(Debug)]
pub(crate) struct Cast {
    file: File,
    started: Option<Instant>,
}

impl Cast {
    /// Creates the file, and nothing in it.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, started: None })
    }

    /// Begins the recording of a screen.
    pub(crate) fn begin(&mut self, size: Size, at: SystemTime, term: &str) -> io::Result<()> {
        self.started = Some(Instant::now());
        self.file.write_all(header(size, at, term).as_bytes())
    }

    /// Records bytes that were written to the terminal.
    pub(crate) fn output(&mut self, data: &str) -> io::Result<()> {
        self.event('o', data)
    }

    /// Records a new size.
    pub(crate) fn resize(&mut self, size: Size) -> io::Result<()> {
        self.event('r', &format!("{}x{}", size.width, size.height))
    }

    /// Marks a chapter.
    pub(crate) fn marker(&mut self, label: &str) -> io::Result<()> {
        self.event('m', label)
    }

    fn event(&mut self, kind: char, data: &str) -> io::Result<()> {
        let at = self.started.map(|s| s.elapsed()).unwrap_or_default();
        self.file.write_all(line(at, kind, data).as_bytes())
    }
}

fn header(size: Size, at: SystemTime, term: &str) -> String {
    let unix = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let term = string(term);
    let Size { width, height } = size;
    format!(
        "{{\"version\": 2, \"width\": {width}, \"height\": {height}, \"timestamp\": {unix}, \"env\": {{\"TERM\": {term}}}}}\n"
    )
}

fn line(at: Duration, kind: char, data: &str) -> String {
    format!("[{:.6}, \"{kind}\", {}]\n", at.as_secs_f64(), string(data))
}

/// A JSON string.
fn string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_header_says_what_a_player_needs() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let header: Value = serde_json::from_str(&header(Size::new(120, 36), at, "xterm\"")).unwrap();
        let expected = json!({
            "version": 2, "width": 120, "height": 36, "timestamp": 1_700_000_000, "env": {"TERM": "xterm\""},
        });
        assert_eq!(header, expected);
    }

    proptest! {
        #[test]
        fn every_write_is_one_line_of_json(data in any::<String>(), ms in 0u64..1 << 40) {
            let line = line(Duration::from_millis(ms), 'o', &data);
            prop_assert_eq!(line.matches('\n').count(), 1);
            let event: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&event[1], "o");
            prop_assert_eq!(event[2].as_str(), Some(data.as_str()));
        }
    }
}
