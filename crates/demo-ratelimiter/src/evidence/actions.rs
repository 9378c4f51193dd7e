use diagnosis::{ActionRisk, EvidenceBuilder, Mechanism, OperatorAction, ParamDomain};
use ratelimiter_api::{CountingMode, MAX_LIMIT, StoreFailurePolicy};
use serde_json::json;

use super::STORE;

/// The actions of an operator, as in a runbook.
pub(crate) fn catalogue(
    mut builder: EvidenceBuilder,
    nodes: &[String],
    keys: &[String],
) -> EvidenceBuilder {
    let on = |action: OperatorAction, entities: &[String]| {
        entities.iter().fold(action, OperatorAction::touches)
    };
    let atomic = Some(json!(CountingMode::Atomic.as_str()));
    let leased = Some(json!(CountingMode::Leased.as_str()));
    let deny = Some(json!(StoreFailurePolicy::Deny.to_string()));
    builder = builder
        .action(
            OperatorAction::new(
                "unpause",
                "let the store take writes again (CLIENT UNPAUSE)",
            )
            .touches(STORE)
            .cures(Mechanism::StoppedAcceptingChanges),
        )
        .action(
            OperatorAction::new("restart-store", "start the store again")
                .touches(STORE)
                .cures(Mechanism::StoppedAnswering)
                .cures(Mechanism::SlowedDown)
                .risk(ActionRisk::High)
                .irreversible(),
        )
        .action(
            on(
                OperatorAction::new(
                    "counting",
                    "count a key in another mode; atomic asks the store at every check",
                ),
                keys,
            )
            .param("mode", choice(&CountingMode::ALL), atomic)
            .cures(Mechanism::LoadOutranPropagation)
            .risk(ActionRisk::Medium),
        )
        .action(
            on(
                OperatorAction::new(
                    "grants",
                    "count a key by grants of the store, and deny without one: it admits too \
                     little while the store takes no writes, and never too much",
                ),
                keys,
            )
            .param("mode", choice(&[CountingMode::Leased]), leased)
            .param(
                "on_store_failure",
                choice(&[StoreFailurePolicy::Deny]),
                deny,
            )
            .cures(Mechanism::StoppedAcceptingChanges)
            .risk(ActionRisk::Medium),
        )
        .action(
            on(OperatorAction::new("limit", "set the limit of a key"), keys)
                .param(
                    "admissions",
                    ParamDomain::Number {
                        min: 1.0,
                        max: f64::from(MAX_LIMIT),
                    },
                    None,
                )
                .risk(ActionRisk::Medium),
        )
        .action(
            on(
                OperatorAction::new(
                    "previous-limit",
                    "set the limit of a key back to what it was",
                ),
                keys,
            )
            .cures(Mechanism::ConfigurationChanged)
            .risk(ActionRisk::Medium),
        )
        .action(
            on(
                OperatorAction::new("reset", "begin a new counter for a key"),
                keys,
            )
            .risk(ActionRisk::High)
            .irreversible(),
        );
    for node in nodes {
        builder = builder.action(
            OperatorAction::new(format!("restart-{node}"), format!("start {node} again"))
                .touches(node)
                .cures(Mechanism::StoppedAnswering)
                .cures(Mechanism::Restarted)
                .cures(Mechanism::LostPath)
                .risk(ActionRisk::Medium)
                .irreversible(),
        );
    }
    builder
}

fn choice<T: ToString, const N: usize>(options: &[T; N]) -> ParamDomain {
    let options = options.iter().map(ToString::to_string).collect();
    ParamDomain::Choice { options }
}
