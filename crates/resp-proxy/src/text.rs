//! The text form of a rule; its table is the documentation of [`Rule`].

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::class::CommandClass;
use crate::rule::{
    CommandFault, CommandFilter, ConnectionFault, ConnectionFilter, ErrorLine, Rule, RuleFault,
};

/// The text of a rule makes no sense, at one place of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {reason}")]
pub struct RuleError {
    /// Where, in characters from 1.
    pub column: usize,
    /// The reason, with the mend.
    pub reason: String,
}

const NAMES: [&str; 14] = [
    "do", "command", "class", "prefix", "client", "link", "nth", "percent", "seed", "for", "by",
    "jitter", "text", "rate",
];
const FAULTS: &str =
    "delay, hold, swallow-reply, error, reset-before, reset-after, silence, refuse, bandwidth";

/// One `name=value`.
struct RuleWord {
    name: String,
    value: String,
    /// Columns of name and value, in characters from 1.
    name_at: usize,
    value_at: usize,
}

/// The words that no part of the rule has taken yet.
struct RuleWords(Vec<RuleWord>);

fn wrong<T>(column: usize, reason: impl Into<String>) -> Result<T, RuleError> {
    Err(RuleError {
        column,
        reason: reason.into(),
    })
}

fn split(text: &str) -> Result<Vec<RuleWord>, RuleError> {
    let mut chars = text
        .chars()
        .enumerate()
        .map(|(at, c)| (at + 1, c))
        .peekable();
    let mut words: Vec<RuleWord> = Vec::new();
    while let Some(&(name_at, c)) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        let mut name = String::new();
        while let Some((_, c)) = chars.next_if(|(_, c)| *c != '=' && !c.is_whitespace()) {
            name.push(c);
        }
        if !NAMES.contains(&name.as_str()) {
            return wrong(
                name_at,
                format!("there is no word {name:?}: one of {}", NAMES.join(", ")),
            );
        }
        let Some((equals_at, _)) = chars.next_if(|(_, c)| *c == '=') else {
            return wrong(name_at, format!("expected {name}=VALUE"));
        };
        let value_at = equals_at + 1;
        let mut value = String::new();
        if chars.next_if(|(_, c)| *c == '"').is_some() {
            loop {
                match chars.next() {
                    None => return wrong(value_at, "the quote is not closed"),
                    Some((_, '"')) => break,
                    Some((at, '\\')) => match chars.next() {
                        Some((_, c @ ('"' | '\\'))) => value.push(c),
                        _ => {
                            return wrong(
                                at,
                                "a backslash stands before a quote or a backslash only",
                            );
                        }
                    },
                    Some((_, c)) => value.push(c),
                }
            }
            if let Some(&(at, c)) = chars.peek()
                && !c.is_whitespace()
            {
                return wrong(at, "expected a space after the quote");
            }
        } else {
            while let Some((_, c)) = chars.next_if(|(_, c)| !c.is_whitespace()) {
                value.push(c);
            }
        }
        if value.is_empty() {
            return wrong(value_at, format!("{name} has no value"));
        }
        if words.iter().any(|word| word.name == name) {
            return wrong(name_at, format!("{name} stands twice"));
        }
        words.push(RuleWord {
            name,
            value,
            name_at,
            value_at,
        });
    }
    Ok(words)
}

