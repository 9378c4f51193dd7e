//! An incident, a model asked about it over the wire, and its answers.

use std::time::Duration;

use diagnosis::{
    EngineKind, Evidence,
    llm::{AnswerProgress, ApiKey, LlmConfig, LlmEngine, ModelAnswer},
    offline, text,
};
use serde_json::{Value, json};

use super::{
    model::{Format, Reply, Server},
    system::{Fault, evidence, run},
};

pub(crate) const KEY: &str = "sk-test-4711-do-not-tell";
/// Stands in everything the model says, so that it can be told whether any of it was shown.
pub(crate) const MARK: &str = "Hear me";

pub(crate) fn incident() -> Evidence {
    evidence(run(3, Fault::NoChanges(30.0), 20.0, 30.0)).expect("evidence")
}

/// An answer that passes, in a model's words.
pub(crate) fn good(evidence: &Evidence) -> Value {
    let mut answer = serde_json::to_value(offline::analyse(evidence)).expect("json");
    answer["hypotheses"][0]["statement"] = json!(format!("{MARK}: the base took no more changes"));
    answer["hypotheses"][0]["confidence"] = json!(0.9);
    answer
}

/// The same with something changed.
pub(crate) fn with(evidence: &Evidence, change: impl FnOnce(&mut Value)) -> String {
    let mut answer = good(evidence);
    change(&mut answer);
    answer.to_string()
}

pub(crate) fn config(server: &Server, format: Format) -> LlmConfig {
    let model = if format == Format::OpenAi {
        "some-model"
    } else {
        "anthropic::some-model"
    };
    LlmConfig {
        url: Some(server.url()),
        key: Some(ApiKey::new(KEY)),
        deadline: Duration::from_secs(20),
        ..LlmConfig::new(model)
    }
}

/// What becomes of an incident when the server answers like that.
pub(crate) async fn asked(
    format: Format,
    replies: impl IntoIterator<Item = Reply>,
) -> (ModelAnswer, Vec<AnswerProgress>, Server) {
    let server = Server::start(format, replies).await;
    let engine = LlmEngine::new(&config(&server, format)).expect("an engine");
    let mut progress = Vec::new();
    let outcome = engine.diagnose(&incident(), |p| progress.push(p)).await;
    (outcome, progress, server)
}

/// The offline answer stands, says why, and nothing the model said is on the screen or in the
/// report.
pub(crate) fn fell_back(outcome: &ModelAnswer, why: &str) {
    let fallback = outcome
        .answer
        .engine
        .fallback_from
        .as_ref()
        .expect("a fallback");
    assert_eq!(
        (fallback.model.as_str(), fallback.reason.as_str()),
        ("some-model", why)
    );
    assert_eq!(outcome.answer.engine.kind, EngineKind::Offline);
    assert_eq!(outcome.answer.hypotheses, outcome.offline.hypotheses);
    let shown = text::render(&incident(), &outcome.answer).join("\n");
    assert!(shown.contains("instead of some-model: "), "{shown}");
    let report = serde_json::to_string(&outcome.answer).expect("json");
    for said in [&shown, &report] {
        assert!(
            !said.contains(MARK) && !said.contains('\u{1b}') && !said.contains(KEY),
            "{said}"
        );
    }
}
