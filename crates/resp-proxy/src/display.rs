//! The printed text of a rule, which parses as it was.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::occurrence::Occurrence;
use crate::rule::{CommandFault, CommandFilter, ConnectionFault, Rule, RuleFault};

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
        match &self.fault {
            RuleFault::Command(which, fault) => write!(f, "{which}{fault}")?,
            RuleFault::Connection(fault) => fault.fmt(f)?,
        }
        let seed = match &self.fault {
            RuleFault::Command(which, _) => which.seed,
            RuleFault::Connection(_) => None,
        };
        word(f, " seed", seed)?;
        word(f, " client", self.scope.client.as_deref().map(QuotedValue))?;
        word(f, " client-address", self.scope.address)?;
        word(f, " link", self.scope.link.as_deref().map(QuotedValue))?;
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
        for (name, bytes) in [("key", &self.key), ("prefix", &self.prefix)] {
            if let Some(bytes) = bytes {
                write!(
                    f,
                    "{name}={} ",
                    QuotedValue(&String::from_utf8_lossy(bytes))
                )?;
            }
        }
        let Occurrence {
            nth,
            skip,
            every,
            first,
        } = self.occurrence;
        let skip = NonZeroU64::new(skip);
        for (name, number) in [
            ("nth", nth),
            ("skip", skip),
            ("every", every),
            ("first", first),
        ] {
            if let Some(number) = number {
                write!(f, "{name}={number} ")?;
            }
        }
        self.percent
            .map_or(Ok(()), |percent| write!(f, "percent={percent} "))
    }
}

impl fmt::Display for CommandFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay { by, jitter } => {
                f.write_str("do=delay")?;
                times(f, *by, *jitter)
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
        let stream = match *self {
            Self::Silence => return f.write_str("do=silence"),
            Self::Refuse => return f.write_str("do=refuse"),
            Self::Bandwidth { rate } => return write!(f, "do=bandwidth rate={rate}"),
            Self::Latency { by, jitter, stream } => {
                f.write_str("do=latency")?;
                times(f, by, jitter)?;
                stream
            }
            Self::Timeout { after, stream } => {
                f.write_str("do=timeout")?;
                duration(f, "after", after.unwrap_or_default())?;
                stream
            }
            Self::Reset { after, stream } => {
                f.write_str("do=reset")?;
                duration(f, "after", after)?;
                stream
            }
        };
        word(f, " stream", stream)
    }
}

/// A word with its value, if it has one.
fn word(f: &mut fmt::Formatter<'_>, name: &str, value: Option<impl fmt::Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, "{name}={value}"))
}

fn times(f: &mut fmt::Formatter<'_>, by: Duration, jitter: Duration) -> fmt::Result {
    let by = humantime::format_duration(by).to_string();
    write!(f, " by={}", QuotedValue(&by))?;
    duration(f, "jitter", jitter)
}

/// A word with a duration, unless it is zero.
fn duration(f: &mut fmt::Formatter<'_>, name: &str, value: Duration) -> fmt::Result {
    let text = (!value.is_zero()).then(|| humantime::format_duration(value).to_string());
    word(f, &format!(" {name}"), text.as_deref().map(QuotedValue))
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
            "key=user:1 skip=1 every=3 first=2 do=reset-before client-address=127.0.0.1:5000",
            "do=latency by=50ms jitter=10ms stream=upstream",
            "do=timeout after=1s stream=downstream client=worker",
            "do=timeout",
            "do=reset",
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
}
