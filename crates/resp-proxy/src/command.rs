//! The part of a request that rules look at: its name and first arguments.

use crate::frame::ElementCapture;

/// How many arguments are kept, the name included. The first key of `XREADGROUP GROUP group
/// consumer COUNT 10 BLOCK 100 NOACK STREAMS key` is the eleventh.
const ARGUMENTS: usize = 12;
/// How many bytes of a key rules compare.
pub(crate) const KEY: usize = 128;
/// How many bytes of each argument are kept: one more, so that a longer key equals none that is
/// compared whole.
const BYTES: usize = KEY + 1;
/// How many bytes of an inline command are kept.
const INLINE: usize = 512;

/// The beginning of one request. Reused for all requests of a connection: it allocates at the first
/// ones only.
#[derive(Debug, Default)]
pub(crate) struct Command {
    arguments: [Vec<u8>; ARGUMENTS],
    /// Arguments begun so far.
    count: usize,
    inline: bool,
}

impl Command {
    /// Forgets the request before.
    pub(crate) fn clear(&mut self, inline: bool) {
        let kept = self.count.min(ARGUMENTS);
        self.arguments[..kept].iter_mut().for_each(Vec::clear);
        self.count = 0;
        self.inline = inline;
    }

    /// Splits an inline command, which is captured as one element, into its arguments.
    pub(crate) fn split_inline(&mut self) {
        if !self.inline {
            return;
        }
        let line = std::mem::take(&mut self.arguments[0]);
        self.count = 0;
        for word in inline_words(&line) {
            if let Some(argument) = self.arguments.get_mut(self.count) {
                *argument = word;
            }
            self.count += 1;
        }
        self.inline = false;
    }

    /// Whether this is a request at all: an empty line and an empty array have no reply.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many arguments came so far, the name included.
    pub(crate) fn count(&self) -> usize {
        self.count
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
        let argument = self.arguments.get(index)?;
        (index < self.count).then_some(argument)
    }

    /// Whether argument `index` is this word.
    pub(crate) fn argument_is(&self, index: usize, word: &str) -> bool {
        self.argument(index)
            .is_some_and(|a| a.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// All that was kept.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        self.arguments.iter().take(self.count).map(Vec::as_slice)
    }
}

impl ElementCapture for Command {
    fn piece(&mut self, index: usize, bytes: &[u8]) {
        self.count = self.count.max(index + 1);
        let Some(argument) = self.arguments.get_mut(index) else {
            return;
        };
        let most = if self.inline { INLINE } else { BYTES };
        let room = most - argument.len().min(most);
        argument.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// The words of a line as a store splits it: at blanks, but for those in quotes. Escapes are left
/// as they are typed, but for an escaped quote, which closes nothing.
fn inline_words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.iter().copied().peekable();
    while let Some(first) = bytes.next() {
        if first.is_ascii_whitespace() {
            continue;
        }
        let (mut word, mut quote, mut next) = (Vec::new(), None, Some(first));
        while let Some(byte) = next {
            match (byte, quote) {
                (b'\\', Some(_)) => word.extend(bytes.next()),
                (byte, Some(open)) if byte == open => quote = None,
                (b'"' | b'\'', None) => quote = Some(byte),
                (byte, _) => word.push(byte),
            }
            next = bytes.next_if(|byte| quote.is_some() || !byte.is_ascii_whitespace());
        }
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameScanner, ScanProgress, StreamSide};

    fn scanned(text: &str) -> Command {
        let (mut scanner, mut command) =
            (FrameScanner::new(StreamSide::Requests), Command::default());
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
            "set \"a\" 'value'\r\n",
        ] {
            let command = scanned(text);
            assert!(command.is("SET"), "{text:?}");
            assert_eq!(command.argument(1), Some(&b"a"[..]), "{text:?}");
            assert_eq!(command.argument(3), None);
        }
        assert!(scanned("\r\n").is_empty());
        assert!(scanned("*0\r\n").is_empty());
        assert!(scanned("*-10\r\n").is_empty());
    }

    #[test]
    fn empty_arguments_are_arguments() {
        assert!(!scanned("*1\r\n$0\r\n\r\n").is_empty());
        let get = scanned("*2\r\n$3\r\nGET\r\n$0\r\n\r\n");
        assert_eq!(get.argument(1), Some(&b""[..]));
        assert_eq!(scanned("GET \"a b\"\r\n").argument(1), Some(&b"a b"[..]));
    }

    #[test]
    fn long_arguments_are_kept_by_their_beginning() {
        let key = "k".repeat(10_000);
        let command = scanned(&format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len()));
        assert_eq!(command.argument(1).map(<[u8]>::len), Some(BYTES));
    }
}
