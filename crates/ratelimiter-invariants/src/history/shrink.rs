//! From some operations that prove a violation to few of them.

/// Work that a search may do, counted in steps and not in time, so that a verdict is the same on
/// every machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SearchBudget(u64);

impl SearchBudget {
    /// A million steps, and four for each of so many operations.
    pub(crate) fn new(operations: usize) -> Self {
        Self(1_000_000 + 4 * operations as u64)
    }

    /// Takes some steps off. When fewer are left it takes none and is false: a smaller search may
    /// still fit.
    pub(crate) fn take(&mut self, steps: usize) -> bool {
        let left = self.0.checked_sub(steps as u64);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    #[cfg(test)]
    pub(crate) fn of(steps: u64) -> Self {
        Self(steps)
    }
}

/// Leaves out the operations that are not needed: without any one of the rest, `proves` is false.
///
/// `proves` is true of the whole, and of every list that holds one of which it is true. It may be
/// false where its budget has ended; then the rest is larger than necessary, and still a proof.
/// Half of the list is tried first, then smaller parts: a proof of m out of n takes some m log n
/// calls.
pub(crate) fn shrink<T: Clone>(mut proof: Vec<T>, mut proves: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut part = proof.len().div_ceil(2);
    while part > 0 {
        let mut from = 0;
        while from < proof.len() {
            let to = (from + part).min(proof.len());
            let without = [&proof[..from], &proof[to..]].concat();
            if proves(&without) {
                proof = without;
            } else {
                from = to;
            }
        }
        part /= 2;
    }
    proof
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_remains() {
        let needed = [3, 40, 77];
        let proof = shrink((0..100).collect(), |rest| {
            needed.iter().all(|n| rest.contains(n))
        });
        assert_eq!(proof, needed);
    }

    #[test]
    fn budget_too_small_serves_a_smaller_search() {
        let mut budget = SearchBudget::of(10);
        assert!(!budget.take(11) && budget.take(10) && !budget.take(1));
    }
}
