//! Where frames of RESP2 and RESP3 begin and end in a stream of bytes.
//!
//! The scanner reads lengths and skips payloads. It copies no value, allocates nothing, and can be
//! interrupted between any two bytes. Source: the RESP specification of Redis, versions 2 and 3,
//! streamed strings and aggregates included.

/// How deep aggregates may nest. Replies of real stores stay below eight.
const DEPTH: usize = 32;

/// A length that ends with a terminator of its own: `$?`, `*?` and the like.
const STREAMED: u64 = u64::MAX;

/// Which side sends the stream. Only a client may send inline commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamSide {
    /// Client to store: arrays of bulk strings, or inline commands.
    Requests,
    /// Store to client: any type.
    Replies,
}

/// Why a scan stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanProgress {
    /// All bytes are used up and the frame goes on.
    More,
    /// An element of the frame's outermost aggregate ended; the frame may go on.
    Element,
    /// The frame ended.
    End,
}

/// The bytes are not RESP: a length that is no number, an unknown type, or nesting without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {byte:#04x} cannot stand here in RESP")]
pub struct NotResp {
    /// The offending byte.
    pub byte: u8,
}

/// Takes the payload of a frame's first elements. Called with consecutive pieces of each.
pub trait ElementCapture {
    /// A piece of element `index` of the outermost aggregate; index 0 also stands for the whole of
    /// a frame without elements, such as an inline command or a simple string.
    fn piece(&mut self, index: usize, bytes: &[u8]);
}

/// Captures nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCapture;

impl ElementCapture for NoCapture {
    fn piece(&mut self, _: usize, _: &[u8]) {}
}

#[derive(Clone, Copy, Debug)]
enum ScanState {
    /// At the type byte of a value.
    Kind,
    /// In the decimal length of a value of this type.
    Length {
        kind: u8,
        value: u64,
        digits: u8,
        sign: LengthSign,
    },
    /// In a line that is the value itself.
    Line,
    /// In a payload of this many bytes, then CR LF.
    Payload { left: u64 },
    /// In the CR LF behind a payload.
    Tail { left: u8 },
    /// In an inline command.
    Inline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LengthSign {
    Plus,
    Minus,
    /// `?`: the length is not known in advance.
    Streamed,
}

/// One open aggregate.
#[derive(Clone, Copy, Debug)]
struct OpenAggregate {
    /// Values still to come.
    left: u64,
    /// An attribute: the value that it describes follows, and it counts for nothing itself.
    attribute: bool,
}

/// Finds the ends of frames in one direction of one connection.
#[derive(Clone, Debug)]
pub struct FrameScanner {
    side: StreamSide,
    state: ScanState,
    open: [OpenAggregate; DEPTH],
    depth: usize,
    /// Index of the current element of the outermost aggregate.
    element: usize,
    /// Type byte of the current frame; zero for an inline command.
    kind: u8,
    /// Inside a streamed string, whose chunks are part of one value.
    chunked: bool,
}

impl FrameScanner {
    /// A scanner at the beginning of a frame.
    pub fn new(side: StreamSide) -> Self {
        let none = OpenAggregate {
            left: 0,
            attribute: false,
        };
        let (state, open) = (ScanState::Kind, [none; DEPTH]);
        Self {
            side,
            state,
            open,
            depth: 0,
            element: 0,
            kind: 0,
            chunked: false,
        }
    }

    /// Whether the next byte begins a frame.
    pub fn at_frame_start(&self) -> bool {
        self.depth == 0 && !self.chunked && matches!(self.state, ScanState::Kind)
    }

    /// The type byte of the frame that is being scanned, or of the one that just ended; zero for an
    /// inline command.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// How many elements of the frame's outermost aggregate are complete.
    pub fn elements(&self) -> usize {
        self.element
    }

    /// Scans to the next event and returns it with the number of bytes used.
    ///
    /// # Errors
    /// When the bytes are not RESP. The scanner is of no use after that.
    pub fn scan(
        &mut self,
        bytes: &[u8],
        capture: &mut impl ElementCapture,
    ) -> Result<(usize, ScanProgress), NotResp> {
        let mut at = 0;
        while at < bytes.len() {
            let done = match self.state {
                ScanState::Kind => {
                    let byte = bytes[at];
                    at += usize::from(self.begin(byte)?);
                    None
                }
                ScanState::Length {
                    kind,
                    value,
                    digits,
                    sign,
                } => {
                    let byte = bytes[at];
                    at += 1;
                    self.length(byte, kind, value, digits, sign)?
                }
                ScanState::Line | ScanState::Inline => {
                    let rest = &bytes[at..];
                    let end = rest.iter().position(|b| *b == b'\n');
                    let line = end.map_or(rest, |end| &rest[..end]);
                    self.give(line, capture);
                    at += end.map_or(rest.len(), |end| end + 1);
                    end.and_then(|_| self.value_ended())
                }
                ScanState::Payload { left } => {
                    let take = usize::try_from(left)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len() - at);
                    self.give(&bytes[at..at + take], capture);
                    at += take;
                    let left = left - take as u64;
                    self.state = if left == 0 {
                        ScanState::Tail { left: 2 }
                    } else {
                        ScanState::Payload { left }
                    };
                    None
                }
                ScanState::Tail { left } => {
                    let expected = if left == 2 { b'\r' } else { b'\n' };
                    if bytes[at] != expected {
                        return Err(NotResp { byte: bytes[at] });
                    }
                    at += 1;
                    self.state = ScanState::Tail { left: left - 1 };
                    if left > 1 { None } else { self.payload_ended() }
                }
            };
            if let Some(progress) = done {
                return Ok((at, progress));
            }
        }
        Ok((at, ScanProgress::More))
    }

