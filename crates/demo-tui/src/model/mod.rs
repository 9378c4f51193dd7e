//! The story so far, from its events. No terminal, no clock.

pub(crate) mod chart;
pub(crate) mod marks;
pub(crate) mod story;
pub(crate) mod text;
