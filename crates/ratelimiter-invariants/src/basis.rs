use crate::memory::Memory;
use crate::{Reading, Thresholds};

/// All that a round is judged by.
pub(crate) struct Basis<'a> {
    pub(crate) reading: &'a Reading<'a>,
    pub(crate) memory: &'a Memory,
    pub(crate) thresholds: &'a Thresholds,
}