    /// Gives a piece to the capture when it belongs to an element itself, or to a frame without
    /// elements.
    fn give(&self, bytes: &[u8], capture: &mut impl ElementCapture) {
        if self.depth <= 1 && !bytes.is_empty() {
            capture.piece(self.element, bytes);
        }
    }

    /// Looks at the first byte of a value. False when the byte is not used up: it belongs to an
    /// inline command.
    fn begin(&mut self, byte: u8) -> Result<bool, NotResp> {
        let first = self.depth == 0 && !self.chunked;
        if first {
            self.element = 0;
            self.kind = byte;
            if self.side == StreamSide::Requests && byte != b'*' {
                self.kind = 0;
                self.state = ScanState::Inline;
                return Ok(false);
            }
        }
        self.state = match byte {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => ScanState::Line,
            b'$' | b'=' | b'!' | b'*' | b'%' | b'~' | b'>' | b'|' | b';' => ScanState::Length {
                kind: byte,
                value: 0,
                digits: 0,
                sign: LengthSign::Plus,
            },
            // The end of a streamed aggregate.
            b'.' if self.depth > 0 && self.open[self.depth - 1].left == STREAMED => {
                ScanState::Length {
                    kind: byte,
                    value: 0,
                    digits: 1,
                    sign: LengthSign::Plus,
                }
            }
            byte => return Err(NotResp { byte }),
        };
        Ok(true)
    }

    fn length(
        &mut self,
        byte: u8,
        kind: u8,
        value: u64,
        digits: u8,
        sign: LengthSign,
    ) -> Result<Option<ScanProgress>, NotResp> {
        let wrong = Err(NotResp { byte });
        match byte {
            b'0'..=b'9' if sign != LengthSign::Streamed && digits < 18 && kind != b'.' => {
                let value = value * 10 + u64::from(byte - b'0');
                self.state = ScanState::Length {
                    kind,
                    value,
                    digits: digits + 1,
                    sign,
                };
            }
            b'-' if digits == 0 && sign == LengthSign::Plus => {
                self.state = ScanState::Length {
                    kind,
                    value,
                    digits,
                    sign: LengthSign::Minus,
                };
            }
            b'?' if digits == 0 && sign == LengthSign::Plus => {
                self.state = ScanState::Length {
                    kind,
                    value,
                    digits: 1,
                    sign: LengthSign::Streamed,
                };
            }
            b'\r' if digits > 0 => {}
            b'\n' if digits > 0 => {
                return self.length_ended(kind, value, sign).ok_or(NotResp { byte });
            }
            _ => return wrong,
        }
        Ok(None)
    }

