//! The part of a request that rules look at: its name and first arguments.

use crate::frame::ElementCapture;

/// How many arguments are kept, the name included. `HELLO 3 AUTH user password SETNAME name` has
/// seven.
const ARGUMENTS: usize = 7;
/// How many bytes of each are kept. A longer key is matched by its beginning.
const BYTES: usize = 128;
/// How many bytes of an inline command are kept.
const INLINE: usize = 512;

/// The beginning of one request. Reused for all requests of a connection: it allocates at the first
/// ones only.
#[derive(Debug)]
pub(crate) struct Command {
    arguments: [Vec<u8>; ARGUMENTS],
    /// Arguments begun so far.
    count: usize,
    inline: bool,
}

impl Command {
    pub(crate) fn new() -> Self {
        Self {
            arguments: Default::default(),
            count: 0,
            inline: false,
        }
    }

    /// Forgets the request before.
    pub(crate) fn clear(&mut self, inline: bool) {
        self.arguments[..self.count].iter_mut().for_each(Vec::clear);
        self.count = 0;
        self.inline = inline;
    }

    /// Splits an inline command, which is captured as one element, into its arguments.
    pub(crate) fn split_inline(&mut self) {
        if !self.inline {
            return;
        }
        let line = std::mem::take(&mut self.arguments[0]);
        let words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        self.count = 0;
        for (argument, word) in self.arguments.iter_mut().zip(words) {
            argument.clear();
            argument.extend_from_slice(word);
            self.count += 1;
        }
        self.inline = false;
    }

    /// Whether this is a request at all: an empty line and an empty array have no reply.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0 || (self.count == 1 && self.arguments[0].is_empty())
    }

    /// The name as it was typed; empty before it is known.
    pub(crate) fn name(&self) -> &[u8] {
        &self.arguments[0]
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name.as_bytes())
    }

    /// Argument `index`, 0 being the name.
    pub(crate) fn argument(&self, index: usize) -> Option<&[u8]> {
        (index < self.count).then(|| self.arguments[index].as_slice())
    }

    /// Whether argument `index` is this word.
    pub(crate) fn argument_is(&self, index: usize, word: &str) -> bool {
        self.argument(index)
            .is_some_and(|a| a.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// All that was kept.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        self.arguments[..self.count].iter().map(Vec::as_slice)
    }
}

impl ElementCapture for Command {
    fn piece(&mut self, index: usize, bytes: &[u8]) {
        let Some(argument) = self.arguments.get_mut(index) else {
            return;
        };
        let most = if self.inline { INLINE } else { BYTES };
        let room = most - argument.len().min(most);
        argument.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.count = self.count.max(index + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameScanner, ScanProgress, StreamSide};

    fn scanned(text: &str) -> Command {
        let (mut scanner, mut command) = (FrameScanner::new(StreamSide::Requests), Command::new());
        command.clear(!text.starts_with('*'));
        let mut at = 0;
        while at < text.len() {
            let (used, progress) = scanner.scan(&text.as_bytes()[at..], &mut command).unwrap();
            at += used;
            if progress == ScanProgress::End {
                command.split_inline();
            }
        }
        command
    }

    #[test]
    fn arrays_and_inline_commands_read_alike() {
        for text in [
            "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nvalue\r\n",
            "SET a value\r\n",
            "  set  a\tvalue\n",
        ] {
            let command = scanned(text);
            assert!(command.is("SET"), "{text:?}");
            assert_eq!(command.argument(1), Some(&b"a"[..]), "{text:?}");
            assert_eq!(command.argument(3), None);
        }
        assert!(scanned("\r\n").is_empty());
        assert!(scanned("*0\r\n").is_empty());
    }

    #[test]
    fn long_arguments_are_kept_by_their_beginning() {
        let key = "k".repeat(10_000);
        let command = scanned(&format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()));
        assert_eq!(command.argument(1).map(<[u8]>::len), Some(BYTES));
    }
}
