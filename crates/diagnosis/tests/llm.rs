//! A model as a second opinion, over the real wire formats: only a checked answer is shown.

#![cfg(feature = "llm")]

#[path = "integration/support/mod.rs"]
mod support;

use diagnosis::{
    Conclusion, EngineKind,
    llm::{AnswerProgress, LlmEngine},
    text,
};
use serde_json::json;
use support::{
    model::{Format, Reply, Server, USAGE},
    question::{KEY, MARK, asked, config, fell_back, good, incident, with},
    system::{Fault, evidence, run},
};

#[tokio::test]
async fn a_good_answer_is_shown_as_the_models() {
    for format in [Format::OpenAi, Format::Anthropic] {
        let evidence = incident();
        let (outcome, progress, server) =
            asked(format, [Reply::Text(good(&evidence).to_string())]).await;
        let engine = &outcome.answer.engine;
        assert_eq!(
            (engine.kind, engine.model.as_deref()),
            (EngineKind::Llm, Some("some-model"))
        );
        assert_eq!(engine.fallback_from, None);
        assert_eq!(
            (
                outcome.answer.cost.tokens_in,
                outcome.answer.cost.tokens_out
            ),
            USAGE
        );
        assert!(outcome.answer.agrees_with(&outcome.offline) && outcome.refused.is_empty());
        let shown = text::render(&evidence, &outcome.answer).join("\n");
        assert!(
            shown.contains(MARK) && shown.contains("1234 tokens in and 321 out"),
            "{shown}"
        );

        assert_eq!(progress[0], AnswerProgress::Asking);
        assert_eq!(progress.last(), Some(&AnswerProgress::Checking));
        assert!(
            progress
                .iter()
                .filter(|p| matches!(p, AnswerProgress::Receiving(_)))
                .count()
                > 10
        );

        let asked = server.asked();
        assert_eq!(asked.len(), 1);
        let (path, header, key) = match format {
            Format::OpenAi => (
                "/v1/chat/completions",
                "authorization",
                format!("Bearer {KEY}"),
            ),
            Format::Anthropic => ("/v1/messages", "x-api-key", KEY.to_owned()),
        };
        assert_eq!(asked[0].path, path);
        assert_eq!(asked[0].headers[header], key.as_str());
        assert_eq!(asked[0].body["temperature"].as_f64(), Some(0.0));
        assert_eq!(asked[0].body["stream"], json!(true));
        assert_eq!(asked[0].body["model"], json!("some-model"));
        assert!(asked[0].body.to_string().contains("diagnosis.evidence/1"));
    }
}

#[tokio::test]
async fn text_around_the_object_does_not_matter() {
    let answer = format!(
        "Here it is:\n```json\n{}\n```\nAnything else?",
        good(&incident())
    );
    let (outcome, _, _) = asked(Format::OpenAi, [Reply::Text(answer)]).await;
    assert_eq!(outcome.answer.engine.kind, EngineKind::Llm);
}

/// Sends the same flawed answer twice, and expects to be told of the rule.
async fn is_refused(rule: u8, told: &str, flawed: String) {
    for format in [Format::OpenAi, Format::Anthropic] {
        let (outcome, progress, server) = asked(
            format,
            [Reply::Text(flawed.clone()), Reply::Text(flawed.clone())],
        )
        .await;
        let reason = &outcome
            .answer
            .engine
            .fallback_from
            .as_ref()
            .expect("a fallback")
            .reason;
        assert!(
            reason.starts_with(&format!("its answer was refused twice, by rule {rule} (")),
            "{reason}"
        );
        fell_back(&outcome, reason);
        assert!(progress.contains(&AnswerProgress::Repairing));
        assert_eq!(outcome.refused.len(), 2);
        assert_eq!(
            (
                outcome.answer.cost.tokens_in,
                outcome.answer.cost.tokens_out
            ),
            (2 * USAGE.0, 2 * USAGE.1)
        );
        let asked = server.asked();
        assert_eq!(asked.len(), 2);
        let repair = asked[1].body.to_string();
        assert!(repair.contains(told), "{told:?} is not in {repair}");
    }
}

#[tokio::test]
async fn an_invented_evidence_id_is_refused() {
    let flawed = with(&incident(), |a| a["hypotheses"][0]["for"] = json!(["E999"]));
    is_refused(2, "cites E999, which does not exist", flawed).await;
}

#[tokio::test]
async fn a_cause_without_a_change_is_refused() {
    let evidence = incident();
    let steady = evidence
        .rows
        .iter()
        .find(|r| r.entity() == "base" && r.change().is_none())
        .expect("a row");
    let flawed = with(&evidence, |a| {
        a["hypotheses"][0]["for"] = json!([steady.id.to_string()]);
        a["hypotheses"][0]["chain"] = json!([]);
    });
    is_refused(3, "cites no change of", flawed).await;
}

#[tokio::test]
async fn a_cause_without_an_alternative_is_refused() {
    let flawed = with(&incident(), |a| {
        a["hypotheses"].as_array_mut().expect("a list").truncate(1);
    });
    is_refused(4, "no alternative was considered", flawed).await;
}

#[tokio::test]
async fn a_chain_against_the_dependencies_is_refused() {
    let chain = json!([
        {"cause": "base", "effect": "source", "lag_s": 0.0},
        {"cause": "w1", "effect": "base", "lag_s": 0.0},
    ]);
    let flawed = with(&incident(), |a| a["hypotheses"][0]["chain"] = chain);
    is_refused(5, "the chain of hypothesis H1 jumps", flawed).await;
}

