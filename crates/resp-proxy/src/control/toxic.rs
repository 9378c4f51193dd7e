//! A toxic as a rule.

use std::time::Duration;

use serde_json::{Map, Value};

use super::ControlError;
use super::wire::ToxicInput;
use crate::rule::{LinkDirection, Rule};

/// The attribute with the length of a lease, which every type takes.
const LEASE: &str = "for";

/// A toxic that is not in force yet.
#[derive(Debug)]
pub(super) struct ToxicPlan {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) stream: LinkDirection,
    pub(super) attributes: Map<String, Value>,
    pub(super) rule: Rule,
    pub(super) lease: Option<Duration>,
}

impl ToxicPlan {
    /// The toxic that a client wants. `lease` is that of the request's query.
    pub(super) fn of(input: ToxicInput, lease: Option<&str>) -> Result<Self, ControlError> {
        let stream = match input.stream.as_str() {
            "" | "downstream" => LinkDirection::Downstream,
            "upstream" => LinkDirection::Upstream,
            _ => {
                return Err(ControlError::bad(
                    "stream was invalid, can be either upstream or downstream",
                ));
            }
        };
        if input.kind.is_empty() {
            return Err(ControlError::missing("type"));
        }
        if input.toxicity.is_some_and(|share| share < 1.0) {
            return Err(ControlError::bad(
                "toxicity below 1 is not here: a toxic of the type resp draws commands with \
                 percent=; to draw connections, chain Toxiproxy",
            ));
        }
        let rule = rule(&input.kind, stream, &input.attributes)?;
        let attribute = match input.attributes.get(LEASE) {
            None => None,
            Some(Value::String(text)) => Some(text.as_str()),
            Some(other) => {
                return Err(ControlError::bad(format!(
                    "for={other} is no duration such as \"10s\""
                )));
            }
        };
        let lease = lease.or(input.lease.as_deref()).or(attribute);
        let lease = lease.map(duration).transpose()?;
        let name = if input.name.is_empty() {
            format!("{}_{stream}", input.kind)
        } else {
            input.name
        };
        Ok(Self {
            name,
            kind: input.kind,
            stream,
            attributes: input.attributes,
            rule,
            lease,
        })
    }
}

/// A duration such as `10s`.
pub(super) fn duration(text: &str) -> Result<Duration, ControlError> {
    humantime::parse_duration(text)
        .map_err(|e| ControlError::bad(format!("{text:?} is no duration such as 10s: {e}")))
}

/// The rule of a toxic. It is parsed from text, so that both have the same bounds.
fn rule(
    kind: &str,
    stream: LinkDirection,
    attributes: &Map<String, Value>,
) -> Result<Rule, ControlError> {
    let time = |name| milliseconds(attributes, name);
    let (known, text): (&[&str], _) = match kind {
        "latency" => {
            let (by, jitter) = (time("latency")?, time("jitter")?);
            (
                &["latency", "jitter"],
                format!("do=latency by={by}ms jitter={jitter}ms stream={stream}"),
            )
        }
        "timeout" => (
            &["timeout"],
            format!("do=timeout after={}ms stream={stream}", time("timeout")?),
        ),
        "reset_peer" => (
            &["timeout"],
            format!("do=reset after={}ms stream={stream}", time("timeout")?),
        ),
        "resp" => match attributes.get("rule") {
            Some(Value::String(text)) => (&["rule"], text.clone()),
            _ => return Err(ControlError::missing("attributes.rule")),
        },
        "bandwidth" | "slicer" | "limit_data" | "slow_close" => {
            let ours = if kind == "bandwidth" {
                "; here, a toxic of the type resp with do=bandwidth rate= limits bytes a second"
            } else {
                ""
            };
            return Err(ControlError::bad(format!(
                "invalid toxic type: {kind} is not here. Chain Toxiproxy for it, between this \
                 proxy and the store{ours}"
            )));
        }
        _ => {
            return Err(ControlError::bad(format!(
                "invalid toxic type: {kind:?} is none of latency, timeout, reset_peer and resp"
            )));
        }
    };
    if let Some(unknown) = attributes
        .keys()
        .find(|name| *name != LEASE && !known.contains(&name.as_str()))
    {
        return Err(ControlError::bad(format!(
            "{kind} has no attribute {unknown:?}: it has {} and {LEASE}",
            known.join(", ")
        )));
    }
    text.parse()
        .map_err(|error| ControlError::bad(format!("rule {text:?}: {error}")))
}

/// An attribute in milliseconds, 0 unless given.
fn milliseconds(attributes: &Map<String, Value>, name: &str) -> Result<u64, ControlError> {
    match attributes.get(name) {
        None => Ok(0),
        Some(value) => value.as_u64().ok_or_else(|| {
            ControlError::bad(format!("{name}={value} is no whole number of milliseconds"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<ToxicPlan, ControlError> {
        ToxicPlan::of(serde_json::from_str(json).unwrap(), None)
    }

    #[test]
    fn toxics_are_rules() {
        for (json, name, rule) in [
            (
                r#"{"type":"latency","attributes":{"latency":1000,"jitter":20}}"#,
                "latency_downstream",
                "do=latency by=1s jitter=20ms stream=downstream",
            ),
            (
                r#"{"name":"t","type":"timeout","stream":"upstream","attributes":{"timeout":0}}"#,
                "t",
                "do=timeout stream=upstream",
            ),
            (
                r#"{"type":"reset_peer","attributes":{"timeout":50},"toxicity":1.0}"#,
                "reset_peer_downstream",
                "do=reset after=50ms stream=downstream",
            ),
            (
                r#"{"type":"resp","attributes":{"rule":"command=INCR do=swallow-reply"}}"#,
                "resp_downstream",
                "command=INCR do=swallow-reply",
            ),
        ] {
            let plan = plan(json).unwrap();
            assert_eq!(plan.name, name);
            assert_eq!(plan.rule.to_string(), rule);
        }
        let leased = r#"{"type":"resp","attributes":{"rule":"do=hold","for":"10s"}}"#;
        assert_eq!(plan(leased).unwrap().lease, Some(Duration::from_secs(10)));
    }

    #[test]
    fn foreign_toxics_are_refused_by_name() {
        for (json, reason) in [
            (
                r#"{"type":"bandwidth","attributes":{"rate":5}}"#,
                "bandwidth is not here",
            ),
            (r#"{"type":"slicer"}"#, "Chain Toxiproxy"),
            (r#"{"type":"limit_data"}"#, "limit_data"),
            (r#"{"type":"slow_close"}"#, "slow_close"),
            (r#"{"type":"packet_loss"}"#, "none of latency"),
            (r#"{"type":"latency","toxicity":0.5}"#, "toxicity"),
            (
                r#"{"type":"latency","stream":"sideways"}"#,
                "stream was invalid",
            ),
            (
                r#"{"type":"latency","attributes":{"delay":5}}"#,
                "no attribute \"delay\"",
            ),
            (
                r#"{"type":"latency","attributes":{"latency":-1}}"#,
                "whole number",
            ),
            (r#"{"type":"resp"}"#, "attributes.rule"),
            (
                r#"{"type":"resp","attributes":{"rule":"do=explode"}}"#,
                "column 4",
            ),
            (
                r#"{"type":"timeout","attributes":{"for":5}}"#,
                "no duration",
            ),
            (r#"{}"#, "missing required field: type"),
        ] {
            let error = plan(json).unwrap_err();
            assert!(error.reason.contains(reason), "{json}: {error}");
        }
    }
}
