//! The terminal itself: everything in this crate that does I/O.

pub(crate) mod display;
pub(crate) mod guard;
pub(crate) mod keys;
pub(crate) mod terminal;
pub(crate) mod timer;