impl RuleWords {
    fn take(&mut self, name: &str) -> Option<RuleWord> {
        let at = self.0.iter().position(|word| word.name == name)?;
        Some(self.0.remove(at))
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, RuleError> {
        self.take(name)
            .map(|word| parse(&word.value).or_else(|reason| wrong(word.value_at, reason)))
            .transpose()
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.take(name).map(|word| word.value)
    }

    fn duration(&mut self, name: &str) -> Result<Option<Duration>, RuleError> {
        self.parsed(name, |text| {
            humantime::parse_duration(text)
                .map_err(|e| format!("{text:?} is no duration such as 50ms: {e}"))
        })
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is no whole number in range"))
}

fn percent(text: &str) -> Result<f64, String> {
    let in_range = |p: &f64| *p > 0.0 && *p <= 100.0;
    text.parse()
        .ok()
        .filter(in_range)
        .ok_or_else(|| format!("{text:?} is no number above 0 and at most 100"))
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let mut words = RuleWords(split(text)?);
        let end = text.chars().count() + 1;
        let Some(what) = words.take("do") else {
            return wrong(end, format!("do= is missing: one of {FAULTS}"));
        };
        let need = |word: &str| RuleError {
            column: end,
            reason: format!("{} needs {word}=", what.value),
        };
        let command = match what.value.as_str() {
            "delay" => {
                let by = words.duration("by")?.ok_or_else(|| need("by"))?;
                let jitter = words.duration("jitter")?.unwrap_or_default();
                Some(CommandFault::Delay { by, jitter })
            }
            "hold" => Some(CommandFault::Hold),
            "swallow-reply" => Some(CommandFault::SwallowReply),
            "error" => {
                let line = words.parsed("text", |text| {
                    ErrorLine::new(text).map_err(|e| e.to_string())
                })?;
                Some(CommandFault::Error(line.ok_or_else(|| need("text"))?))
            }
            "reset-before" => Some(CommandFault::ResetBefore),
            "reset-after" => Some(CommandFault::ResetAfter),
            _ => None,
        };
        let fault = match (command, what.value.as_str()) {
            (Some(fault), _) => RuleFault::Command(commands(&mut words)?, fault),
            (None, "silence") => RuleFault::Connection(ConnectionFault::Silence),
            (None, "refuse") => RuleFault::Connection(ConnectionFault::Refuse),
            (None, "bandwidth") => {
                let rate = words.parsed("rate", number)?.ok_or_else(|| need("rate"))?;
                RuleFault::Connection(ConnectionFault::Bandwidth { rate })
            }
            (None, unknown) => {
                return wrong(
                    what.value_at,
                    format!("there is no fault {unknown:?}: one of {FAULTS}"),
                );
            }
        };
        let refuses = matches!(fault, RuleFault::Connection(ConnectionFault::Refuse));
        let client = if refuses { None } else { words.text("client") };
        let scope = ConnectionFilter {
            client,
            link: words.text("link"),
        };
        let lasts = words.duration("for")?;
        match words.0.first() {
            Some(word) => wrong(
                word.name_at,
                format!("{}= does not go with do={}", word.name, what.value),
            ),
            None => Ok(Self {
                scope,
                lasts,
                fault,
            }),
        }
    }
}

fn commands(words: &mut RuleWords) -> Result<CommandFilter, RuleError> {
    let names = words.parsed("command", |text| {
        let names: Vec<_> = text
            .split(',')
            .map(|name| name.trim().to_ascii_uppercase())
            .collect();
        let is_empty = names.iter().any(String::is_empty);
        if is_empty {
            Err("a name is missing between commas".to_owned())
        } else {
            Ok(names)
        }
    })?;
    let classes = words.parsed("class", |text| {
        text.split(',')
            .map(|class| {
                class
                    .trim()
                    .parse::<CommandClass>()
                    .map_err(|e| e.to_string())
            })
            .collect()
    })?;
    let nth = words.parsed("nth", number::<std::num::NonZeroU64>)?;
    Ok(CommandFilter {
        names: names.unwrap_or_default(),
        classes: classes.unwrap_or_default(),
        prefix: words.text("prefix").map(String::into_bytes),
        nth: nth.map(std::num::NonZeroU64::get),
        percent: words.parsed("percent", percent)?,
        seed: words.parsed("seed", number)?.unwrap_or_default(),
    })
}

/// Quotes a value when it has to be.
struct QuotedValue<'a>(&'a str);

