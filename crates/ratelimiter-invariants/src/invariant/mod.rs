//! One invariant a file: its condition, why it raises no false alarm, its evidence, and its story
//! as tests.

mod counter_drift;
mod ghost_allowing;
mod high_latency;
mod judgement;
mod kind;
mod node_down;
mod over_limit;
mod overspent;
mod redis_disconnected;
mod store_forgot;
mod store_not_writable;

pub use counter_drift::CounterDrift;
pub use ghost_allowing::GhostAllowing;
pub use high_latency::HighLatency;
pub(crate) use judgement::{Condition, Excuse, Judgement};
pub use kind::{Invariant, Severity};
pub use node_down::NodeDown;
pub use over_limit::OverLimit;
pub use overspent::Overspent;
pub use redis_disconnected::RedisDisconnected;
pub use store_forgot::StoreForgot;
pub use store_not_writable::StoreNotWritable;

use crate::Evidence;
use crate::basis::Basis;

/// Judges every subject of which a round shows anything.
pub(crate) fn judge(invariant: Invariant, basis: &Basis<'_>) -> Vec<Judgement<Evidence>> {
    fn named<E>(
        judgements: Vec<Judgement<E>>,
        evidence: fn(E) -> Evidence,
    ) -> Vec<Judgement<Evidence>> {
        judgements
            .into_iter()
            .map(|judgement| judgement.map(evidence))
            .collect()
    }
    match invariant {
        Invariant::NodeDown => named(node_down::judge(basis), Evidence::NodeDown),
        Invariant::RedisDisconnected => named(
            redis_disconnected::judge(basis),
            Evidence::RedisDisconnected,
        ),
        Invariant::StoreNotWritable => {
            named(store_not_writable::judge(basis), Evidence::StoreNotWritable)
        }
        Invariant::StoreForgot => named(store_forgot::judge(basis), Evidence::StoreForgot),
        Invariant::HighLatency => named(high_latency::judge(basis), Evidence::HighLatency),
        Invariant::CounterDrift => named(counter_drift::judge(basis), Evidence::CounterDrift),
        Invariant::OverLimit => named(over_limit::judge(basis), Evidence::OverLimit),
        Invariant::GhostAllowing => named(ghost_allowing::judge(basis), Evidence::GhostAllowing),
        Invariant::Overspent => named(overspent::judge(basis), Evidence::Overspent),
    }
}
