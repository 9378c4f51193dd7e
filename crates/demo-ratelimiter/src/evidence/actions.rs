use diagnosis::{Action, Domain, EvidenceBuilder, Mechanism, Risk};
use ratelimiter_api::{CountingMode, MAX_LIMIT};
use serde_json::json;

use super::STORE;

/// What an operator can do, as the runbook has it.
pub(crate) fn catalogue(
    mut builder: EvidenceBuilder,
    nodes: &[String],
    keys: &[String],
) -> EvidenceBuilder {
    let on = |action: Action, entities: &[String]| entities.iter().fold(action, Action::touches);
    let modes = CountingMode::ALL.iter().map(ToString::to_string).collect();
    let atomic = Some(json!(CountingMode::Atomic.as_str()));
    builder = builder
        .action(
            Action::new(
                "unpause",
                "let the store take writes again (CLIENT UNPAUSE)",
            )
            .touches(STORE)
            .cures(Mechanism::StoppedAcceptingChanges),
        )
        .action(
            Action::new("restart-store", "start the store again")
                .touches(STORE)
                .cures(Mechanism::StoppedAnswering)
                .cures(Mechanism::SlowedDown)
                .risk(Risk::High)
                .irreversible(),
        )
        .action(
            on(
                Action::new(
                    "counting",
                    "count a key in another mode; atomic asks the store at every check",
                ),
                keys,
            )
            .param("mode", Domain::Choice { options: modes }, atomic)
            .cures(Mechanism::LoadOutranPropagation)
            .risk(Risk::Medium),
        )
        .action(
            on(Action::new("limit", "set the limit of a key"), keys)
                .param(
                    "admissions",
                    Domain::Number {
                        min: 1.0,
                        max: f64::from(MAX_LIMIT),
                    },
                    None,
                )
                .risk(Risk::Medium),
        )
        .action(
            on(
                Action::new(
                    "previous-limit",
                    "set the limit of a key back to what it was",
                ),
                keys,
            )
            .cures(Mechanism::ConfigurationChanged)
            .risk(Risk::Medium),
        )
        .action(
            on(Action::new("reset", "begin a new counter for a key"), keys)
                .risk(Risk::High)
                .irreversible(),
        );
    for node in nodes {
        builder = builder.action(
            Action::new(format!("restart-{node}"), format!("start {node} again"))
                .touches(node)
                .cures(Mechanism::StoppedAnswering)
                .cures(Mechanism::Restarted)
                .cures(Mechanism::LostPath)
                .risk(Risk::Medium)
                .irreversible(),
        );
    }
    builder
}
