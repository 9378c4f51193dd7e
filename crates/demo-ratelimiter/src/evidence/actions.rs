use diagnosis::{ActionRisk, EvidenceBuilder, Mechanism, OperatorAction, ParamDomain};
use ratelimiter_api::{CountingMode, MAX_LIMIT};
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
    let modes = CountingMode::ALL.iter().map(ToString::to_string).collect();
    let atomic = Some(json!(CountingMode::Atomic.as_str()));
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
            .param("mode", ParamDomain::Choice { options: modes }, atomic)
            .cures(Mechanism::LoadOutranPropagation)
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
