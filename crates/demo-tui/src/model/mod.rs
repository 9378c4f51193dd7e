//! What is known: the story so far, as its events told it. No terminal, no clock.

pub(crate) mod chart;
pub(crate) mod marks;
pub(crate) mod story;
pub(crate) mod text;
