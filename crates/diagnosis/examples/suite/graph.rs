//! The graph of calls.

use crate::rng::Rng;

/// An acyclic graph; the first entity is where users come in.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) ids: Vec<String>,
    /// What each entity calls.
    pub(crate) calls: Vec<Vec<usize>>,
    /// The callers of each entity.
    pub(crate) called_by: Vec<Vec<usize>>,
}

impl Graph {
    pub(crate) fn random(rng: &mut Rng, n: usize) -> Self {
        let mut graph = Self {
            ids: (0..n).map(|i| format!("service-{i}")).collect(),
            calls: vec![Vec::new(); n],
            called_by: vec![Vec::new(); n],
        };
        // some systems have a second way in
        let roots = 1 + usize::from(n > 8 && rng.chance(0.5));
        for i in roots..n {
            let near = i.saturating_sub(2 + n / 4);
            graph.call(near + rng.below(i - near), i);
            while rng.chance(0.3) {
                graph.call(rng.below(i), i);
            }
        }
        for root in 0..roots {
            if graph.calls[root].is_empty() {
                graph.call(root, roots + rng.below(n - roots));
            }
        }
        graph
    }

    fn call(&mut self, from: usize, to: usize) {
        if from != to && !self.calls[from].contains(&to) {
            self.calls[from].push(to);
            self.called_by[to].push(from);
        }
    }

    pub(crate) fn edges(&self) -> impl Iterator<Item = (usize, usize)> {
        self.calls
            .iter()
            .enumerate()
            .flat_map(|(from, to)| to.iter().map(move |to| (from, *to)))
    }

    pub(crate) fn roots(&self) -> Vec<usize> {
        (0..self.ids.len())
            .filter(|&i| self.called_by[i].is_empty())
            .collect()
    }

    /// Everything reached from `start` by `next`, nearest first, with the entity it was reached
    /// from.
    pub(crate) fn reached(&self, start: usize, next: &[Vec<usize>]) -> Vec<(usize, usize)> {
        let mut seen = vec![false; self.ids.len()];
        seen[start] = true;
        let mut found: Vec<(usize, usize)> = Vec::new();
        let mut at = start;
        for i in 0.. {
            for &to in &next[at] {
                if !std::mem::replace(&mut seen[to], true) {
                    found.push((to, at));
                }
            }
            let Some(&(entity, _)) = found.get(i) else {
                break;
            };
            at = entity;
        }
        found
    }
}
