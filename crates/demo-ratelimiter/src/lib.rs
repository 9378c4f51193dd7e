//! The part of the demo that is more than its program: the cluster as evidence for a diagnosis.

pub mod evidence;