impl fmt::Display for QuotedValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self
            .0
            .contains(|c: char| c.is_whitespace() || c == '"' || c == '\\')
        {
            return f.write_str(self.0);
        }
        write!(
            f,
            "\"{}\"",
            self.0.replace('\\', "\\\\").replace('"', "\\\"")
        )
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humantime::format_duration;
        let seed = match &self.fault {
            RuleFault::Command(which, fault) => {
                write!(f, "{which}{fault}")?;
                which.seed
            }
            RuleFault::Connection(fault) => {
                write!(f, "{fault}")?;
                0
            }
        };
        if seed != 0 {
            write!(f, " seed={seed}")?;
        }
        for (name, value) in [("client", &self.scope.client), ("link", &self.scope.link)] {
            if let Some(value) = value {
                write!(f, " {name}={}", QuotedValue(value))?;
            }
        }
        self.lasts.map_or(Ok(()), |lasts| {
            write!(f, " for={}", QuotedValue(&time(lasts).to_string()))
        })
    }
}

impl fmt::Display for CommandFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.names.is_empty() {
            write!(f, "command={} ", self.names.join(","))?;
        }
        if !self.classes.is_empty() {
            let classes: Vec<_> = self.classes.iter().map(|class| class.as_str()).collect();
            write!(f, "class={} ", classes.join(","))?;
        }
        if let Some(prefix) = &self.prefix {
            write!(
                f,
                "prefix={} ",
                QuotedValue(&String::from_utf8_lossy(prefix))
            )?;
        }
        if let Some(nth) = self.nth {
            write!(f, "nth={nth} ")?;
        }
        self.percent
            .map_or(Ok(()), |percent| write!(f, "percent={percent} "))
    }
}

impl fmt::Display for CommandFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |d: Duration| humantime::format_duration(d).to_string();
        match self {
            Self::Delay { by, jitter } if jitter.is_zero() => {
                write!(f, "do=delay by={}", QuotedValue(&time(*by)))
            }
            Self::Delay { by, jitter } => {
                write!(
                    f,
                    "do=delay by={} jitter={}",
                    QuotedValue(&time(*by)),
                    QuotedValue(&time(*jitter))
                )
            }
            Self::Hold => f.write_str("do=hold"),
            Self::SwallowReply => f.write_str("do=swallow-reply"),
            Self::Error(line) => write!(f, "do=error text={}", QuotedValue(line.as_str())),
            Self::ResetBefore => f.write_str("do=reset-before"),
            Self::ResetAfter => f.write_str("do=reset-after"),
        }
    }
}

impl fmt::Display for ConnectionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence => f.write_str("do=silence"),
            Self::Refuse => f.write_str("do=refuse"),
            Self::Bandwidth { rate } => write!(f, "do=bandwidth rate={rate}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_print_as_they_parse() {
        for text in [
            "command=INCR do=swallow-reply",
            "class=write do=hold for=2s",
            "class=write,read percent=10 do=delay by=50ms jitter=10ms seed=7",
            "class=script nth=3 do=error text=\"READONLY You can't write against a read only \
             replica.\"",
            "prefix=user: do=reset-after client=worker link=node-1",
            "do=silence for=\"1m 30s\"",
            "do=refuse link=node-2",
            "do=bandwidth rate=10000",
            "do=error text=\"ERR a \\\"quoted\\\" word\"",
        ] {
            let rule: Rule = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(rule.to_string(), text);
            assert_eq!(rule.to_string().parse::<Rule>().unwrap(), rule);
        }
    }

    #[test]
    fn errors_name_the_column() {
        for (text, column, word) in [
            ("", 1, "do= is missing"),
            ("do=explode", 4, "explode"),
            ("do=delay", 9, "by="),
            ("do=delay by=soon", 13, "soon"),
            ("class=wirte do=hold", 7, "classes are"),
            ("do=hold do=hold", 9, "twice"),
            ("do=silence class=write", 12, "does not go with"),
            ("do=refuse client=a", 11, "does not go with"),
            ("do=error text=\"open", 15, "not closed"),
            ("do=hold key=a", 9, "prefix,"),
            ("do=hold percent=0", 17, "above 0"),
            ("do=hold nth=0", 13, "whole number"),
            ("hold", 1, "no word"),
            ("do=", 4, "no value"),
            ("do=hold command=INCR,", 17, "a name is missing"),
        ] {
            let error = text.parse::<Rule>().unwrap_err();
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.reason.contains(word), "{text}: {error}");
        }
    }
}
