//! The text form of a rule; its table is the documentation of [`Rule`].

use std::str::FromStr;
use std::time::Duration;

use crate::advice::nearest;
use crate::class::CommandClass;
use crate::command::KEY;
use crate::occurrence::Occurrence;
use crate::rule::{
    CommandFault, CommandFilter, ConnectionFault, ConnectionFilter, ErrorLine, LinkDirection, Rule,
    RuleFault,
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

const NAMES: &str = "do, command, class, key, prefix, client, client-address, link, nth, skip, \
    every, first, percent, seed, for, by, jitter, text, rate, after, stream";
const FAULTS: &str = "delay, hold, swallow-reply, error, reset-before, reset-after, silence, \
    refuse, bandwidth, latency, timeout, reset";

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

/// The nearest of the valid words, and all of them.
fn unknown(kind: &str, word: &str, valid: &str) -> String {
    let meant = nearest(word, valid.split(", "));
    let meant = meant.map_or(String::new(), |near| format!(" (did you mean {near}?)"));
    format!("there is no {kind} {word:?}{meant}: one of {valid}")
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
        if NAMES.split(", ").all(|other| other != name) {
            return wrong(name_at, unknown("word", &name, NAMES));
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

/// The value that prints as this word.
fn one_of<T: ToString>(
    all: impl IntoIterator<Item = T>,
    word: &str,
    reason: &str,
) -> Result<T, String> {
    let mut all = all.into_iter();
    all.find(|one| one.to_string() == word)
        .ok_or_else(|| reason.to_owned())
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
        let command = |fault| RuleFault::Command(CommandFilter::all(), fault);
        let mut fault = match what.value.as_str() {
            "delay" => {
                let by = words.duration("by")?.ok_or_else(|| need("by"))?;
                let jitter = words.duration("jitter")?.unwrap_or_default();
                command(CommandFault::Delay { by, jitter })
            }
            "hold" => command(CommandFault::Hold),
            "swallow-reply" => command(CommandFault::SwallowReply),
            "error" => {
                let line = words.parsed("text", |text| {
                    if text.chars().any(char::is_control) {
                        return Err("an error reply is one line of printable text".to_owned());
                    }
                    Ok(ErrorLine(text.to_owned()))
                })?;
                let line = line.ok_or_else(|| need("text"))?;
                command(CommandFault::Error(line))
            }
            "reset-before" => command(CommandFault::ResetBefore),
            "reset-after" => command(CommandFault::ResetAfter),
            _ => RuleFault::Connection(connections(&mut words, &what, need)?),
        };
        if let RuleFault::Command(which, _) = &mut fault {
            *which = commands(&mut words)?;
        }
        let mut scope = ConnectionFilter {
            link: words.text("link"),
            ..ConnectionFilter::default()
        };
        if fault != RuleFault::Connection(ConnectionFault::Refuse) {
            scope.client = words.text("client");
            scope.address = words.parsed("client-address", str::parse)?;
        }
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
        let class = |text: &str| {
            use CommandClass::{Other, Read, Script, Write};
            let reason = "classes are write, read, script and other";
            one_of([Write, Read, Script, Other], text.trim(), reason)
        };
        text.split(',').map(class).collect()
    })?;
    let key = words.parsed("key", |text| {
        if text.len() > KEY {
            return Err(format!(
                "keys are compared by their first {KEY} bytes: use prefix="
            ));
        }
        Ok(text.as_bytes().to_vec())
    })?;
    let nth_at = words.0.iter().find(|word| word.name == "nth");
    let nth_at = nth_at.map(|word| word.value_at);
    let occurrence = Occurrence {
        nth: words.parsed("nth", number)?,
        skip: words.parsed("skip", number)?.unwrap_or_default(),
        every: words.parsed("every", number)?,
        first: words.parsed("first", number)?,
    };
    let alone = Occurrence {
        nth: occurrence.nth,
        ..Occurrence::default()
    };
    if let Some(column) = nth_at
        && occurrence != alone
    {
        return wrong(column, "nth= goes with none of skip=, every= and first=");
    }
    Ok(CommandFilter {
        names: names.unwrap_or_default(),
        classes: classes.unwrap_or_default(),
        key,
        prefix: words.text("prefix").map(String::into_bytes),
        occurrence,
        percent: words.parsed("percent", percent)?,
        seed: words.parsed("seed", number)?,
    })
}

/// The fault `what` of connections. `need` is the error of a missing word.
fn connections(
    words: &mut RuleWords,
    what: &RuleWord,
    need: impl Fn(&str) -> RuleError,
) -> Result<ConnectionFault, RuleError> {
    let stream = |words: &mut RuleWords| {
        words.parsed("stream", |text| {
            let reason = "a stream is upstream or downstream; both unless given";
            one_of(
                [LinkDirection::Upstream, LinkDirection::Downstream],
                text,
                reason,
            )
        })
    };
    Ok(match what.value.as_str() {
        "silence" => ConnectionFault::Silence,
        "refuse" => ConnectionFault::Refuse,
        "bandwidth" => ConnectionFault::Bandwidth {
            rate: words.parsed("rate", number)?.ok_or_else(|| need("rate"))?,
        },
        "latency" => ConnectionFault::Latency {
            by: words.duration("by")?.ok_or_else(|| need("by"))?,
            jitter: words.duration("jitter")?.unwrap_or_default(),
            stream: stream(words)?,
        },
        "timeout" => ConnectionFault::Timeout {
            after: words.duration("after")?.filter(|after| !after.is_zero()),
            stream: stream(words)?,
        },
        "reset" => ConnectionFault::Reset {
            after: words.duration("after")?.unwrap_or_default(),
            stream: stream(words)?,
        },
        word => return wrong(what.value_at, unknown("fault", word, FAULTS)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("do=hold keys=a", 9, "did you mean key?"),
            ("do=swalow-reply", 4, "did you mean swallow-reply?"),
            ("do=hold nth=2 first=3", 13, "none of skip="),
            ("do=timeout stream=both", 19, "upstream or downstream"),
            ("do=hold client-address=worker", 24, "no address"),
            ("do=hold every=0", 15, "whole number"),
            ("do=latency", 11, "by="),
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
