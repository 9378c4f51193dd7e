//! The terminal itself: everything in this crate that does I/O.

pub(crate) mod claim;
pub(crate) mod display;
pub(crate) mod face;
pub(crate) mod keys;
pub(crate) mod pacer;
