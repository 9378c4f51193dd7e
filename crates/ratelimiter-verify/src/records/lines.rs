//! Lines of a file, plain or gzip, within bounds of memory.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use memchr::memchr;
use outside_text::{LONGEST_LINE, line_too_long};

use super::error::RecordError;
use super::field::RowDefect;

/// The largest file that is one document, bytes.
const LARGEST: u64 = 256 << 20;

/// Bytes read at once, and the begin of a file by which its format is told.
const BLOCK: usize = 128 << 10;

/// What some programs write before the first line.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A file, of which the first block is read.
pub(super) struct RecordFile(RecordLines<Box<dyn Read>>);

impl RecordFile {
    /// Opens a file, or standard input for `-`, and unpacks it if it is packed by gzip.
    pub(super) fn open(path: &Path, bytes: &Arc<AtomicU64>) -> io::Result<Self> {
        let reader: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            Box::new(CountedFile {
                file: File::open(path)?,
                bytes: Arc::clone(bytes),
            })
        };
        let mut reader = BufReader::new(reader);
        let mut lines = if reader.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
            RecordLines::new(Box::new(MultiGzDecoder::new(reader)) as Box<dyn Read>)
        } else {
            RecordLines::new(Box::new(reader) as Box<dyn Read>)
        };
        while lines.unread().len() < BLOCK && lines.fill()? {}
        if lines.unread().starts_with(BYTE_ORDER_MARK) {
            lines.begin = BYTE_ORDER_MARK.len();
        }
        Ok(Self(lines))
    }

    /// The begin of the file.
    pub(super) fn sample(&self) -> &[u8] {
        self.0.unread()
    }

    /// The text of a file that is one document.
    pub(super) fn document(self) -> Result<String, RecordError> {
        let mut text = Vec::from(self.0.unread());
        let most = LARGEST + 1 - text.len() as u64;
        let read = self.0.reader.take(most).read_to_end(&mut text);
        read.map_err(RecordError::file)?;
        if text.len() as u64 > LARGEST {
            return Err(RecordError::file("a document of more than 256 MiB"));
        }
        String::from_utf8(text).map_err(RecordError::file)
    }

    /// Calls `visit` with each line that is not empty.
    pub(super) fn lines(
        self,
        visit: impl FnMut(&str) -> Result<(), RowDefect>,
    ) -> Result<(), RecordError> {
        self.0.visit(visit)
    }
}

/// A file whose bytes are counted as they are read.
struct CountedFile {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for CountedFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Lines of a reader, none of which is copied: each is lent from the block that holds it.
pub(super) struct RecordLines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// The part of the buffer that is not visited yet.
    begin: usize,
    end: usize,
}

impl<R: Read> RecordLines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: vec![0; BLOCK],
            begin: 0,
            end: 0,
        }
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.begin..self.end]
    }

    /// Reads more behind the unread bytes. False at the end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.begin > 0 {
            self.buffer.copy_within(self.begin..self.end, 0);
            self.end -= std::mem::take(&mut self.begin);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.end, 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The length of the next line with its line break, or of the rest; 0 at the end.
    fn next_length(&mut self) -> io::Result<usize> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr(b'\n', &self.unread()[searched..]) {
                return Ok(searched + at + 1);
            }
            searched = self.unread().len();
            if searched as u64 > LONGEST_LINE {
                return Err(line_too_long());
            }
            if !self.fill()? {
                return Ok(searched);
            }
        }
    }

    /// Calls `visit` with each line that is not empty.
    pub(super) fn visit(
        mut self,
        mut visit: impl FnMut(&str) -> Result<(), RowDefect>,
    ) -> Result<(), RecordError> {
        for number in 1.. {
            let refuse = |defect| RecordError::line(number, defect);
            let no_line =
                |error: &dyn std::error::Error| refuse(RowDefect::Line(error.to_string()));
            let length = self.next_length().map_err(|error| no_line(&error))?;
            if length == 0 {
                break;
            }
            let line = std::str::from_utf8(&self.unread()[..length]);
            let line = line.map_err(|error| no_line(&error))?.trim_ascii_end();
            if !line.is_empty() {
                visit(line).map_err(refuse)?;
            }
            self.begin += length;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte at a time.
    struct Slow<'t>(&'t [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(&mut into[..1])
        }
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let long = "x".repeat(3 * BLOCK);
        let text = format!("one\r\n\n{long}\nlast");
        let mut lines = Vec::new();
        let visited = RecordLines::new(Slow(text.as_bytes())).visit(|line| {
            lines.push(line.to_owned());
            Ok(())
        });
        assert!(visited.is_ok());
        assert_eq!(lines, ["one", &long, "last"]);
    }
}