    /// The header line of a value ended. The outer option is empty when the header makes no sense.
    #[expect(
        clippy::option_option,
        reason = "no such header, and a header that ends no event, are two things"
    )]
    fn length_ended(
        &mut self,
        kind: u8,
        value: u64,
        sign: LengthSign,
    ) -> Option<Option<ScanProgress>> {
        let none = sign == LengthSign::Minus;
        match kind {
            b'$' | b'=' | b'!' if sign == LengthSign::Streamed => {
                self.chunked = true;
                self.state = ScanState::Kind;
                Some(None)
            }
            b'$' | b'=' | b'!' if none => Some(self.value_ended()),
            b'$' | b'=' | b'!' => {
                self.state = if value == 0 {
                    ScanState::Tail { left: 2 }
                } else {
                    ScanState::Payload { left: value }
                };
                Some(None)
            }
            b';' if self.chunked && value == 0 => {
                self.chunked = false;
                Some(self.value_ended())
            }
            b';' if self.chunked => {
                self.state = ScanState::Payload { left: value };
                Some(None)
            }
            b'.' => {
                let open = self.open[self.depth - 1];
                self.depth -= 1;
                Some(if open.attribute {
                    self.attribute_ended()
                } else {
                    self.value_ended()
                })
            }
            b';' => None,
            _ => {
                let attribute = kind == b'|';
                let values = if kind == b'%' || attribute {
                    value.checked_mul(2)?
                } else {
                    value
                };
                let left = if sign == LengthSign::Streamed {
                    STREAMED
                } else {
                    values
                };
                if none || left == 0 {
                    return Some(if attribute {
                        self.attribute_ended()
                    } else {
                        self.value_ended()
                    });
                }
                if self.depth == DEPTH {
                    return None;
                }
                self.open[self.depth] = OpenAggregate { left, attribute };
                self.depth += 1;
                self.state = ScanState::Kind;
                Some(None)
            }
        }
    }

    fn payload_ended(&mut self) -> Option<ScanProgress> {
        if self.chunked {
            self.state = ScanState::Kind;
            return None;
        }
        self.value_ended()
    }

    /// A value is complete, and with it perhaps the aggregates around it.
    fn value_ended(&mut self) -> Option<ScanProgress> {
        self.state = ScanState::Kind;
        while self.depth > 0 {
            let open = &mut self.open[self.depth - 1];
            if open.left != STREAMED {
                open.left -= 1;
            }
            if open.left > 0 {
                if self.depth > 1 {
                    return None;
                }
                self.element += 1;
                return Some(ScanProgress::Element);
            }
            let attribute = open.attribute;
            self.depth -= 1;
            if attribute {
                return self.attribute_ended();
            }
        }
        Some(ScanProgress::End)
    }

    /// An attribute is complete. In front of a frame it is passed on as a frame of its own; in
    /// front of an element it is part of that element.
    fn attribute_ended(&mut self) -> Option<ScanProgress> {
        self.state = ScanState::Kind;
        (self.depth == 0).then_some(ScanProgress::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every frame of `bytes` as (type byte, length), scanned in pieces of `step` bytes.
    fn frames(side: StreamSide, bytes: &[u8], step: usize) -> Result<Vec<(u8, usize)>, NotResp> {
        let (mut scanner, mut found, mut length) = (FrameScanner::new(side), Vec::new(), 0);
        for piece in bytes.chunks(step) {
            let mut at = 0;
            while at < piece.len() {
                let (used, progress) = scanner.scan(&piece[at..], &mut NoCapture)?;
                at += used;
                length += used;
                if progress == ScanProgress::End {
                    found.push((scanner.kind(), length));
                    length = 0;
                }
            }
        }
        assert_eq!(
            length == 0,
            scanner.at_frame_start(),
            "in {:?}",
            String::from_utf8_lossy(bytes)
        );
        Ok(found)
    }

    const REPLIES: [&str; 20] = [
        "+OK\r\n",
        "-ERR no such key\r\n",
        ":-42\r\n",
        "$5\r\nhello\r\n",
        "$0\r\n\r\n",
        "$-1\r\n",
        "*0\r\n",
        "*-1\r\n",
        "*2\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n",
        "_\r\n",
        ",1.5e10\r\n",
        "#t\r\n",
        "(3492890328409238509324850943850943825024385\r\n",
        "=15\r\ntxt:Some string\r\n",
        "!21\r\nSYNTAX invalid syntax\r\n",
        "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
        "~2\r\n+a\r\n+b\r\n",
        ">3\r\n+message\r\n+channel\r\n$2\r\nhi\r\n",
        "$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n",
        "*?\r\n:1\r\n*1\r\n+x\r\n.\r\n",
    ];

    #[test]
    fn frames_end_alike_at_every_split() {
        let all: String = REPLIES.concat();
        let expected: Vec<_> = REPLIES.iter().map(|f| (f.as_bytes()[0], f.len())).collect();
        for step in 1..=all.len() {
            assert_eq!(
                frames(StreamSide::Replies, all.as_bytes(), step).unwrap(),
                expected,
                "pieces of {step}"
            );
        }
    }

    #[test]
    fn attributes_precede_the_frame_they_describe() {
        let text = b"|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n";
        assert_eq!(
            frames(StreamSide::Replies, text, 3).unwrap(),
            [(b'|', 14), (b'$', 7)]
        );
        let inside = b"*2\r\n|1\r\n+ttl\r\n:3\r\n:1\r\n:2\r\n";
        assert_eq!(
            frames(StreamSide::Replies, inside, 1).unwrap(),
            [(b'*', inside.len())]
        );
    }

    #[test]
    fn requests_may_be_inline() {
        let text = b"PING\r\n*1\r\n$4\r\nPING\r\n\r\nget a\n";
        assert_eq!(
            frames(StreamSide::Requests, text, 2).unwrap(),
            [(0, 6), (b'*', 14), (0, 2), (0, 6)]
        );
    }

    #[test]
    fn nonsense_is_an_error_and_no_panic() {
        let deep = "*1\r\n".repeat(DEPTH + 1);
        let wrong = [
            "@",
            "$x",
            "$1\r\nab",
            "*99999999999999999999\r\n",
            ";1\r\n",
            ".\r\n",
            "$\r\n",
            &deep,
        ];
        for text in wrong {
            assert!(
                frames_of_garbage(text.as_bytes()),
                "{text:?} was taken for RESP"
            );
        }
    }

    fn frames_of_garbage(bytes: &[u8]) -> bool {
        let (mut scanner, mut at) = (FrameScanner::new(StreamSide::Replies), 0);
        while at < bytes.len() {
            match scanner.scan(&bytes[at..], &mut NoCapture) {
                Ok((used, _)) => at += used,
                Err(_) => return true,
            }
        }
        false
    }
}
