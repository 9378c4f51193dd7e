//! Frames of RESP.

use resp_proxy::{FrameScanner, NoCapture, NotResp, ScanProgress, StreamSide};

/// A bulk string, or another type with a length and a payload.
pub(crate) fn bulk(kind: char, payload: &[u8]) -> Vec<u8> {
    let head = format!("{kind}{}\r\n", payload.len());
    [head.as_bytes(), payload, b"\r\n"].concat()
}

/// The ends of all frames, scanned piece by piece.
pub(crate) fn ends<'a>(
    side: StreamSide,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<usize>, NotResp> {
    let (mut scanner, mut found, mut total) = (FrameScanner::new(side), Vec::new(), 0);
    for mut piece in pieces {
        while !piece.is_empty() {
            let (used, progress) = scanner.scan(piece, &mut NoCapture)?;
            piece = &piece[used..];
            total += used;
            if progress == ScanProgress::End {
                found.push(total);
            }
        }
    }
    Ok(found)
}
