//! A tree of maxima over an array that does not change.

/// The parent of node `n` is `n / 2`; the leaves are the second half.
pub(crate) struct MaxTree<T> {
    nodes: Vec<T>,
}

impl<T: Copy + Ord> MaxTree<T> {
    /// O(n).
    pub(crate) fn new(leaves: &[T]) -> Self {
        let mut nodes = [leaves, leaves].concat();
        for parent in (1..leaves.len()).rev() {
            nodes[parent] = nodes[2 * parent].max(nodes[2 * parent + 1]);
        }
        Self { nodes }
    }

    /// The largest of the leaves from `from` up to `to`, which is not one of them. O(log n).
    pub(crate) fn max(&self, from: usize, to: usize) -> Option<T> {
        let leaves = self.nodes.len() / 2;
        let (mut from, mut to) = (from + leaves, to + leaves);
        let mut max = None;
        while from < to {
            if from % 2 == 1 {
                max = max.max(Some(self.nodes[from]));
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                max = max.max(Some(self.nodes[to]));
            }
            from /= 2;
            to /= 2;
        }
        max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_has_its_maximum() {
        let values = [3, 1, 4, 1, 5, 9, 2];
        let tree = MaxTree::new(&values);
        for from in 0..=values.len() {
            for to in from..=values.len() {
                assert_eq!(tree.max(from, to), values[from..to].iter().copied().max(), "{from}..{to}");
            }
        }
    }
}
