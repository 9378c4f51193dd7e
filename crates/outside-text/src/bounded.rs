use std::fs::File;
use std::io::{self, BufRead, Read as _};
use std::path::Path;

/// The longest line that is read, bytes with its line break.
pub const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// Reads a line with its line break into `line`, in place of its content, and returns its length in
/// bytes: 0 at the end.
///
/// # Errors
/// [`line_too_long`] when the line is longer than [`LONGEST_LINE`]; else as reading fails, also for
/// a line that is not UTF-8.
pub fn read_line(from: &mut impl BufRead, line: &mut String) -> io::Result<usize> {
    line.clear();
    let length = from.take(LONGEST_LINE + 1).read_line(line)?;
    if length as u64 > LONGEST_LINE {
        return Err(line_too_long());
    }
    Ok(length)
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// When the file is larger, or reading fails.
pub fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        let reason = format!("the file is larger than {most} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(content)
}

/// The error of a line that is longer than [`LONGEST_LINE`].
pub fn line_too_long() -> io::Error {
    let most = LONGEST_LINE / (1024 * 1024);
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a line has at most {most} MiB"),
    )
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, repeat};

    use super::*;

    #[test]
    fn lines_are_read_one_by_one() {
        let (mut from, mut line, mut lines) = (&b"one\ntwo"[..], "old".to_owned(), Vec::new());
        while read_line(&mut from, &mut line).unwrap() > 0 {
            lines.push(line.clone());
        }
        assert_eq!(lines, ["one\n", "two"]);
    }

    #[test]
    fn file_without_end_is_an_error() {
        let error = read_file(Path::new("/dev/zero"), 1000).unwrap_err();
        assert_eq!(error.to_string(), "the file is larger than 1000 bytes");
        assert_eq!(read_file(Path::new("/dev/null"), 0).unwrap(), b"");
    }

    #[test]
    fn line_without_end_is_an_error() {
        let error = read_line(&mut BufReader::new(repeat(b'x')), &mut String::new()).unwrap_err();
        assert_eq!(error.to_string(), "a line has at most 16 MiB");
    }
}
