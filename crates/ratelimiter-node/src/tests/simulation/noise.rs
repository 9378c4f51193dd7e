//! Randomness by seed that does not depend on the order of its uses: without one fault, the rest of
//! a run stays as it was.

/// Random numbers, each by its two names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn of(self, first: u64, second: u64) -> u64 {
        let mixed = mix(self.0 ^ mix(first)) ^ second;
        mix(mixed)
    }

    /// The delay of a message: one step to three, and as a rule less of the extra time than of
    /// none.
    pub(super) fn delay(self, message: u64, step_us: u64, extra_us: u64) -> u64 {
        let number = self.of(message, 1);
        let steps = 1 + number % 8 / 3;
        let extra = if extra_us > 0 {
            (number >> 8) % extra_us
        } else {
            0
        };
        steps * step_us + extra
    }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