#[tokio::test]
async fn confidence_beyond_the_evidence_is_lowered() {
    let bold = with(&incident(), |a| {
        a["hypotheses"][0]["confidence"] = json!(1.0);
        a["hypotheses"][1]["confidence"] = json!(0.9);
    });
    let (outcome, _, _) = asked(Format::OpenAi, [Reply::Text(bold)]).await;
    assert_eq!(
        outcome.answer.engine.kind,
        EngineKind::Llm,
        "{:?}",
        outcome.refused
    );
    assert_eq!(outcome.answer.hypotheses[0].confidence, 0.6);
}

#[tokio::test]
async fn an_invented_action_is_refused() {
    let flawed = with(&incident(), |a| a["action"]["id"] = json!("reinstall"));
    is_refused(7, "is not in the catalogue", flawed).await;
}

#[tokio::test]
async fn a_confidence_of_seven_is_refused() {
    let flawed = with(&incident(), |a| a["hypotheses"][0]["confidence"] = json!(7));
    is_refused(1, "has confidence 7", flawed).await;
}

#[tokio::test]
async fn an_invented_number_is_refused() {
    let flawed = with(&incident(), |a| {
        a["hypotheses"][0]["statement"] = json!(format!("{MARK}: it rose 4711 times"));
    });
    is_refused(6, "4711", flawed).await;
}

#[tokio::test]
async fn an_invented_mechanism_is_refused() {
    let flawed = with(&incident(), |a| {
        a["hypotheses"][0]["mechanism"] = json!("cosmic-rays");
    });
    is_refused(1, "it does not parse", flawed).await;
}

#[tokio::test]
async fn broken_json_is_refused() {
    let whole = good(&incident()).to_string();
    is_refused(
        1,
        "its JSON object has no end",
        whole[..whole.len() / 2].to_owned(),
    )
    .await;
    is_refused(
        1,
        "it does not parse",
        format!("{MARK} {{\"verdict\": cause_found}}"),
    )
    .await;
    is_refused(
        1,
        "there is no JSON object in it",
        format!("{MARK}: it was the base"),
    )
    .await;
    is_refused(1, "there is no JSON object in it", String::new()).await;
}

#[tokio::test]
async fn a_repaired_answer_stands() {
    let evidence = incident();
    let flawed = with(&evidence, |a| a["hypotheses"][0]["confidence"] = json!(7));
    let (outcome, progress, _) = asked(
        Format::OpenAi,
        [
            Reply::Text(flawed),
            Reply::Text(good(&evidence).to_string()),
        ],
    )
    .await;
    assert_eq!(outcome.answer.engine.kind, EngineKind::Llm);
    assert!(progress.contains(&AnswerProgress::Repairing));
    assert_eq!(outcome.refused.len(), 1);
    assert_eq!(outcome.answer.cost.tokens_in, 2 * USAGE.0);
}

#[tokio::test]
async fn terminal_escapes_in_answers_are_removed() {
    let evidence = incident();
    let evil = with(&evidence, |a| {
        a["hypotheses"][0]["statement"] = json!(format!(
            "\u{1b}[2J\u{1b}]0;owned\u{7}{MARK}\u{9b}31m\u{202e}"
        ));
        a["unknowns"] = json!(["\u{1b}[1;1Hforged line\r\nsecond"]);
    });
    let (outcome, _, _) = asked(Format::OpenAi, [Reply::Text(evil)]).await;
    assert_eq!(
        outcome.answer.engine.kind,
        EngineKind::Llm,
        "{:?}",
        outcome.refused
    );
    assert_eq!(outcome.answer.hypotheses[0].statement, MARK);
    let shown = text::render(&evidence, &outcome.answer);
    assert!(
        shown
            .iter()
            .all(|line| !line.chars().any(|c| c.is_control() || c == '\u{202e}')),
        "{shown:#?}"
    );
    assert!(
        shown
            .iter()
            .any(|line| line == "not known: forged line  second"),
        "{shown:#?}"
    );
}

#[tokio::test]
async fn raw_escapes_in_the_stream_are_refused() {
    let flawed = format!("{MARK}\u{1b}[2J {{\"verdict\": \"\u{1b}[31mcause_found\"}}");
    is_refused(1, "it does not parse", flawed).await;
}

#[tokio::test]
async fn when_the_engines_disagree_both_are_shown() {
    let other = json!({"verdict": "inconclusive", "unknowns": [format!("{MARK}: what it was")]})
        .to_string();
    let (outcome, _, _) = asked(Format::OpenAi, [Reply::Text(other)]).await;
    assert_eq!(
        (outcome.answer.engine.kind, outcome.answer.verdict),
        (EngineKind::Llm, Conclusion::Inconclusive)
    );
    assert!(!outcome.answer.agrees_with(&outcome.offline));
    let shown = text::disagreement(&outcome.answer, &outcome.offline).expect("a line");
    assert!(
        shown.starts_with("the offline analyser disagrees: The base stopped accepting changes at "),
        "{shown}"
    );
}

#[tokio::test]
async fn no_violation_permits_no_incident() {
    let evidence = evidence(run(3, Fault::Nothing, 20.0, 30.0)).expect("evidence");
    let claim = good(&incident()).to_string();
    let server = Server::start(
        Format::OpenAi,
        [Reply::Text(claim.clone()), Reply::Text(claim)],
    )
    .await;
    let engine = LlmEngine::new(&config(&server, Format::OpenAi)).expect("an engine");
    let outcome = engine.diagnose(&evidence, |_| {}).await;
    assert_eq!(
        (outcome.answer.engine.kind, outcome.answer.verdict),
        (EngineKind::Offline, Conclusion::NoIncident)
    );
}
