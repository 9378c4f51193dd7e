//! The share of the fitting commands that a rule applies to, by their number.

use std::num::NonZeroU64;

/// Which of the commands that fit a rule it applies to, counted from 1 over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Occurrence {
    /// Only this one.
    pub(crate) nth: Option<NonZeroU64>,
    /// Not these first ones.
    pub(crate) skip: u64,
    /// Of those behind them, each whose number is a multiple of this.
    pub(crate) every: Option<NonZeroU64>,
    /// Of those, only the first so many.
    pub(crate) first: Option<NonZeroU64>,
}

impl Occurrence {
    /// Whether the rule applies to command `number`.
    pub(crate) fn takes(&self, number: u64) -> bool {
        let behind = number.saturating_sub(self.skip);
        let every = self.every.map_or(1, NonZeroU64::get);
        self.nth.is_none_or(|nth| nth.get() == number)
            && behind > 0
            && behind.is_multiple_of(every)
            && self.first.is_none_or(|first| behind / every <= first.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_combine() {
        let number = NonZeroU64::new;
        let all = Occurrence::default();
        for (which, taken) in [
            (all, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
            (
                Occurrence {
                    nth: number(3),
                    ..all
                },
                vec![3],
            ),
            (
                Occurrence {
                    first: number(2),
                    ..all
                },
                vec![1, 2],
            ),
            (
                Occurrence {
                    every: number(3),
                    ..all
                },
                vec![3, 6, 9],
            ),
            (Occurrence { skip: 7, ..all }, vec![8, 9]),
            (
                Occurrence {
                    skip: 1,
                    every: number(3),
                    first: number(2),
                    ..all
                },
                vec![4, 7],
            ),
        ] {
            let found: Vec<u64> = (1..10).filter(|n| which.takes(*n)).collect();
            assert_eq!(found, taken, "{which:?}");
        }
    }
}
