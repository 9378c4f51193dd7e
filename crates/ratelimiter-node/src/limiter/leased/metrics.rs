use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use ratelimiter_lease::GrantAnswer;

use super::ledger::LedgerAnswer;
use crate::limiter::NoDecision;

/// Seconds; around a round trip on loopback, and up to the longest store timeout.
const GRANT_BUCKETS: [f64; 8] = [0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 1.0, 10.0];

/// Requests for grants, for Prometheus.
#[derive(Clone, Debug)]
pub(crate) struct GrantMetrics {
    requests: Family<[(&'static str, &'static str); 1], Counter>,
    seconds: Histogram,
}

impl GrantMetrics {
    pub(super) fn new() -> Self {
        Self {
            requests: Family::default(),
            seconds: Histogram::new(GRANT_BUCKETS),
        }
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "grant_requests",
            "Requests for grants, by answer",
            self.requests.clone(),
        );
        let seconds = self.seconds.clone();
        registry.register_with_unit(
            "grant_duration",
            "Time from request to grant",
            Unit::Seconds,
            seconds,
        );
    }

    /// A request was answered, or failed.
    pub(super) fn record(&self, result: &Result<LedgerAnswer, NoDecision>, took: Duration) {
        let answer = match result {
            Ok(LedgerAnswer::Answered(GrantAnswer::Granted { .. })) => {
                self.seconds.observe(took.as_secs_f64());
                "granted"
            }
            Ok(_) => "denied",
            Err(_) => "failed",
        };
        self.requests.get_or_create(&[("answer", answer)]).inc();
    }
}
