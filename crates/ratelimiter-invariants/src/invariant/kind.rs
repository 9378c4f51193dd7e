use ratelimiter_api::choice;

choice! {
    /// A condition that must hold of a cluster at every moment. Its word says that it does not.
    ///
    /// The order is that of a round's changes: causes before effects.
    Invariant, "invariant" {
        /// Every node can be reached and its heartbeat is not overdue.
        NodeDown = "node_down",
        /// The store answers reads.
        RedisDisconnected = "redis_disconnected",
        /// The store takes writes.
        StoreNotWritable = "store_not_writable",
        /// The store holds every admission that it confirmed.
        StoreForgot = "store_forgot",
        /// Checks are answered quickly.
        HighLatency = "high_latency",
        /// The store counts the admissions that the nodes granted.
        CounterDrift = "counter_drift",
        /// The store counts no more admissions than the limit.
        OverLimit = "over_limit",
        /// The nodes granted no more admissions than the limit.
        GhostAllowing = "ghost_allowing",
        /// The nodes spent no more of their grants than the store charged.
        Overspent = "overspent",
    }
}

choice! {
    /// The severity of a violation.
    InvariantSeverity, "severity" {
        /// The service is degraded.
        Warning = "warning",
        /// A promise is broken.
        Critical = "critical",
    }
}

impl Invariant {
    /// The severity of its violation.
    pub const fn severity(self) -> InvariantSeverity {
        match self {
            Self::NodeDown
            | Self::RedisDisconnected
            | Self::StoreForgot
            | Self::GhostAllowing
            | Self::Overspent => InvariantSeverity::Critical,
            Self::StoreNotWritable | Self::HighLatency | Self::CounterDrift | Self::OverLimit => {
                InvariantSeverity::Warning
            }
        }
    }
}
