//! The subscriptions of a connection, by the store's confirmations, and the first words of its
//! frames.

use crate::class::ChannelKind;
use crate::frame::ElementCapture;

/// How many bytes of a frame's first element are kept.
const FIRST: usize = 96;

/// How many channels, patterns and shard channels are subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    names: u32,
    patterns: u32,
    shards: u32,
    /// Messages come as arrays, as replies do.
    arrays: bool,
}

impl Subscriptions {
    /// Whether an array may be a message.
    pub(crate) fn has_array_messages(&self) -> bool {
        self.arrays && self.names + self.patterns + self.shards > 0
    }

    /// The number of confirmations of a command that names so many channels. Without a name, it
    /// concerns all there are, and is confirmed once when there is none.
    pub(crate) fn confirmations(&self, kind: ChannelKind, named: u32) -> u32 {
        let all = match kind {
            ChannelKind::Name => self.names,
            ChannelKind::Pattern => self.patterns,
            ChannelKind::Shard => self.shards,
        };
        if named > 0 { named } else { all.max(1) }
    }

    /// Takes a confirmation. Its number counts names and patterns together.
    pub(crate) fn confirm(&mut self, words: &FrameWords, is_array: bool) {
        self.arrays = is_array;
        let number = words.number;
        match words.first() {
            b"subscribe" | b"unsubscribe" => self.names = number.saturating_sub(self.patterns),
            b"psubscribe" | b"punsubscribe" => self.patterns = number.saturating_sub(self.names),
            _ => self.shards = number,
        }
    }

    /// Takes a change of the protocol.
    pub(crate) fn speak(&mut self, version: u8) {
        self.arrays = version == 2;
    }
}

/// The beginning of a frame's first element, which tells confirmations from messages and refusals
/// from other errors, and the number in its third.
#[derive(Debug, Default)]
pub(crate) struct FrameWords {
    first: Vec<u8>,
    number: u32,
}

impl FrameWords {
    pub(crate) fn clear(&mut self) {
        self.first.clear();
        self.number = 0;
    }

    fn first(&self) -> &[u8] {
        self.first.trim_ascii_end()
    }

    /// Whether there is no room for more of the first element.
    pub(crate) fn is_full(&self) -> bool {
        self.first.len() == FIRST
    }

    /// Whether this is the confirmation of a subscription or of its end.
    pub(crate) fn are_confirmation(&self) -> bool {
        self.first().ends_with(b"subscribe")
    }

    /// Whether this is a message on a channel.
    pub(crate) fn are_message(&self) -> bool {
        matches!(self.first(), b"message" | b"pmessage" | b"smessage")
    }

    /// Whether this error refuses CLIENT REPLY: it names the command, or the connection may send
    /// none.
    pub(crate) fn refuse_client_reply(&self) -> bool {
        let line = self.first().to_ascii_lowercase();
        let names_it = line.windows(6).any(|word| word == b"client");
        line.starts_with(b"noauth") || line.starts_with(b"err syntax") || names_it
    }
}

impl ElementCapture for FrameWords {
    fn piece(&mut self, index: usize, bytes: &[u8]) {
        match index {
            0 => {
                let room = FIRST - self.first.len();
                self.first
                    .extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            2 => {
                for digit in bytes.iter().filter(|byte| byte.is_ascii_digit()) {
                    let number = self.number.saturating_mul(10);
                    self.number = number.saturating_add(u32::from(digit - b'0'));
                }
            }
            _ => {}
        }
    }
}
