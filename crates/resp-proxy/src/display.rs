//! The printed text of a rule, which parses as it was.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::rule::{CommandFault, CommandFilter, ConnectionFault, Rule, RuleFault};

/// Words of a rule, each behind a space.
#[derive(Default)]
struct PrintedWords(String);

impl PrintedWords {
    /// A word with its value, if it has one. Quotes the value when it has to be.
    fn put(&mut self, name: &str, value: Option<impl ToString>) {
        let Some(value) = value.map(|value| value.to_string()) else {
            return;
        };
        self.0 += &if value.contains(|c: char| c.is_whitespace() || c == '"' || c == '\\') {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            format!(" {name}=\"{value}\"")
        } else {
            format!(" {name}={value}")
        };
    }

    /// A list, unless it is empty.
    fn list(&mut self, name: &str, values: &[impl ToString]) {
        let values: Vec<_> = values.iter().map(ToString::to_string).collect();
        self.put(name, (!values.is_empty()).then(|| values.join(",")));
    }

    /// A duration, unless it is zero.
    fn time(&mut self, name: &str, value: Duration) {
        let text = (!value.is_zero()).then(|| humantime::format_duration(value));
        self.put(name, text);
    }

    fn fault(&mut self, name: &str) {
        self.put("do", Some(name));
    }

    fn times(&mut self, name: &str, by: Duration, jitter: Duration) {
        self.fault(name);
        self.put("by", Some(humantime::format_duration(by)));
        self.time("jitter", jitter);
    }

    fn filter(&mut self, which: &CommandFilter) {
        self.list("command", &which.names);
        self.list("class", &which.classes);
        for (name, bytes) in [("key", &which.key), ("prefix", &which.prefix)] {
            self.put(name, bytes.as_deref().map(String::from_utf8_lossy));
        }
        self.put("nth", which.occurrence.nth);
        self.put("skip", NonZeroU64::new(which.occurrence.skip));
        self.put("every", which.occurrence.every);
        self.put("first", which.occurrence.first);
        self.put("percent", which.percent);
    }

    fn command(&mut self, fault: &CommandFault) {
        match fault {
            CommandFault::Delay { by, jitter } => self.times("delay", *by, *jitter),
            CommandFault::Hold => self.fault("hold"),
            CommandFault::SwallowReply => self.fault("swallow-reply"),
            CommandFault::Error(line) => {
                self.fault("error");
                self.put("text", Some(&line.0));
            }
            CommandFault::ResetBefore => self.fault("reset-before"),
            CommandFault::ResetAfter => self.fault("reset-after"),
        }
    }

    fn connection(&mut self, fault: ConnectionFault) {
        let stream = match fault {
            ConnectionFault::Silence => return self.fault("silence"),
            ConnectionFault::Refuse => return self.fault("refuse"),
            ConnectionFault::Bandwidth { rate } => {
                self.fault("bandwidth");
                return self.put("rate", Some(rate));
            }
            ConnectionFault::Latency { by, jitter, stream } => {
                self.times("latency", by, jitter);
                stream
            }
            ConnectionFault::Timeout { after, stream } => {
                self.fault("timeout");
                self.time("after", after.unwrap_or_default());
                stream
            }
            ConnectionFault::Reset { after, stream } => {
                self.fault("reset");
                self.time("after", after);
                stream
            }
        };
        self.put("stream", stream);
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = PrintedWords::default();
        match &self.fault {
            RuleFault::Command(which, fault) => {
                words.filter(which);
                words.command(fault);
                words.put("seed", which.seed);
            }
            RuleFault::Connection(fault) => words.connection(*fault),
        }
        words.put("client", self.scope.client.as_deref());
        words.put("client-address", self.scope.address);
        words.put("link", self.scope.link.as_deref());
        words.put("for", self.lasts.map(humantime::format_duration));
        f.write_str(words.0.trim_start())
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
