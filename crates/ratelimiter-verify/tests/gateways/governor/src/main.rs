//! `governor-limiters http PORT`: tower_governor before a page, by the field `x-key`, with five at
//! once and one in two seconds. `governor-limiters lines`: governor for lines of
//! `ratelimiter-verify exec`, with ten at once and five a second.

use std::io::{BufRead as _, Write as _};
use std::num::NonZeroU32;

use axum::http::Request;
use axum::{Router, routing::get};
use governor::{Quota, RateLimiter};
use serde_json::{Value, json};
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::KeyExtractor;
use tower_governor::{GovernorError, GovernorLayer};

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["http", port] => http(port.parse()?),
        ["lines"] => lines(),
        _ => Err("expected http PORT, or lines".into()),
    }
}

#[derive(Clone)]
struct KeyField;

impl KeyExtractor for KeyField {
    type Key = String;

    fn extract<T>(&self, request: &Request<T>) -> Result<String, GovernorError> {
        let field = request.headers().get("x-key");
        let key = field.and_then(|value| value.to_str().ok());
        key.map(str::to_owned).ok_or(GovernorError::UnableToExtractKey)
    }
}

fn http(port: u16) -> Result<(), AnyError> {
    let limits = GovernorConfigBuilder::default()
        .per_second(2)
        .burst_size(5)
        .key_extractor(KeyField)
        .finish()
        .ok_or("no such limit")?;
    let page = Router::new()
        .route("/", get(|| async { "ok" }))
        .layer(GovernorLayer::new(limits));
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        Ok(axum::serve(listener, page).await?)
    })
}

fn lines() -> Result<(), AnyError> {
    let [five, ten] = [5, 10].map(|n| NonZeroU32::new(n).ok_or("zero"));
    let limiter = RateLimiter::keyed(Quota::per_second(five?).allow_burst(ten?));
    for line in std::io::stdin().lock().lines() {
        let check: Value = serde_json::from_str(&line?)?;
        let key = check["key"].as_str().ok_or("no key")?.to_owned();
        let cost = check["cost"].as_u64().and_then(|cost| u32::try_from(cost).ok());
        let cost = cost.and_then(NonZeroU32::new).ok_or("no cost")?;
        let allowed = matches!(limiter.check_key_n(&key, cost), Ok(Ok(())));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", json!({"id": check["id"], "allowed": allowed}))?;
        out.flush()?;
    }
    Ok(())
}
