//! Three tanks on one pipe: a small simulation whose results are not known beforehand.
//!
//! A pump pushes water into a pipe that gives a little. A valve at its end lets it into three
//! tanks, the faster the fuller the pipe is. A tap empties each tank, the faster the fuller it is.
//! Water above a brim is spilled.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

/// Flow of the pump, in litres a second.
pub(crate) const PUMP: f64 = 6.0;
/// The share of the pipe's content that an open valve lets through in a second.
const VALVE: f64 = 2.0;
/// The share of a tank's content that its tap lets out in a second.
const TAP: f64 = 0.1;
/// Size of a tank, in litres.
pub(crate) const BRIM: f64 = 28.0;
/// Shares of the tanks in the pipe's water.
const SHARES: [f64; 3] = [0.36, 0.33, 0.31];

/// All litres, and where they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Water {
    pub(crate) tanks: [f64; 3],
    pub(crate) pipe: f64,
    /// Expected content of the tanks, by the meters at pump and taps.
    pub(crate) books: f64,
    /// Litres a second into the tanks, and over their brims.
    pub(crate) arriving: f64,
    pub(crate) spilling: f64,
    pub(crate) spilled: f64,
    pub(crate) valve_shut: bool,
    pub(crate) surge: f64,
    /// The least that arrived, in litres a second, since this was last set.
    pub(crate) least_arriving: f64,
    /// Time from missing water to its detection, the last time.
    pub(crate) found_after: Option<Duration>,
}

impl Water {
    /// Lets some seconds pass.
    pub(crate) fn step(&mut self, seconds: f64) {
        let extra = self.surge.min(60.0 * seconds);
        self.surge -= extra;
        let pumped = PUMP * seconds + extra;
        self.pipe += pumped;
        let through = if self.valve_shut {
            0.0
        } else {
            self.pipe * (VALVE * seconds).min(1.0)
        };
        self.pipe -= through;
        let (mut tapped, mut spilled) = (0.0, 0.0);
        for (level, share) in self.tanks.iter_mut().zip(SHARES) {
            let out = *level * TAP * seconds;
            tapped += out;
            *level += through * share - out;
            let over = (*level - BRIM).max(0.0);
            *level -= over;
            spilled += over;
        }
        // The books hold the pumped and the tapped water, and not the spilled.
        self.books += pumped - tapped;
        self.spilled += spilled;
        let smooth = |old: f64, new: f64| old + (new / seconds - old) * (seconds / 0.3).min(1.0);
        self.arriving = smooth(self.arriving, through - spilled);
        self.spilling = smooth(self.spilling, spilled);
        self.least_arriving = self.least_arriving.min(self.arriving);
    }

    pub(crate) fn in_tanks(&self) -> f64 {
        self.tanks.iter().sum()
    }

    pub(crate) fn missing(&self) -> f64 {
        self.books - self.in_tanks()
    }
}

/// The tanks, shared by all tasks.
#[derive(Clone, Debug)]
pub(crate) struct Works(Arc<Mutex<Water>>);

impl Works {
    /// The state after a long time without a change.
    pub(crate) fn new() -> Self {
        let pipe = PUMP / VALVE;
        let tanks = SHARES.map(|share| PUMP * share / TAP);
        let books = tanks.iter().sum();
        Self(Arc::new(Mutex::new(Water {
            tanks,
            pipe,
            books,
            arriving: PUMP,
            spilling: 0.0,
            spilled: 0.0,
            valve_shut: false,
            surge: 0.0,
            least_arriving: PUMP,
            found_after: None,
        })))
    }

    pub(crate) fn water(&self) -> MutexGuard<'_, Water> {
        self.0.lock()
    }

    /// Shuts the valve until the guard is dropped.
    #[must_use]
    pub(crate) fn shut_valve(&self) -> ShutValve {
        let mut water = self.water();
        water.valve_shut = true;
        water.least_arriving = water.arriving;
        drop(water);
        ShutValve(self.clone())
    }

    /// Corrects the books by the spilled water.
    pub(crate) fn book_the_spill(&self) -> f64 {
        let mut water = self.water();
        water.books -= water.spilled;
        std::mem::take(&mut water.spilled)
    }
}

/// A valve that is shut, and opens when this is dropped.
pub(crate) struct ShutValve(Works);

impl Drop for ShutValve {
    fn drop(&mut self) {
        self.0.water().valve_shut = false;
    }
}
