//! The line that gives the length of a value, byte by byte.

use super::NotResp;

/// The length that a header gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Of(u64),
    /// A negative one: no value.
    None,
    /// `?`: not known in advance.
    Streamed,
}

/// The part of a header that has been read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// The type byte of the value.
    pub(super) kind: u8,
    length: Length,
    digits: u8,
}

impl Header {
    /// The header of a value with this type byte.
    pub(super) fn of(kind: u8) -> Self {
        let length = Length::Of(0);
        Self {
            kind,
            length,
            digits: 0,
        }
    }

    /// The end of a streamed aggregate: a dot, and no length.
    pub(super) fn of_end() -> Self {
        Self {
            digits: 1,
            ..Self::of(b'.')
        }
    }

    /// Takes one more byte of its line. The length when the line ends.
    pub(super) fn take(&mut self, byte: u8) -> Result<Option<Length>, NotResp> {
        match (byte, self.length) {
            // Eighteen digits always fit.
            (b'0'..=b'9', Length::Of(value)) if self.digits < 18 && self.kind != b'.' => {
                self.length = Length::Of(value * 10 + u64::from(byte - b'0'));
                self.digits += 1;
            }
            (b'0'..=b'9', Length::None) if self.digits < 18 => self.digits += 1,
            (b'-', Length::Of(_)) if self.digits == 0 => self.length = Length::None,
            (b'?', Length::Of(_)) if self.digits == 0 => {
                self.length = Length::Streamed;
                self.digits = 1;
            }
            (b'\r', _) if self.digits > 0 => {}
            (b'\n', length) if self.digits > 0 => return Ok(Some(length)),
            _ => return Err(NotResp { byte }),
        }
        Ok(None)
    }
}
