//! Every way in which a model's server can fail: the offline answer stands in time, and no secret
//! leaks.

#![cfg(feature = "llm")]

#[path = "integration/support/mod.rs"]
mod support;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use diagnosis::{
    EngineKind,
    llm::{AnswerProgress, ApiKey, LlmEngine},
    text,
};
use serde_json::json;
use support::{
    model::{Format, Reply, Server},
    question::{KEY, MARK, asked, config, fell_back, good, incident},
};

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
    assert!(progress.contains(&AnswerProgress::Waiting(Duration::from_millis(50))));
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
async fn answers_without_an_end_meet_the_deadline() {
    for reply in [Reply::Never, Reply::FloodInOne(10_000_000)] {
        let mut server = Server::start(Format::OpenAi, [reply]).await;
        let mut config = config(&server, Format::OpenAi);
        config.deadline = Duration::from_millis(300);
        let outcome = LlmEngine::new(&config)
            .expect("an engine")
            .diagnose(&incident(), |_| {})
            .await;
        fell_back(&outcome, "no answer within 0.3 s");
        server.ended(1).await;
    }
}

#[tokio::test]
async fn deadline_holds_during_a_requested_wait() {
    let wait = || Reply::Status(503, vec![("retry-after", "0.2".into())], String::new());
    let server = Server::start(Format::OpenAi, [wait(), wait(), wait(), Reply::Never]).await;
    let mut config = config(&server, Format::OpenAi);
    config.deadline = Duration::from_millis(1_300);
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
                if let AnswerProgress::Receiving(n) = p {
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
