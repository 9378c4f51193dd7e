//! The parts that all formats share: fields of a line, and the reasons to refuse one.

use std::borrow::Cow;

/// The most fields that a format may want.
pub(super) const MOST_FIELDS: usize = 16;

/// Fields as written, in the order in which a format wants them. A missing field is empty.
pub(super) type Fields<'l> = [&'l str; MOST_FIELDS];

/// The text of a field, without the escapes of its format.
pub(super) type FieldText = fn(&str) -> Cow<'_, str>;

/// A record that is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RowDefect {
    /// A field that should hold a time, or a duration, holds none.
    #[error("{0} is no time that this format can have")]
    Time(&'static str),
    /// A check that ends before it begins.
    #[error("its end is before its begin: the times must be of one monotonic clock")]
    Backwards,
    /// A cost that is no whole number from 1.
    #[error("cost is no whole number, at least 1")]
    Cost,
    /// A word for an outcome that is not known.
    #[error("the outcome is none of the words allowed, denied, failed and unknown, nor nginx's")]
    Outcome,
    /// A time without a zone that goes back by half an hour and more.
    #[error(
        "a local time went back by more than half an hour, as where daylight saving ends: log the \
         time with its zone, or as seconds since 1970"
    )]
    LocalTime,
    /// A line that the format does not describe.
    #[error("{0}")]
    Line(String),
}
