//! Lines of a file, plain or gzip, within bounds of memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read as _};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use outside_text::read_line;

use super::error::RecordError;
use super::field::RowDefect;

/// The largest file that is one document, bytes.
const LARGEST: u64 = 256 << 20;

/// The part of a file that its format is told from, bytes.
const SAMPLE: u64 = 64 << 10;

/// What some programs write before the first line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A file, and its begin once more.
pub(super) struct RecordFile {
    pub(super) sample: Vec<u8>,
    reader: Box<dyn BufRead>,
}

impl RecordFile {
    /// Opens a file, or standard input for `-`, and unpacks it if it is packed by gzip.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut reader: Box<dyn BufRead> = if path.as_os_str() == "-" {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::with_capacity(1 << 17, File::open(path)?))
        };
        if reader.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
            reader = Box::new(BufReader::with_capacity(
                1 << 17,
                MultiGzDecoder::new(reader),
            ));
        }
        Self::of(reader)
    }

    pub(super) fn of(mut reader: impl BufRead + 'static) -> io::Result<Self> {
        let mut sample = Vec::new();
        reader.by_ref().take(SAMPLE).read_to_end(&mut sample)?;
        if sample.starts_with(BYTE_ORDER_MARK) {
            sample.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Self {
            reader: Box::new(Cursor::new(sample.clone()).chain(reader)),
            sample,
        })
    }

    /// The text of a file that is one document.
    pub(super) fn document(mut self) -> Result<String, RecordError> {
        let mut text = String::new();
        let read = self
            .reader
            .by_ref()
            .take(LARGEST + 1)
            .read_to_string(&mut text);
        match read {
            Ok(bytes) if bytes as u64 <= LARGEST => Ok(text),
            Ok(_) => Err(RecordError::file("a document of more than 256 MiB")),
            Err(error) => Err(RecordError::file(error)),
        }
    }

    /// Calls `visit` with each line that is not empty, and its number from 1.
    pub(super) fn lines(
        self,
        visit: impl FnMut(u64, &str) -> Result<(), RowDefect>,
    ) -> Result<(), RecordError> {
        lines(self.reader, visit)
    }
}

/// The lines of a reader.
pub(super) fn lines(
    mut reader: impl BufRead,
    mut visit: impl FnMut(u64, &str) -> Result<(), RowDefect>,
) -> Result<(), RecordError> {
    let mut line = String::new();
    for number in 1.. {
        let refuse = |defect| RecordError::line(number, defect);
        let read = read_line(&mut reader, &mut line);
        if read.map_err(|error| refuse(RowDefect::Line(error.to_string())))? == 0 {
            break;
        }
        let line = line.trim_ascii_end();
        if !line.is_empty() {
            visit(number, line).map_err(refuse)?;
        }
    }
    Ok(())
}
