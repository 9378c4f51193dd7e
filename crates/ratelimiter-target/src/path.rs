use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// A place in a JSON value and the value that stands there when a check was allowed:
/// `/allowed=true`, `/0=0`, `/status=OK`. The place is a JSON pointer (RFC 6901); an empty one is
/// the whole value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    pointer: String,
    value: Value,
}

/// A text that is no expectation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form /PATH=VALUE, such as /allowed=true or /0=0")]
pub struct ExpectationError(String);

impl FromStr for Expectation {
    type Err = ExpectationError;

    fn from_str(text: &str) -> Result<Self, ExpectationError> {
        let refuse = || ExpectationError(text.to_owned());
        let (pointer, value) = text.split_once('=').ok_or_else(refuse)?;
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(refuse());
        }
        // A word that is no JSON is a string.
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Self {
            pointer: pointer.to_owned(),
            value,
        })
    }
}

impl Expectation {
    /// Whether the value is there; `None` when the place does not exist.
    pub(crate) fn is_met(&self, json: &Value) -> Option<bool> {
        json.pointer(&self.pointer)
            .map(|found| *found == self.value)
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pointer, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_compared_at_their_place() {
        let met = |text: &str, json: Value| text.parse::<Expectation>().unwrap().is_met(&json);
        assert_eq!(met("/allowed=true", json!({"allowed": true})), Some(true));
        assert_eq!(met("/allowed=true", json!({"allowed": false})), Some(false));
        assert_eq!(met("/allowed=true", json!({})), None);
        assert_eq!(met("/0=0", json!([0, 10])), Some(true));
        assert_eq!(met("=1", json!(1)), Some(true));
        assert_eq!(met("/code=OK", json!({"code": "OVER_LIMIT"})), Some(false));
        assert!("allowed".parse::<Expectation>().is_err());
        assert!("allowed=true".parse::<Expectation>().is_err());
    }
}
