//! The paths of the API.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::ControlError;
use super::access::permit;
use super::set::ProxySet;
use super::toxic::{ToxicPlan, duration};

/// The largest body of a request, bytes.
const LARGEST: usize = 1 << 20;
/// How long `wait_effects` waits, unless the request says so, and at most.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(300);

type Answer = Response<Full<Bytes>>;

/// Answers one request.
pub(super) async fn answer(set: &ProxySet, request: Request<Incoming>) -> Answer {
    let (status, value) = handle(set, request).await.unwrap_or_else(|error| {
        let body = json!({ "error": error.reason, "status": error.status.as_u16() });
        (error.status, body)
    });
    let mut answer = Answer::default();
    if value.is_null() {
        *answer.status_mut() = StatusCode::NO_CONTENT;
        return answer;
    }
    *answer.body_mut() = Full::from(format!("{value}\n"));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The status and the body of the answer; null stands for an empty one.
async fn handle(
    set: &ProxySet,
    request: Request<Incoming>,
) -> Result<(StatusCode, Value), ControlError> {
    permit(request.headers(), set.reach())?;
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy();
    let path = path.into_owned();
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let query: HashMap<_, _> = url::form_urlencoded::parse(query).into_owned().collect();
    let query = |name: &str| query.get(name).map(String::as_str);
    let method = match request.method() {
        // Older clients update with POST.
        &Method::PATCH => Method::POST,
        method => method.clone(),
    };
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut status = StatusCode::OK;
    let value = match (&method, segments.as_slice()) {
        (&Method::GET, ["version"]) => json!({
            "version": env!("CARGO_PKG_VERSION"),
            "program": env!("CARGO_PKG_NAME"),
        }),
        (&Method::GET, ["proxies"]) => set.list().into(),
        (&Method::POST, ["proxies"]) => {
            status = StatusCode::CREATED;
            set.create(body(request).await?).await?
        }
        (&Method::POST, ["populate"]) => {
            status = StatusCode::CREATED;
            json!({ "proxies": set.populate(body(request).await?).await? })
        }
        (&Method::POST, ["reset"]) => {
            set.reset().await;
            Value::Null
        }
        (&Method::GET, ["proxies", proxy]) => set.show(proxy)?,
        (&Method::POST, ["proxies", proxy]) => set.update(proxy, body(request).await?).await?,
        (&Method::DELETE, ["proxies", proxy]) => {
            set.delete(proxy)?;
            Value::Null
        }
        (&Method::GET, ["proxies", proxy, "toxics"]) => set.show(proxy)?["toxics"].take(),
        (&Method::POST, ["proxies", proxy, "toxics"]) => {
            let plan = ToxicPlan::of(body(request).await?, query("for"))?;
            let (view, settled) = set.with(proxy, |managed| managed.add(plan))?;
            settled.await;
            view
        }
        (&Method::GET, ["proxies", proxy, "toxics", toxic]) => {
            let effects = query("wait_effects").map_or(Ok(0), |text| {
                text.parse().map_err(|_| {
                    ControlError::bad(format!("wait_effects={text} is no whole number"))
                })
            })?;
            let patience = query("timeout").map_or(Ok(PATIENCE), duration)?;
            let patience = patience.min(LONGEST);
            set.toxic(proxy, toxic, effects, patience).await?
        }
        (&Method::POST, ["proxies", proxy, "toxics", toxic]) => {
            let input = body(request).await?;
            set.with(proxy, |managed| managed.change(toxic, input, query("for")))?
        }
        (&Method::DELETE, ["proxies", proxy, "toxics", toxic]) => {
            set.with(proxy, |managed| managed.remove(toxic))?.await;
            Value::Null
        }
        (method, _) => {
            let reason = format!(
                "there is no {method} {path}: paths are /version, /proxies, /proxies/NAME, \
                 /proxies/NAME/toxics, /proxies/NAME/toxics/NAME, /populate and /reset"
            );
            return Err(ControlError::new(StatusCode::NOT_FOUND, reason));
        }
    };
    Ok((status, value))
}

async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, ControlError> {
    let wrong = |error: &dyn Display| ControlError::bad(format!("bad request body: {error}"));
    let read = Limited::new(request.into_body(), LARGEST).collect().await;
    let bytes = read.map_err(|error| wrong(&error))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| wrong(&error))
}
