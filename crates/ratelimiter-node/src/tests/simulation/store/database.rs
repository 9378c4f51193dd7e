//! The entries of the store, and when they expire.

use std::collections::BTreeMap;

use super::reply::Text;
use super::scored::ScoredSet;

/// A hash, by field.
pub(crate) type Fields = BTreeMap<Text, Text>;

/// A value of one of the types that nodes use.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StoredValue {
    Text(Text),
    Fields(Fields),
    Scored(ScoredSet),
}

/// A value, and the wall clock's millisecond after which it is gone.
#[derive(Clone, Debug, PartialEq)]
struct StoredEntry {
    value: StoredValue,
    expires_ms: Option<u64>,
}

/// All entries, by name, with the clock by which they expire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Database {
    entries: BTreeMap<Text, StoredEntry>,
    /// The wall clock, microseconds.
    pub(crate) now_us: u64,
    /// Another one with every process.
    pub(crate) run_id: u64,
}

pub(super) const WRONG_TYPE: &str =
    "WRONGTYPE Operation against a key holding the wrong kind of value";

/// A type that entries can have.
pub(super) trait ValueType: Default {
    fn of(value: &mut StoredValue) -> Option<&mut Self>;
    fn value(self) -> StoredValue;
    fn is_empty(&self) -> bool;
}

macro_rules! value_type {
    ($type:ty, $variant:ident, $is_empty:expr) => {
        impl ValueType for $type {
            fn of(value: &mut StoredValue) -> Option<&mut Self> {
                match value {
                    StoredValue::$variant(inside) => Some(inside),
                    _ => None,
                }
            }

            fn value(self) -> StoredValue {
                StoredValue::$variant(self)
            }

            fn is_empty(&self) -> bool {
                $is_empty(self)
            }
        }
    };
}

value_type!(Text, Text, |_: &Text| false);
value_type!(Fields, Fields, Fields::is_empty);
value_type!(ScoredSet, Scored, |set: &ScoredSet| set.len() == 0);

impl Database {
    /// Without entries.
    pub(crate) fn at(now_us: u64) -> Self {
        Self {
            entries: BTreeMap::new(),
            now_us,
            run_id: 1,
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_us / 1000
    }

    fn expire(&mut self, name: &[u8]) {
        let now_ms = self.now_ms();
        let gone = |entry: &StoredEntry| entry.expires_ms.is_some_and(|at| now_ms > at);
        if self.entries.get(name).is_some_and(gone) {
            self.entries.remove(name);
        }
    }

    /// Reads an entry; none is as good as an empty one.
    pub(super) fn read<T: ValueType + 'static, R>(
        &mut self,
        name: &[u8],
        read: impl FnOnce(Option<&T>) -> R,
    ) -> Result<R, String> {
        self.expire(name);
        let Some(entry) = self.entries.get_mut(name) else {
            return Ok(read(None));
        };
        let value = T::of(&mut entry.value).ok_or(WRONG_TYPE)?;
        Ok(read(Some(value)))
    }

    /// Changes an entry, which begins empty and is gone when it is empty again.
    pub(super) fn change<T: ValueType, R>(
        &mut self,
        name: &[u8],
        change: impl FnOnce(&mut T) -> Result<R, String>,
    ) -> Result<R, String> {
        self.expire(name);
        let new = || StoredEntry {
            value: T::default().value(),
            expires_ms: None,
        };
        let entry = self.entries.entry(name.to_vec()).or_insert_with(new);
        let value = T::of(&mut entry.value).ok_or(WRONG_TYPE)?;
        let result = change(value);
        if value.is_empty() {
            self.entries.remove(name);
        }
        result
    }

    /// Replaces an entry by a text.
    pub(crate) fn set(&mut self, name: &[u8], text: Text, expires_ms: Option<u64>) {
        let value = StoredValue::Text(text);
        self.entries
            .insert(name.to_vec(), StoredEntry { value, expires_ms });
    }

    /// Gives an entry another name, if it is there.
    pub(super) fn rename(&mut self, name: &[u8], other: &[u8]) -> bool {
        self.expire(name);
        let entry = self.entries.remove(name);
        entry.is_some_and(|entry| {
            self.entries.insert(other.to_vec(), entry);
            true
        })
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        self.expire(name);
        self.entries.remove(name).is_some()
    }

    pub(crate) fn get(&mut self, name: &[u8]) -> Option<&StoredValue> {
        self.expire(name);
        self.entries.get(name).map(|entry| &entry.value)
    }

    /// When an entry expires, for one that exists.
    pub(super) fn expiry(&mut self, name: &[u8]) -> Option<&mut Option<u64>> {
        self.expire(name);
        self.entries
            .get_mut(name)
            .map(|entry| &mut entry.expires_ms)
    }

    /// The names of all entries that have not expired.
    pub(crate) fn names(&mut self) -> Vec<Text> {
        let names: Vec<Text> = self.entries.keys().cloned().collect();
        names.iter().for_each(|name| self.expire(name));
        self.entries.keys().cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
