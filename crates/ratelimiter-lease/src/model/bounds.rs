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
    /// Losses of the ledger.
    pub(super) losses: u8,
    /// Whether the store's clock may step.
    pub(super) steps: bool,
    /// Whether the limit may be lowered.
    pub(super) lowers: bool,
    /// Costs of the waiting checks for which a node asks.
    pub(super) sizes: &'static [u32],
    /// Rates of the nodes' clocks.
    pub(super) rates: &'static [u64],
}

impl ModelBounds {
    /// Two requests on slow clocks, and a store that loses and changes nothing.
    const SMALL: Self = Self {
        units: 5,
        requests: 2,
        crashes: 0,
        losses: 0,
        steps: false,
        lowers: false,
        sizes: &[4],
        rates: &[SLOW],
    };
    const LOSS: Self = Self {
        crashes: 1,
        losses: 1,
        ..Self::SMALL
    };
    const STEP: Self = Self {
        steps: true,
        ..Self::SMALL
    };
    const LOWER: Self = Self {
        units: 4,
        lowers: true,
        ..Self::SMALL
    };

    pub(super) const GATE: &[Self] = &[
        Self {
            crashes: 1,
            ..Self::SMALL
        },
        Self::LOSS,
        Self::STEP,
        Self::LOWER,
        // The largest last: most mutants are caught before.
        Self {
            units: 4,
            requests: 3,
            sizes: &[2],
            ..Self::SMALL
        },
    ];
    pub(super) const FULL: &[Self] = &[
        Self {
            crashes: 1,
            sizes: &[1, 4],
            rates: &[SLOW, TRUE, FAST],
            ..Self::SMALL
        },
        Self {
            requests: 3,
            sizes: &[2],
            ..Self::SMALL
        },
        Self {
            units: 4,
            requests: 3,
            crashes: 1,
            sizes: &[2],
            ..Self::SMALL
        },
        Self {
            units: 7,
            losses: 2,
            ..Self::LOSS
        },
        Self {
            crashes: 1,
            rates: &[SLOW, FAST],
            ..Self::STEP
        },
        Self {
            units: 5,
            requests: 3,
            sizes: &[2],
            ..Self::LOWER
        },
    ];
}
