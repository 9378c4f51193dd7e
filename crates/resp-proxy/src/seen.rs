//! The commands and keys that came, so that a rule without effects explains itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::table::KnownCommand;

/// The most keys, and the most names that no table has, that are remembered; the most names in a
/// line.
const MOST: usize = 12;

/// The keys and unknown names of one proxy.
#[derive(Debug, Default)]
pub(crate) struct SeenSample {
    keys: Mutex<Vec<Box<[u8]>>>,
    /// More keys came than are remembered, so that none needs to be compared any more.
    is_full: AtomicBool,
    unknown: Mutex<BTreeMap<String, u64>>,
}

impl SeenSample {
    pub(crate) fn note_key(&self, key: &[u8]) {
        if self.is_full.load(Ordering::Relaxed) {
            return;
        }
        let mut keys = self.keys.lock();
        if keys.iter().any(|seen| **seen == *key) {
            return;
        }
        if keys.len() == MOST {
            self.is_full.store(true, Ordering::Relaxed);
        } else {
            keys.push(key.into());
        }
    }

    pub(crate) fn note_unknown(&self, name: &[u8]) {
        let mut unknown = self.unknown.lock();
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        if let Some(count) = unknown.get_mut(&name) {
            *count += 1;
        } else if unknown.len() < MOST {
            unknown.insert(name, 1);
        }
    }

    /// With the known commands, whose names may come twice.
    pub(crate) fn with<'a>(
        &self,
        known: impl Iterator<Item = (&'a str, &'a KnownCommand)>,
    ) -> SeenCommands {
        let mut names = self.unknown.lock().clone();
        for (name, known) in known {
            *names.entry(name.replace('|', " ")).or_default() += known.seen.get();
        }
        let mut commands: Vec<_> = names.into_iter().filter(|(_, n)| *n > 0).collect();
        commands.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        SeenCommands {
            commands,
            keys: (self.keys.lock().iter())
                .map(|key| String::from_utf8_lossy(key).into_owned())
                .collect(),
            more_keys: self.is_full.load(Ordering::Relaxed),
        }
    }
}

/// The commands that came through a proxy, and the first of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenCommands {
    /// Names in upper case with their numbers, the most frequent first.
    pub commands: Vec<(String, u64)>,
    /// The first keys, in the order of their coming, by their first 128 bytes.
    pub keys: Vec<String>,
    /// More keys came than `keys` has.
    pub more_keys: bool,
}

impl fmt::Display for SeenCommands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.commands.is_empty() {
            return f.write_str("no command came");
        }
        let commands: Vec<_> = self
            .commands
            .iter()
            .take(MOST)
            .map(|(name, count)| format!("{} {count}", name.escape_debug()))
            .collect();
        f.write_str(&commands.join(", "))?;
        let rarer = self.commands.len() - commands.len();
        if rarer > 0 {
            write!(f, " and {rarer} others")?;
        }
        if self.keys.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = self
            .keys
            .iter()
            .map(|key| key.escape_debug().to_string())
            .collect();
        write!(f, "; keys {}", keys.join(", "))?;
        f.write_str(if self.more_keys { " and more" } else { "" })
    }
}
