//! Where frames of RESP2 and RESP3 begin and end in a stream of bytes.
//!
//! The scanner reads lengths and skips payloads. It copies no value, allocates nothing, and can be
//! interrupted between any two bytes. Source: the RESP specification of Redis, versions 2 and 3,
//! streamed strings and aggregates included.

mod header;

use header::{Header, Length};

/// How deep aggregates may nest. Replies of real stores stay below eight.
const DEPTH: usize = 32;

/// The values still to come in an aggregate that ends with a terminator of its own: `*?` and the
/// like.
const STREAMED: u64 = u64::MAX;
/// The most arguments of a request, and the most bytes of one, that any store takes unless it is
/// configured otherwise. It answers a larger announcement with an error at once.
const MOST_ARGUMENTS: u64 = i32::MAX as u64;
const LARGEST_ARGUMENT: u64 = 512 << 20;

/// A header whose line ends, and which makes no sense.
const NONSENSE: NotResp = NotResp { byte: b'\n' };

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
    /// In the line that gives the length of a value.
    Header(Header),
    /// In a line that is the value itself.
    Line,
    /// In a payload of this many bytes, then CR LF.
    Payload { left: u64 },
    /// In the CR LF behind a payload.
    Tail { left: u8 },
    /// In an inline command.
    Inline,
}

/// One open aggregate.
#[derive(Clone, Copy, Debug, Default)]
struct OpenAggregate {
    /// Values still to come.
    left: u64,
    /// An attribute or a push among elements: it counts for nothing itself.
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
    /// Number of elements of the outermost aggregate, by its header.
    announced: u64,
    /// Type byte of the current frame; zero for an inline command.
    kind: u8,
    /// Inside a streamed string, whose chunks are part of one value.
    chunked: bool,
}

impl FrameScanner {
    /// A scanner at the beginning of a frame.
    pub fn new(side: StreamSide) -> Self {
        Self {
            side,
            state: ScanState::Kind,
            open: [OpenAggregate::default(); DEPTH],
            depth: 0,
            element: 0,
            announced: 0,
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

    /// How many elements the frame's outermost aggregate has, by its header.
    pub(crate) fn announced(&self) -> u64 {
        self.announced
    }

    /// Whether the current request announces more than a store takes, which answers the
    /// announcement alone.
    pub(crate) fn exceeds_stores(&self) -> bool {
        let argument = match self.state {
            ScanState::Payload { left } => left,
            _ => 0,
        };
        self.announced > MOST_ARGUMENTS || argument > LARGEST_ARGUMENT
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
                ScanState::Header(ref mut header) => {
                    let (kind, length) = (header.kind, header.take(bytes[at])?);
                    at += 1;
                    match length {
                        None => None,
                        Some(length) => self.header_ended(kind, length, capture)?,
                    }
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
            self.announced = 0;
            self.kind = byte;
            if self.side == StreamSide::Requests && byte != b'*' {
                self.kind = 0;
                self.state = ScanState::Inline;
                return Ok(false);
            }
        }
        // A client sends arrays of bulk strings and nothing else: a store gives up at once.
        if self.side == StreamSide::Requests && self.depth > 0 && byte != b'$' {
            return Err(NotResp { byte });
        }
        self.state = match byte {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => ScanState::Line,
            b'$' | b'=' | b'!' | b'*' | b'%' | b'~' | b'>' | b'|' | b';' => {
                ScanState::Header(Header::of(byte))
            }
            b'.' if self.depth > 0 && self.open[self.depth - 1].left == STREAMED => {
                ScanState::Header(Header::of_end())
            }
            byte => return Err(NotResp { byte }),
        };
        Ok(true)
    }

    /// The header line of a value ended.
    fn header_ended(
        &mut self,
        kind: u8,
        length: Length,
        capture: &mut impl ElementCapture,
    ) -> Result<Option<ScanProgress>, NotResp> {
        let is_request = self.side == StreamSide::Requests;
        match (kind, length) {
            (b'$', Length::None) | (_, Length::Streamed) if is_request => Err(NONSENSE),
            (b'$' | b'=' | b'!', Length::Streamed) => {
                self.chunked = true;
                self.state = ScanState::Kind;
                Ok(None)
            }
            (b'$' | b'=' | b'!', Length::None) => Ok(self.value_ended()),
            (b'$' | b'=' | b'!', Length::Of(0)) => {
                if self.depth <= 1 {
                    capture.piece(self.element, b"");
                }
                self.state = ScanState::Tail { left: 2 };
                Ok(None)
            }
            (b'$' | b'=' | b'!', Length::Of(left)) => {
                self.state = ScanState::Payload { left };
                Ok(None)
            }
            (b';', Length::Of(0)) if self.chunked => {
                self.chunked = false;
                Ok(self.value_ended())
            }
            (b';', Length::Of(left)) if self.chunked => {
                self.state = ScanState::Payload { left };
                Ok(None)
            }
            (b'.', _) => {
                let open = self.open[self.depth - 1];
                self.depth -= 1;
                Ok(self.ended(open.attribute))
            }
            (b';', _) => Err(NONSENSE),
            (_, length) => self.aggregate_begins(kind, length),
        }
    }

    fn aggregate_begins(
        &mut self,
        kind: u8,
        length: Length,
    ) -> Result<Option<ScanProgress>, NotResp> {
        // A push counts for nothing either where old stores send it within a transaction's reply.
        let attribute = kind == b'|' || (kind == b'>' && self.depth > 0);
        let left = match length {
            Length::Streamed => STREAMED,
            Length::None => 0,
            Length::Of(pairs) if matches!(kind, b'%' | b'|') => {
                pairs.checked_mul(2).ok_or(NONSENSE)?
            }
            Length::Of(values) => values,
        };
        if self.depth == 0 {
            self.announced = left;
        }
        if left == 0 {
            return Ok(self.ended(attribute));
        }
        if self.depth == DEPTH {
            return Err(NONSENSE);
        }
        self.open[self.depth] = OpenAggregate { left, attribute };
        self.depth += 1;
        self.state = ScanState::Kind;
        Ok(None)
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
                return self.ended(true);
            }
        }
        Some(ScanProgress::End)
    }

    /// A value is complete, or an attribute: in front of a frame it is passed on as a frame of its
    /// own; in front of an element it is part of that element.
    fn ended(&mut self, attribute: bool) -> Option<ScanProgress> {
        if !attribute {
            return self.value_ended();
        }
        self.state = ScanState::Kind;
        (self.depth == 0).then_some(ScanProgress::End)
    }
}

#[cfg(test)]
mod tests;
