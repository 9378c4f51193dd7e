//! One invariant a file: its condition, why it raises no false alarm, its numbers, and its story as
//! tests.

mod counter_drift;
mod ghost_allowing;
mod high_latency;
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
pub use kind::{Invariant, InvariantSeverity};
pub use node_down::NodeDown;
pub use over_limit::OverLimit;
pub use overspent::Overspent;
pub use redis_disconnected::RedisDisconnected;
pub use store_forgot::StoreForgot;
pub use store_not_writable::StoreNotWritable;

use crate::judgement::{Judgement, RoundContext};

/// Judges every subject of which a round shows anything.
pub(crate) fn judge(invariant: Invariant, context: &RoundContext<'_>) -> Vec<Judgement> {
    match invariant {
        Invariant::NodeDown => node_down::judge(context),
        Invariant::RedisDisconnected => redis_disconnected::judge(context),
        Invariant::StoreNotWritable => store_not_writable::judge(context),
        Invariant::StoreForgot => context.judge_keys(store_forgot::judge),
        Invariant::HighLatency => high_latency::judge(context),
        Invariant::CounterDrift => context.judge_keys(counter_drift::judge),
        Invariant::OverLimit => context.judge_keys(over_limit::judge),
        Invariant::GhostAllowing => context.judge_keys(ghost_allowing::judge),
        Invariant::Overspent => context.judge_keys(overspent::judge),
    }
}
