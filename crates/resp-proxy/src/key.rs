//! The place of a command's first key.

use redis::{Value, from_redis_value_ref};

use crate::command::Command;
use crate::value::{elements, field};

/// The place of the first key among a command's arguments, 0 being the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyPlace {
    /// It has no keys.
    Nowhere,
    At(usize),
    /// The argument at this place is the number of keys, and the first stands behind it.
    Counted(usize),
    /// Behind this word, which stands at this place or later.
    Behind(Box<str>, usize),
}

/// The first key of one command, as far as its arguments have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstKey<'a> {
    /// More arguments have to come.
    Unknown,
    None,
    Some(&'a [u8]),
}

impl KeyPlace {
    /// The first key, of which the command's first `known` arguments are complete.
    pub(crate) fn first_key<'a>(&self, command: &'a Command, known: usize) -> FirstKey<'a> {
        let at = |place: usize| match command.argument(place) {
            Some(key) if place < known => FirstKey::Some(key),
            _ if known == usize::MAX => FirstKey::None,
            _ => FirstKey::Unknown,
        };
        match self {
            Self::Nowhere => FirstKey::None,
            Self::At(place) => at(*place),
            Self::Counted(place) => match at(*place) {
                FirstKey::Some(number) if number.is_empty() || number == b"0" => FirstKey::None,
                FirstKey::Some(_) => at(*place + 1),
                unknown => unknown,
            },
            Self::Behind(word, from) => (*from..)
                .map(|place| (place, at(place)))
                .find_map(|(place, argument)| match argument {
                    FirstKey::Some(argument) if !argument.eq_ignore_ascii_case(word.as_bytes()) => {
                        None
                    }
                    FirstKey::Some(_) => Some(at(place + 1)),
                    unknown => Some(unknown),
                })
                .unwrap_or(FirstKey::None),
        }
    }

    /// By the key specifications of a store's answer to COMMAND, from Redis 7.0 on; by the position
    /// `first` that all stores give otherwise.
    pub(crate) fn reported(first: usize, specifications: Option<&Value>) -> Self {
        let by_specification = specifications
            .map(elements)
            .and_then(<[Value]>::first)
            .and_then(Self::specified);
        by_specification.unwrap_or(match first {
            0 => Self::Nowhere,
            place => Self::At(place),
        })
    }

    fn specified(specification: &Value) -> Option<Self> {
        let number = |value: Option<&Value>| -> Option<usize> {
            from_redis_value_ref::<i64>(value?).ok()?.try_into().ok()
        };
        let text = |value: Option<&Value>| from_redis_value_ref::<String>(value?).ok();
        let (begin, keys) = (
            field(specification, "begin_search")?,
            field(specification, "find_keys")?,
        );
        let spec = field(begin, "spec")?;
        if text(field(begin, "type"))? == "keyword" {
            let from = number(field(spec, "startfrom"))?;
            return Some(Self::Behind(text(field(spec, "keyword"))?.into(), from));
        }
        let index = number(field(spec, "index"))?;
        if text(field(keys, "type"))? == "keynum" {
            let spec = field(keys, "spec")?;
            return Some(Self::Counted(index + number(field(spec, "keynumidx"))?));
        }
        Some(Self::At(index))
    }
}
