//! Reproducible random bytes (SplitMix64).

#[derive(Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Bytes that look like RESP, and bytes that look like nothing. Mostly short.
    pub(crate) fn payload(&mut self) -> Vec<u8> {
        const TRAPS: [&[u8]; 6] = [
            b"\r\n",
            b"$3\r\n",
            b"*1\r\n",
            b"-ERR\r\n",
            b">2\r\n",
            b"\0\xff",
        ];
        if self.below(2000) == 0 {
            let length = self.below(100_000) as usize;
            return vec![self.next() as u8; length];
        }
        let mut bytes = Vec::new();
        for _ in 0..self.below(4) {
            match self.below(2) {
                0 => bytes.extend_from_slice(TRAPS[self.below(6) as usize]),
                _ => bytes.extend_from_slice(&self.next().to_le_bytes()[..self.below(8) as usize]),
            }
        }
        bytes
    }

    /// Printable text without line breaks.
    pub(crate) fn line(&mut self) -> String {
        (0..self.below(20))
            .map(|_| char::from(b' ' + self.below(95) as u8))
            .collect()
    }

    /// The size of the next piece of a stream: a byte, a few, or many.
    pub(crate) fn piece(&mut self) -> usize {
        match self.below(50) {
            0 => 1,
            1 => 1 + self.below(20) as usize,
            _ => 1 + self.below(60_000) as usize,
        }
    }
}

/// A bulk string, or another type with a length and a payload.
pub(crate) fn bulk(kind: char, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{kind}{}\r\n", payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// A command as an array of bulk strings.
pub(crate) fn command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    arguments
        .iter()
        .for_each(|argument| bytes.extend(bulk('$', argument)));
    bytes
}
