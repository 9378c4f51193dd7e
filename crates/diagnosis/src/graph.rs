//! The entities that an entity can affect.
//!
//! ```text
//!   front ──depends on──▶ worker ──depends on──▶ base
//!
//!   a fault travels back to the dependants:   base ─▶ worker ─▶ front
//!   load travels on to the dependencies:      front ─▶ worker ─▶ base,
//!                                             and from there back like a fault
//! ```

use std::collections::{HashMap, VecDeque};

use crate::evidence::Topology;

/// How an effect leaves its cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EffectKind {
    /// To all that depend on the cause.
    Fault,
    /// To all that the cause depends on, and from there to all that depend on those.
    Load,
}

/// The topology, indexed.
#[derive(Debug)]
pub(crate) struct DependencyGraph<'a> {
    ids: Vec<&'a str>,
    index: HashMap<&'a str, usize>,
    dependencies: Vec<Vec<usize>>,
    dependants: Vec<Vec<usize>>,
    /// For each entity, a number that it shares with all that dependencies join it with.
    group: Vec<usize>,
}

impl<'a> DependencyGraph<'a> {
    pub(crate) fn new(topology: &'a Topology) -> Self {
        let ids: Vec<&str> = topology.entities.iter().map(|e| e.id.as_str()).collect();
        let index: HashMap<&str, usize> = ids.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let mut dependencies = vec![Vec::new(); ids.len()];
        let mut dependants = vec![Vec::new(); ids.len()];
        for edge in &topology.edges {
            if let (Some(&from), Some(&to)) =
                (index.get(edge.from.as_str()), index.get(edge.to.as_str()))
                && from != to
            {
                dependencies[from].push(to);
                dependants[to].push(from);
            }
        }
        let group = groups(&dependencies, &dependants);
        Self {
            ids,
            index,
            dependencies,
            dependants,
            group,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn id(&self, entity: usize) -> &'a str {
        self.ids[entity]
    }

    pub(crate) fn index(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    pub(crate) fn dependencies(&self, entity: usize) -> &[usize] {
        &self.dependencies[entity]
    }

    pub(crate) fn dependants(&self, entity: usize) -> &[usize] {
        &self.dependants[entity]
    }

    /// Everything that the dependants of `entity` depend on.
    pub(crate) fn siblings(&self, entity: usize) -> Vec<usize> {
        let dependants = self.dependants[entity].iter();
        dependants
            .flat_map(|&d| &self.dependencies[d])
            .copied()
            .collect()
    }

    /// Everything `entity` depends on, directly or not, without itself.
    pub(crate) fn below(&self, entity: usize) -> Vec<usize> {
        closure(vec![entity], &self.dependencies).split_off(1)
    }

    /// Everything that depends on `entity`, directly or not, without itself.
    pub(crate) fn above(&self, entity: usize) -> Vec<usize> {
        closure(vec![entity], &self.dependants).split_off(1)
    }

    /// Whether dependencies join two entities, in either direction and by way of any other.
    pub(crate) fn joined(&self, a: usize, b: usize) -> bool {
        self.group[a] == self.group[b]
    }

    /// Every entity an effect of `cause` can reach, `cause` included.
    pub(crate) fn reach(&self, cause: usize, carries: EffectKind) -> Vec<bool> {
        let mut from = vec![cause];
        if carries == EffectKind::Load {
            from = closure(from, &self.dependencies);
        }
        let mut reached = vec![false; self.len()];
        for entity in closure(from, &self.dependants) {
            reached[entity] = true;
        }
        reached
    }

    /// The shortest way from `cause` to `effect`, both included; among equally short ones, through
    /// the entities for which `cost` is least.
    pub(crate) fn path(
        &self,
        cause: usize,
        effect: usize,
        carries: EffectKind,
        cost: impl Fn(usize) -> i64,
    ) -> Option<Vec<usize>> {
        // breadth first; each step with the position of the step before it. An entity may be met
        // twice: on the way down with the load, and on the way back up
        let mut seen = vec![[false; 2]; self.len()];
        let mut order = vec![(cause, None)];
        let down = carries == EffectKind::Load;
        seen[cause][usize::from(down)] = true;
        let mut queue = VecDeque::from([(0, down)]);
        while let Some((position, down)) = queue.pop_front() {
            let at = order[position].0;
            let mut next: Vec<(usize, bool)> =
                self.dependants[at].iter().map(|&to| (to, false)).collect();
            if down {
                next.extend(self.dependencies[at].iter().map(|&to| (to, true)));
            }
            next.sort_by_key(|(to, down)| (cost(*to), !*down));
            for (to, down) in next {
                if !std::mem::replace(&mut seen[to][usize::from(down)], true) {
                    queue.push_back((order.len(), down));
                    order.push((to, Some(position)));
                }
            }
        }
        let mut at = order.iter().position(|(entity, _)| *entity == effect)?;
        let mut path = vec![effect];
        while let Some(previous) = order[at].1 {
            at = previous;
            path.push(order[at].0);
        }
        path.reverse();
        Some(path)
    }
}

/// Everything reached from `found` by `next`, these themselves first.
fn closure(mut found: Vec<usize>, next: &[Vec<usize>]) -> Vec<usize> {
    let mut seen = vec![false; next.len()];
    found.iter().for_each(|&entity| seen[entity] = true);
    let mut queue = found.clone();
    while let Some(at) = queue.pop() {
        for &to in &next[at] {
            if !std::mem::replace(&mut seen[to], true) {
                found.push(to);
                queue.push(to);
            }
        }
    }
    found
}

fn groups(dependencies: &[Vec<usize>], dependants: &[Vec<usize>]) -> Vec<usize> {
    let both: Vec<Vec<usize>> = dependencies
        .iter()
        .zip(dependants)
        .map(|(to, from)| [to.as_slice(), from].concat())
        .collect();
    let mut group = vec![None; both.len()];
    for entity in 0..both.len() {
        if group[entity].is_none() {
            closure(vec![entity], &both)
                .into_iter()
                .for_each(|e| group[e] = Some(entity));
        }
    }
    group.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Entity, TopologyEdge};

    fn topology(edges: &[(&str, &str)]) -> Topology {
        let mut ids: Vec<&str> = edges.iter().flat_map(|(a, b)| [*a, *b]).collect();
        ids.sort_unstable();
        ids.dedup();
        Topology {
            entities: ids.into_iter().map(|id| Entity::new(id, "part")).collect(),
            edges: edges
                .iter()
                .map(|(from, to)| TopologyEdge {
                    from: (*from).into(),
                    to: (*to).into(),
                    rel: String::new(),
                })
                .collect(),
        }
    }

    #[test]
    fn a_fault_travels_to_the_dependants_only() {
        let topology = topology(&[
            ("front", "w1"),
            ("front", "w2"),
            ("w1", "base"),
            ("w2", "base"),
        ]);
        let graph = DependencyGraph::new(&topology);
        let at = |id| graph.index(id).expect("known");
        let reach = graph.reach(at("w1"), EffectKind::Fault);
        assert!(reach[at("front")] && reach[at("w1")]);
        assert!(!reach[at("w2")] && !reach[at("base")]);
    }

    #[test]
    fn load_travels_down_and_its_effects_back_up() {
        let topology = topology(&[
            ("front", "w1"),
            ("item", "w1"),
            ("w1", "base"),
            ("other", "base"),
        ]);
        let graph = DependencyGraph::new(&topology);
        let at = |id| graph.index(id).expect("known");
        assert!(
            graph
                .reach(at("front"), EffectKind::Load)
                .into_iter()
                .all(|r| r)
        );
        let path = graph
            .path(at("front"), at("item"), EffectKind::Load, |_| 0)
            .expect("a path");
        assert_eq!(
            path.into_iter().map(|i| graph.id(i)).collect::<Vec<_>>(),
            ["front", "w1", "item"]
        );
        assert!(
            graph
                .path(at("front"), at("item"), EffectKind::Fault, |_| 0)
                .is_none()
        );
    }

    #[test]
    fn cycles_end() {
        let topology = topology(&[("a", "b"), ("b", "c"), ("c", "a")]);
        let graph = DependencyGraph::new(&topology);
        assert_eq!(graph.reach(0, EffectKind::Load), [true; 3]);
        assert_eq!(graph.below(0).len(), 2);
    }
}
