//! The paths of the API.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::ControlError;
use super::access::permit;
use super::set::ProxySet;
use super::toxic::{ToxicPlan, duration};
use super::wire::{ProxyInput, ToxicInput};

/// The largest body of a request, bytes.
const LARGEST: usize = 1 << 20;
/// How long `wait_effects` waits, unless the request says so, and at most.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(300);

type Answer = Response<Full<Bytes>>;

/// Answers one request.
pub(super) async fn answer(set: &ProxySet, request: Request<Incoming>) -> Answer {
    handle(set, request).await.unwrap_or_else(|error| {
        let body = json!({ "error": error.reason, "status": error.status.as_u16() });
        respond(error.status, body.to_string())
    })
}

async fn handle(set: &ProxySet, request: Request<Incoming>) -> Result<Answer, ControlError> {
    permit(request.headers(), set.reach())?;
    let path = decoded(request.uri().path());
    let query = Query::of(request.uri().query().unwrap_or_default());
    let method = match request.method() {
        // Older clients update with POST.
        &Method::PATCH => Method::POST,
        method => method.clone(),
    };
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match (&method, segments.as_slice()) {
        (&Method::GET, ["version"]) => {
            let version = json!({
                "version": env!("CARGO_PKG_VERSION"),
                "program": env!("CARGO_PKG_NAME"),
            });
            ok(&version)
        }
        (&Method::GET, ["proxies"]) => ok(&set.list()),
        (&Method::POST, ["proxies"]) => {
            let input: ProxyInput = body(request).await?;
            json_of(StatusCode::CREATED, &set.create(input).await?)
        }
        (&Method::POST, ["populate"]) => {
            let inputs: Vec<ProxyInput> = body(request).await?;
            let proxies = set.populate(inputs).await?;
            json_of(StatusCode::CREATED, &json!({ "proxies": proxies }))
        }
        (&Method::POST, ["reset"]) => {
            set.reset().await;
            Ok(empty())
        }
        (&Method::GET, ["proxies", proxy]) => ok(&set.show(proxy)?),
        (&Method::POST, ["proxies", proxy]) => {
            let input: ProxyInput = body(request).await?;
            ok(&set.update(proxy, input).await?)
        }
        (&Method::DELETE, ["proxies", proxy]) => {
            set.delete(proxy)?;
            Ok(empty())
        }
        (&Method::GET, ["proxies", proxy, "toxics"]) => ok(&set.toxics(proxy)?),
        (&Method::POST, ["proxies", proxy, "toxics"]) => {
            let input: ToxicInput = body(request).await?;
            let plan = ToxicPlan::of(input, query.get("for"))?;
            ok(&set.add_toxic(proxy, plan).await?)
        }
        (&Method::GET, ["proxies", proxy, "toxics", toxic]) => {
            let effects = query.get("wait_effects").map_or(Ok(0), |text| {
                text.parse().map_err(|_| {
                    ControlError::bad(format!("wait_effects={text} is no whole number"))
                })
            })?;
            let patience = query.get("timeout").map_or(Ok(PATIENCE), duration)?;
            ok(&set
                .toxic(proxy, toxic, effects, patience.min(LONGEST))
                .await?)
        }
        (&Method::POST, ["proxies", proxy, "toxics", toxic]) => {
            let input: ToxicInput = body(request).await?;
            ok(&set.change_toxic(proxy, toxic, input, query.get("for"))?)
        }
        (&Method::DELETE, ["proxies", proxy, "toxics", toxic]) => {
            set.remove_toxic(proxy, toxic).await?;
            Ok(empty())
        }
        (method, _) => Err(ControlError::new(
            StatusCode::NOT_FOUND,
            format!(
                "there is no {method} {path}: paths are /version, /proxies, /proxies/NAME, \
                 /proxies/NAME/toxics, /proxies/NAME/toxics/NAME, /populate and /reset"
            ),
        )),
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

/// The parameters of a request.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(text: &str) -> Self {
        let parameter = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(&value.replace('+', " ")))
        };
        Self(text.split('&').map(parameter).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(other, _)| other == name)?;
        Some(value)
    }
}

async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, ControlError> {
    let read = Limited::new(request.into_body(), LARGEST).collect().await;
    let bytes = read
        .map_err(|error| ControlError::bad(format!("bad request body: {error}")))?
        .to_bytes();
    serde_json::from_slice(&bytes)
        .map_err(|error| ControlError::bad(format!("bad request body: {error}")))
}

fn ok(value: &impl Serialize) -> Result<Answer, ControlError> {
    json_of(StatusCode::OK, value)
}

fn json_of(status: StatusCode, value: &impl Serialize) -> Result<Answer, ControlError> {
    let text = serde_json::to_string(value)
        .map_err(|error| ControlError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(respond(status, text))
}

fn respond(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::from(text + "\n"));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn empty() -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}
