//! Tests that need the inside of a node.

pub(crate) mod simulation;
