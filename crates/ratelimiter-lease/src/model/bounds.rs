/// Microseconds by which a slow, a true and a fast node's clock advance in one unit of time.
const SLOW: u64 = 500;
const TRUE: u64 = 1000;
const FAST: u64 = 1500;

/// How much may happen in one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct ModelBounds {
    pub(super) units: usize,
    pub(super) requests: u8,
    pub(super) crashes: u8,
    /// Costs of the waiting checks for which a node asks.
    pub(super) sizes: &'static [u32],
    /// Rates of the nodes' clocks.
    pub(super) rates: &'static [u64],
}

impl ModelBounds {
    pub(super) const GATE: &[Self] = &[
        Self {
            units: 5,
            requests: 2,
            crashes: 1,
            sizes: &[4],
            rates: &[SLOW],
        },
        Self {
            units: 4,
            requests: 3,
            crashes: 0,
            sizes: &[2],
            rates: &[SLOW],
        },
    ];
    pub(super) const FULL: &[Self] = &[
        Self {
            units: 5,
            requests: 2,
            crashes: 1,
            sizes: &[1, 4],
            rates: &[SLOW, TRUE, FAST],
        },
        Self {
            units: 5,
            requests: 3,
            crashes: 0,
            sizes: &[2],
            rates: &[SLOW],
        },
        Self {
            units: 4,
            requests: 3,
            crashes: 1,
            sizes: &[2],
            rates: &[SLOW],
        },
    ];
}
