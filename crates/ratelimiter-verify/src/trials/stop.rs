//! The conditions under which a torture ends early: others may use the system too.

use std::str::FromStr;
use std::time::Duration;

use parking_lot::Mutex;
use ratelimiter_api::{Operation, Outcome};
use ratelimiter_target::{Authorities, Check, HttpForm, HttpTarget, Reach, Target as _};
use tokio_util::sync::CancellationToken;

/// The least number of checks of which a share is taken.
const LEAST: u64 = 20;

/// One condition.
#[derive(Clone, Debug)]
pub(super) enum StopRule {
    /// The share of all checks of a trial that were neither allowed nor denied.
    Errors(f64),
    /// The latency of a check that was decided.
    Latency(Duration),
    /// A URL that no longer answers 200 to 299.
    Health(String),
}

impl FromStr for StopRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected errors=20%, latency=500ms or health=URL".to_owned();
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        match name {
            "errors" => {
                let share = value.strip_suffix('%').and_then(|n| n.parse::<f64>().ok());
                share
                    .map(|share| Self::Errors(share / 100.0))
                    .ok_or_else(wrong)
            }
            "latency" => humantime::parse_duration(value)
                .map(Self::Latency)
                .map_err(|error| error.to_string()),
            "health" => Ok(Self::Health(value.to_owned())),
            _ => Err(wrong()),
        }
    }
}

/// Watches the checks of a torture, and stops them.
#[derive(Debug, Default)]
pub(super) struct StopWatch {
    rules: Vec<StopRule>,
    token: CancellationToken,
    /// Checks of this trial, and those without a decision.
    seen: Mutex<(u64, u64)>,
    why: Mutex<Option<String>>,
}

impl StopWatch {
    pub(super) fn new(rules: Vec<StopRule>) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// Begins a trial.
    pub(super) fn begin(&self) {
        *self.seen.lock() = (0, 0);
    }

    /// No check is sent once this is cancelled.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.token.is_cancelled()
    }

    /// The reason of the stop.
    pub(super) fn why(&self) -> Option<String> {
        self.why.lock().clone()
    }

    /// Ends all checks.
    pub(super) fn stop(&self, why: String) {
        self.why.lock().get_or_insert(why);
        self.token.cancel();
    }

    /// Looks at one check.
    pub(super) fn note(&self, operation: &Operation) {
        let failed = matches!(operation.outcome, Outcome::Failed | Outcome::Unknown);
        let (all, errors) = {
            let mut seen = self.seen.lock();
            seen.0 += 1;
            seen.1 += u64::from(failed);
            *seen
        };
        let latency = operation.complete - operation.invoke;
        for rule in &self.rules {
            match rule {
                StopRule::Errors(most) if all >= LEAST && errors as f64 > most * all as f64 => {
                    self.stop(format!("{errors} of {all} checks were not decided"));
                }
                StopRule::Latency(most) if !failed && latency > *most => {
                    self.stop(format!("a check took {} ms", latency.as_millis()));
                }
                _ => {}
            }
        }
    }

    /// Asks the health URLs twice a second, until one is not well.
    pub(super) async fn watch_health(&self, reach: Reach) -> anyhow::Result<()> {
        let mut targets = Vec::new();
        for rule in &self.rules {
            if let StopRule::Health(url) = rule {
                let (form, trust) = (HttpForm::default(), Authorities::default());
                targets.push(HttpTarget::new(
                    std::slice::from_ref(url),
                    form,
                    reach,
                    &trust,
                )?);
            }
        }
        let check = Check::new(
            ratelimiter_api::Key::new("health")?,
            1,
            Duration::from_secs(2),
        );
        loop {
            for target in &targets {
                let outcome = match target.connect(0).await {
                    Ok(mut connection) => connection.check(&check).await.outcome,
                    Err(_) => Outcome::Failed,
                };
                if outcome != Outcome::Allowed {
                    self.stop(format!("{} is not well", target.describe()));
                    return Ok(());
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use ratelimiter_api::{Key, NodeId};

    use super::*;

    fn watch(rule: &str) -> StopWatch {
        let watch = StopWatch::new(vec![rule.parse().unwrap()]);
        watch.begin();
        watch
    }

    /// A check that took so long, milliseconds.
    fn check(outcome: Outcome, took: u64) -> Operation {
        let (key, node) = (Key::new("k").unwrap(), NodeId::new("n"));
        let took = Duration::from_millis(took);
        Operation::new(key, node, Duration::ZERO, took, outcome)
    }

    #[test]
    fn share_of_errors_is_of_twenty_checks_at_least() {
        let watch = watch("errors=20%");
        (0..5).for_each(|_| watch.note(&check(Outcome::Failed, 1)));
        (0..14).for_each(|_| watch.note(&check(Outcome::Denied, 1)));
        assert!(!watch.is_stopped());
        watch.note(&check(Outcome::Allowed, 1));
        assert_eq!(watch.why().unwrap(), "5 of 20 checks were not decided");
        assert!(watch.token().is_cancelled());
    }

    #[test]
    fn trials_have_their_own_share() {
        let watch = watch("errors=20%");
        (0..19).for_each(|_| watch.note(&check(Outcome::Unknown, 1)));
        watch.begin();
        (0..25).for_each(|_| watch.note(&check(Outcome::Denied, 1)));
        assert!(!watch.is_stopped());
    }

    #[test]
    fn latency_is_of_decided_checks() {
        let watch = watch("latency=500ms");
        watch.note(&check(Outcome::Failed, 900));
        watch.note(&check(Outcome::Allowed, 500));
        assert!(!watch.is_stopped());
        watch.note(&check(Outcome::Denied, 501));
        assert_eq!(watch.why().unwrap(), "a check took 501 ms");
    }

    #[test]
    fn wrong_conditions_are_refused() {
        for text in ["errors=20", "errors=many%", "latency=5", "load=1", "health"] {
            assert!(text.parse::<StopRule>().is_err(), "{text}");
        }
    }
}
