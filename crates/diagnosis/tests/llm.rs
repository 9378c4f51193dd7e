//! A model as a second opinion, over the real wire formats: what is right is shown, and nothing
//! else is.

#![cfg(feature = "llm")]

mod support;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use diagnosis::{
    EngineKind, Evidence, Verdict,
    llm::{ApiKey, LlmConfig, LlmEngine, Outcome, Progress},
    offline, text,
};
use serde_json::{Value, json};
use support::{
    model::{Format, Reply, Server, USAGE},
    system::{Fault, evidence, run},
};

const KEY: &str = "sk-test-4711-do-not-tell";
/// Stands in everything the model says, so that it can be told whether any of it was shown.
const MARK: &str = "Hear me";

fn incident() -> Evidence {
    evidence(run(3, Fault::NoChanges(30.0), 20.0, 30.0)).expect("evidence")
}

/// An answer that passes, in a model's words.
fn good(evidence: &Evidence) -> Value {
    let mut answer = serde_json::to_value(offline::analyse(evidence)).expect("json");
    answer["hypotheses"][0]["statement"] = json!(format!("{MARK}: the base took no more changes"));
    answer["hypotheses"][0]["confidence"] = json!(0.9);
    answer
}

/// The same with something changed.
fn with(evidence: &Evidence, change: impl FnOnce(&mut Value)) -> String {
    let mut answer = good(evidence);
    change(&mut answer);
    answer.to_string()
}

fn config(server: &Server, format: Format) -> LlmConfig {
    let model = if format == Format::OpenAi {
        "some-model"
    } else {
        "anthropic::some-model"
    };
    LlmConfig::new(model)
        .url(server.url())
        .key(ApiKey::new(KEY))
        .deadline(Duration::from_secs(20))
}

/// What becomes of an incident when the server answers like that.
async fn asked(
    format: Format,
    replies: impl IntoIterator<Item = Reply>,
) -> (Outcome, Vec<Progress>, Server) {
    let server = Server::start(format, replies).await;
    let engine = LlmEngine::new(&config(&server, format)).expect("an engine");
    let mut progress = Vec::new();
    let outcome = engine.diagnose(&incident(), |p| progress.push(p)).await;
    (outcome, progress, server)
}

/// The offline answer stands, says why, and nothing the model said is on the screen or in the
/// report.
fn fell_back(outcome: &Outcome, why: &str) {
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

        assert_eq!(progress[0], Progress::Asking);
        assert_eq!(progress.last(), Some(&Progress::Checking));
        assert!(
            progress
                .iter()
                .filter(|p| matches!(p, Progress::Receiving(_)))
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
        assert!(progress.contains(&Progress::Repairing));
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
        a["hypotheses"].as_array_mut().expect("a list").truncate(1)
    });
    is_refused(4, "no alternative was considered", flawed).await;
}

#[tokio::test]
async fn a_chain_against_the_dependencies_is_refused() {
    let chain = json!([{"cause": "base", "effect": "source", "lag_s": 0.0}, {"cause": "w1", "effect": "base", "lag_s": 0.0}]);
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
        a["hypotheses"][0]["statement"] = json!(format!("{MARK}: it rose 4711 times"))
    });
    is_refused(6, "4711", flawed).await;
}

