use std::fmt;
use std::path::Path;

use super::field::RowDefect;

/// Records that cannot be read: the file, the line, and the reason.
#[derive(Debug)]
pub struct RecordError {
    file: Option<String>,
    line: Option<u64>,
    defect: RowDefect,
}

impl RecordError {
    pub(super) fn line(line: u64, defect: RowDefect) -> Self {
        Self {
            file: None,
            line: Some(line),
            defect,
        }
    }

    pub(super) fn file(defect: impl fmt::Display) -> Self {
        Self {
            file: None,
            line: None,
            defect: RowDefect::Line(defect.to_string()),
        }
    }

    pub(super) fn of(self, file: &Path) -> Self {
        Self {
            file: Some(file.display().to_string()),
            ..self
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map(|line| format!("line {line}"));
        let place = Vec::from_iter(self.file.clone().into_iter().chain(line));
        write!(f, "{}: {}", place.join(", "), self.defect)
    }
}

impl std::error::Error for RecordError {}
