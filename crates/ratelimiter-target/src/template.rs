use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::Check;

/// The characters that stand as they are in any part of a URL (RFC 3986, section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A text in which `{key}` and `{cost}` stand for those of a check, and `{ip}` for the address of
/// its key. Other braces stand for themselves, as in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    is_json: bool,
}

/// The place of a key's address.
const ADDRESS: &str = "{ip}";

/// About the length of a key, bytes.
const KEY: usize = 64;

/// A text that cannot be a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a template has no control characters")]
pub struct TemplateError;

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if text
            .chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t')
        {
            return Err(TemplateError);
        }
        Ok(Self::fixed(text))
    }
}

impl Template {
    /// A template of this program.
    pub(crate) fn fixed(text: &str) -> Self {
        let example = text.replace("{key}", "key").replace("{cost}", "1");
        Self {
            text: text.to_owned(),
            is_json: serde_json::from_str::<Value>(&example).is_ok(),
        }
    }

    /// The text for one check, with the key as it is.
    pub fn fill(&self, check: &Check) -> String {
        self.fill_with(check, check.key.as_str())
    }

    /// The text as a part of a URL: the key with percent-encoding.
    pub(crate) fn fill_url(&self, check: &Check) -> String {
        let key: Cow<'_, str> = utf8_percent_encode(check.key.as_str(), UNRESERVED).into();
        self.fill_with(check, &key)
    }

    /// The text as a body. In a template that is JSON, the key is escaped as in its strings; in a
    /// form it is as in a URL; in any other text it is as it is.
    pub(crate) fn fill_body(&self, check: &Check, is_form: bool) -> String {
        if is_form {
            return self.fill_url(check);
        }
        if !self.is_json {
            return self.fill(check);
        }
        let quoted = Value::from(check.key.as_str()).to_string();
        self.fill_with(check, &quoted[1..quoted.len() - 1])
    }

    fn fill_with(&self, check: &Check, key: &str) -> String {
        self.text
            .replace("{cost}", &check.cost.to_string())
            .replace("{key}", key)
    }

    /// The same with the address of a key filled in.
    pub(crate) fn with_address(&self, address: Ipv4Addr) -> Self {
        Self {
            text: self.text.replace(ADDRESS, &address.to_string()),
            ..self.clone()
        }
    }

    /// About the length of a text, bytes.
    pub(crate) fn room(&self) -> usize {
        self.text.len() + KEY
    }

    /// Whether it names the address of a key.
    pub(crate) fn has_address(&self) -> bool {
        self.text.contains(ADDRESS)
    }

    /// Whether checks of different keys differ.
    pub fn has_key(&self) -> bool {
        self.text.contains("{key}")
    }

    /// Whether checks of different costs differ.
    pub fn has_cost(&self) -> bool {
        self.text.contains("{cost}")
    }
}

impl fmt::Debug for Template {
    /// Without the text, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(...)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratelimiter_api::Key;
    use std::time::Duration;

    fn check(key: &str) -> Check {
        Check::new(Key::new(key).unwrap(), 3, Duration::from_secs(1))
    }

    #[test]
    fn key_and_cost_are_filled_in() {
        let template: Template = r#"{"key":"{key}","n":{cost},"x":{}}"#.parse().unwrap();
        let filled = r#"{"key":"user-1","n":3,"x":{}}"#;
        assert_eq!(template.fill(&check("user-1")), filled);
        assert_eq!(template.fill_body(&check("user-1"), false), filled);
        assert!("a\r\nb".parse::<Template>().is_err());
    }

    #[test]
    fn key_is_escaped_by_its_place() {
        let odd = check(r#"a"b\c d/é?&="#);
        let json = Template::fixed(r#"{"key":"{key}","cost":{cost}}"#).fill_body(&odd, false);
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["key"], odd.key.as_str());
        let encoded = "k=a%22b%5Cc%20d%2F%C3%A9%3F%26%3D";
        assert_eq!(Template::fixed("k={key}").fill_url(&odd), encoded);
        assert_eq!(Template::fixed("k={key}").fill_body(&odd, true), encoded);
        let plain = Template::fixed("key {key}").fill_body(&odd, false);
        assert_eq!(plain, r#"key a"b\c d/é?&="#);
    }
}