#[tokio::test]
async fn an_invented_mechanism_is_refused() {
    let flawed = with(&incident(), |a| {
        a["hypotheses"][0]["mechanism"] = json!("cosmic-rays")
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
    assert!(progress.contains(&Progress::Repairing));
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
async fn cut_stream_falls_back_at_once() {
    let whole = good(&incident()).to_string();
    for format in [Format::OpenAi, Format::Anthropic] {
        let (outcome, _, server) = asked(format, [Reply::Cut(whole[..400].to_owned())]).await;
        fell_back(&outcome, "the answer broke off");
        assert_eq!(server.asked().len(), 1);
        let (outcome, _, _) = asked(format, [Reply::NoEnd(whole[..400].to_owned())]).await;
        fell_back(&outcome, "the answer broke off");
    }
}

#[tokio::test]
async fn stream_without_end_mark_is_complete() {
    let whole = good(&incident()).to_string();
    let (outcome, _, _) = asked(Format::OpenAi, [Reply::NoEnd(whole)]).await;
    assert_eq!(outcome.answer.engine.kind, EngineKind::Llm);
}

#[tokio::test]
async fn rate_limit_is_waited_out_in_time() {
    let soon = || {
        Reply::Status(
            429,
            vec![("retry-after", "0.05".into())],
            format!("{MARK}: slow down"),
        )
    };
    let answer = good(&incident()).to_string();
    let (outcome, progress, server) =
        asked(Format::OpenAi, [soon(), soon(), Reply::Text(answer)]).await;
    assert_eq!(outcome.answer.engine.kind, EngineKind::Llm);
    assert_eq!(server.asked().len(), 3);
    assert!(progress.contains(&Progress::Waiting(Duration::from_millis(50))));
    let (outcome, _, server) = asked(Format::OpenAi, [soon(), soon(), soon(), soon()]).await;
    fell_back(&outcome, "the server answered 429 and asks to wait 0.05 s");
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn rate_limit_falls_back_without_time() {
    let later = Reply::Status(
        429,
        vec![("retry-after", "3600".into())],
        format!("{MARK}: come back"),
    );
    let (outcome, _, server) = asked(Format::Anthropic, [later]).await;
    fell_back(&outcome, "the server answered 429 and asks to wait 3600 s");
    assert_eq!(server.asked().len(), 1);
    let (outcome, _, _) = asked(Format::OpenAi, [Reply::Status(429, vec![], MARK.into())]).await;
    fell_back(&outcome, "the server answered 429");
}

#[tokio::test]
async fn a_refused_key_falls_back_at_once() {
    let body = json!({"error": {"message": format!("{MARK}: incorrect key {KEY} \u{1b}[31m")}})
        .to_string();
    for format in [Format::OpenAi, Format::Anthropic] {
        let (outcome, _, server) = asked(format, [Reply::Status(401, vec![], body.clone())]).await;
        fell_back(&outcome, "the server refused the key (401)");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn other_errors_fall_back_in_our_own_words() {
    let (outcome, _, _) = asked(
        Format::OpenAi,
        [Reply::Status(500, vec![], format!("{MARK}\u{1b}[2J"))],
    )
    .await;
    fell_back(&outcome, "the server answered 500");
    let (outcome, _, _) = asked(Format::OpenAi, [Reply::Garbage]).await;
    fell_back(&outcome, "the answer's stream cannot be read");
}

#[tokio::test]
async fn unsupported_temperature_is_left_out() {
    let picky = Reply::Status(
        400,
        vec![],
        json!({"error": {"message": "temperature is not supported"}}).to_string(),
    );
    let (outcome, _, server) = asked(
        Format::OpenAi,
        [picky, Reply::Text(good(&incident()).to_string())],
    )
    .await;
    assert_eq!(outcome.answer.engine.kind, EngineKind::Llm);
    let asked = server.asked();
    assert_eq!(asked[0].body["temperature"].as_f64(), Some(0.0));
    assert_eq!(asked[1].body.get("temperature"), None);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere =
        Server::start(Format::OpenAi, [Reply::Text(good(&incident()).to_string())]).await;
    let location = vec![("location", format!("{}/chat/completions", elsewhere.url()))];
    let (outcome, _, _) = asked(
        Format::OpenAi,
        [Reply::Status(307, location, String::new())],
    )
    .await;
    fell_back(&outcome, "the server answered 307");
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn silent_server_ends_at_the_deadline() {
    let mut server = Server::start(Format::OpenAi, [Reply::Never]).await;
    let config = config(&server, Format::OpenAi).deadline(Duration::from_millis(300));
    let outcome = LlmEngine::new(&config)
        .expect("an engine")
        .diagnose(&incident(), |_| {})
        .await;
    fell_back(&outcome, "no answer within 0.3 s");
    server.ended(1).await;
}

#[tokio::test]
async fn deadline_holds_during_a_requested_wait() {
    let wait = || Reply::Status(503, vec![("retry-after", "0.2".into())], String::new());
    let server = Server::start(Format::OpenAi, [wait(), wait(), wait(), Reply::Never]).await;
    let config = config(&server, Format::OpenAi).deadline(Duration::from_millis(1_300));
    let outcome = LlmEngine::new(&config)
        .expect("an engine")
        .diagnose(&incident(), |_| {})
        .await;
    fell_back(&outcome, "the server answered 503 and asks to wait 0.2 s");
}

#[tokio::test]
async fn dropping_the_question_closes_the_connection() {
    let mut server = Server::start(Format::OpenAi, [Reply::Never]).await;
    let engine = LlmEngine::new(&config(&server, Format::OpenAi)).expect("an engine");
    let evidence = incident();
    let question = engine.diagnose(&evidence, |_| {});
    tokio::select! {
        _ = question => panic!("it cannot have been answered"),
        () = until(|| server.asked().len() == 1) => {}
    }
    server.ended(1).await;
}

/// Waits for a condition, ten seconds at most.
async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .expect("in time");
}

#[tokio::test]
async fn ten_megabytes_are_not_read_to_the_end() {
    for format in [Format::OpenAi, Format::Anthropic] {
        let (outcome, progress, _) = asked(format, [Reply::Flood(10_000_000)]).await;
        fell_back(&outcome, "the answer is longer than 262144 bytes");
        let most = progress
            .iter()
            .map(|p| {
                if let Progress::Receiving(n) = p {
                    *n
                } else {
                    0
                }
            })
            .max();
        assert!(most.is_some_and(|n| n <= 262_144), "{most:?}");
    }
}

#[tokio::test]
async fn endless_event_ends_at_the_deadline() {
    let mut server = Server::start(Format::OpenAi, [Reply::FloodInOne(10_000_000)]).await;
    let config = config(&server, Format::OpenAi).deadline(Duration::from_millis(300));
    let outcome = LlmEngine::new(&config)
        .expect("an engine")
        .diagnose(&incident(), |_| {})
        .await;
    fell_back(&outcome, "no answer within 0.3 s");
    server.ended(1).await;
}

#[tokio::test]
async fn missing_server_falls_back() {
    let server = Server::start(Format::OpenAi, []).await;
    let config = config(&server, Format::OpenAi);
    drop(server);
    let outcome = LlmEngine::new(&config)
        .expect("an engine")
        .diagnose(&incident(), |_| {})
        .await;
    fell_back(&outcome, "the server cannot be reached");
}

#[tokio::test]
async fn when_the_engines_disagree_both_are_shown() {
    let other = json!({"verdict": "inconclusive", "unknowns": [format!("{MARK}: what it was")]})
        .to_string();
    let (outcome, _, _) = asked(Format::OpenAi, [Reply::Text(other)]).await;
    assert_eq!(
        (outcome.answer.engine.kind, outcome.answer.verdict),
        (EngineKind::Llm, Verdict::Inconclusive)
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
        (EngineKind::Offline, Verdict::NoIncident)
    );
}

/// Everything logged, by whomever, at any level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_key_is_never_printed_logged_or_recorded() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let listening = tracing::subscriber::set_default(subscriber);
    tracing::error!("somebody listens");

    let body = format!("{MARK}: incorrect key {KEY}");
    let evidence = incident();
    let replies = [
        Reply::Status(401, vec![], body),
        Reply::Text(good(&evidence).to_string()),
        Reply::Garbage,
    ];
    let server = Server::start(Format::OpenAi, replies).await;
    let config = config(&server, Format::OpenAi);
    let engine = LlmEngine::new(&config).expect("an engine");
    let mut told = format!(
        "{config:?} {engine:?} {:?} {:#?}",
        ApiKey::new(KEY),
        ApiKey::new(KEY)
    );
    for _ in 0..3 {
        let outcome = engine
            .diagnose(&evidence, |p| told += &format!("{p} {p:?}"))
            .await;
        told += &format!(
            "{outcome:?} {}",
            serde_json::to_string(&outcome.answer).expect("json")
        );
        told += &text::render(&evidence, &outcome.answer).join("\n");
    }
    assert!(told.contains("ApiKey(…)"));
    assert!(!told.contains(KEY), "{told}");
    drop(listening);
    let logged = String::from_utf8_lossy(&log.0.lock().expect("the log")).into_owned();
    assert!(logged.contains("somebody listens"));
    assert!(!logged.contains(KEY) && !logged.contains(MARK), "{logged}");
}
