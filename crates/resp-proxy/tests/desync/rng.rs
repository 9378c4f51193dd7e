//! Reproducible random bytes.

pub(crate) use fastrand::Rng;

use crate::frames::bulk;

/// The parts of a stream.
pub(crate) trait RngExt {
    /// Bytes that look like RESP, and bytes that look like nothing. Mostly short.
    fn payload(&mut self) -> Vec<u8>;
    /// Printable text without line breaks.
    fn line(&mut self) -> String;
    /// The size of the next piece of a stream: a byte, a few, or many.
    fn piece(&mut self) -> usize;
}

impl RngExt for Rng {
    fn payload(&mut self) -> Vec<u8> {
        const TRAPS: [&[u8]; 6] = [
            b"\r\n",
            b"$3\r\n",
            b"*1\r\n",
            b"-ERR\r\n",
            b">2\r\n",
            b"\0\xff",
        ];
        if self.u64(..2000) == 0 {
            let length = self.u64(..100_000) as usize;
            return vec![self.u64(..) as u8; length];
        }
        let mut bytes = Vec::new();
        for _ in 0..self.u64(..4) {
            match self.u64(..2) {
                0 => bytes.extend_from_slice(TRAPS[self.u64(..6) as usize]),
                _ => bytes.extend_from_slice(&self.u64(..).to_le_bytes()[..self.u64(..8) as usize]),
            }
        }
        bytes
    }

    fn line(&mut self) -> String {
        (0..self.u64(..20))
            .map(|_| char::from(b' ' + self.u64(..95) as u8))
            .collect()
    }

    fn piece(&mut self) -> usize {
        match self.u64(..50) {
            0 => 1,
            1 => 1 + self.u64(..20) as usize,
            _ => 1 + self.u64(..60_000) as usize,
        }
    }
}

/// A command as an array of bulk strings.
pub(crate) fn command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    arguments
        .iter()
        .for_each(|argument| bytes.extend(bulk('$', argument)));
    bytes
}
