//! The place of a command's first key.

use redis::{FromRedisValue, Value, from_redis_value_ref};

use crate::command::Command;

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
        let by_specification =
            specifications.and_then(|all| Self::specified(all.as_sequence()?.first()?));
        by_specification.unwrap_or(match first {
            0 => Self::Nowhere,
            place => Self::At(place),
        })
    }

    fn specified(specification: &Value) -> Option<Self> {
        let number = |value, name| usize::try_from(field::<i64>(value, name)?).ok();
        let begin = &field(specification, "begin_search")?;
        let keys = &field(specification, "find_keys")?;
        let spec = &field(begin, "spec")?;
        if field::<String>(begin, "type")? == "keyword" {
            let word: String = field(spec, "keyword")?;
            return Some(Self::Behind(word.into(), number(spec, "startfrom")?));
        }
        let index = number(spec, "index")?;
        if field::<String>(keys, "type")? == "keynum" {
            let number = number(&field(keys, "spec")?, "keynumidx")?;
            return Some(Self::Counted(index + number));
        }
        Some(Self::At(index))
    }
}

/// The value behind a name, in an array of names and values.
fn field<T: FromRedisValue>(value: &Value, name: &str) -> Option<T> {
    let mut fields = value.as_map_iter()?;
    let (_, found) = fields.find(|(other, _)| {
        from_redis_value_ref::<String>(other).is_ok_and(|other| other == name)
    })?;
    from_redis_value_ref(found).ok()
}
