//! A tree of maxima over an array.

/// Leaves under one node. Wide nodes take a fifteenth of the leaves' memory, and few lines of the
/// cache a question.
const WIDTH: usize = 16;

/// Level 0 has the leaves; each value of the next level is the largest of sixteen.
pub(crate) struct MaxTree<T> {
    levels: Vec<Vec<T>>,
}

impl<T: Copy + Ord> MaxTree<T> {
    /// O(n).
    pub(crate) fn new(leaves: Vec<T>) -> Self {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|below| below.len() > WIDTH) {
            let above = below
                .chunks(WIDTH)
                .filter_map(|chunk| chunk.iter().max().copied())
                .collect();
            levels.push(above);
        }
        Self { levels }
    }

    /// The largest of the leaves from `from` up to `to`, which is not one of them. O(log n).
    pub(crate) fn max(&self, mut from: usize, mut to: usize) -> Option<T> {
        let mut max = None;
        for level in &self.levels {
            let (left, right) = (from.next_multiple_of(WIDTH), to - to % WIDTH);
            if left >= right {
                return max.max(level[from..to].iter().max().copied());
            }
            max = max.max(
                level[from..left]
                    .iter()
                    .chain(&level[right..to])
                    .max()
                    .copied(),
            );
            (from, to) = (left / WIDTH, right / WIDTH);
        }
        max
    }

    /// The largest of all leaves. O(1).
    pub(crate) fn largest(&self) -> Option<T> {
        self.levels.last()?.iter().max().copied()
    }

    pub(crate) fn get(&self, leaf: usize) -> T {
        self.levels[0][leaf]
    }

    /// Changes one leaf. O(log n), less where it is not the largest of its sixteen.
    pub(crate) fn set(&mut self, leaf: usize, value: T) {
        let mut place = leaf;
        let mut value = value;
        for level in 0..self.levels.len() {
            if level > 0 && self.levels[level][place] == value {
                return;
            }
            self.levels[level][place] = value;
            let first = place - place % WIDTH;
            let to = self.levels[level].len().min(first + WIDTH);
            if let Some(&max) = self.levels[level][first..to].iter().max() {
                value = max;
            }
            place /= WIDTH;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_has_its_maximum() {
        let mut values: Vec<u32> = (0..600)
            .map(|n: u32| n.wrapping_mul(2_654_435_761) >> 20)
            .collect();
        let mut tree = MaxTree::new(values.clone());
        for (n, changed) in [(0, 9_999), (599, 0), (17, 5_000), (17, 0)] {
            values[n] = changed;
            tree.set(n, changed);
            assert_eq!(
                (tree.get(n), tree.largest()),
                (changed, values.iter().max().copied())
            );
            for from in (0..=values.len()).step_by(7) {
                for to in from..=values.len() {
                    let expected = values[from..to].iter().max().copied();
                    assert_eq!(tree.max(from, to), expected, "{from}..{to}");
                }
            }
        }
    }

    #[test]
    fn a_tree_without_leaves_has_no_maximum() {
        let tree = MaxTree::<u32>::new(Vec::new());
        assert_eq!((tree.largest(), tree.max(0, 0)), (None, None));
    }
}
