use std::fmt;
use std::str::FromStr;

use crate::Check;

/// A text in which `{key}` and `{cost}` stand for those of a check. Other braces stand for
/// themselves, as in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Template(String);

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
        Ok(Self(text.to_owned()))
    }
}

impl Template {
    /// A template of this program.
    pub(crate) fn fixed(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// The text for one check.
    pub fn fill(&self, check: &Check) -> String {
        self.0
            .replace("{key}", check.key.as_str())
            .replace("{cost}", &check.cost.to_string())
    }

    /// Whether checks of different keys differ.
    pub fn has_key(&self) -> bool {
        self.0.contains("{key}")
    }

    /// Whether checks of different costs differ.
    pub fn has_cost(&self) -> bool {
        self.0.contains("{cost}")
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

    #[test]
    fn key_and_cost_are_filled_in() {
        let check = Check {
            key: Key::new("user-1").unwrap(),
            cost: 3,
            deadline: Duration::from_secs(1),
        };
        let template: Template = r#"{"key":"{key}","n":{cost},"x":{}}"#.parse().unwrap();
        assert_eq!(template.fill(&check), r#"{"key":"user-1","n":3,"x":{}}"#);
        assert!("a\r\nb".parse::<Template>().is_err());
    }
}
