//! The system file: its form, its errors, and the places of its texts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cli_support::{WrongUsage, did_you_mean};
use outside_text::read_file;
use ratelimiter_invariants::{Contract, Promise};
use ratelimiter_verify::OutagePolicy;
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

/// The largest system file, bytes.
const LARGEST: u64 = 1 << 20;

/// A limiter, the processes and the store behind it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SystemFile {
    /// The promise: limits in their text form, all of which hold at once.
    pub(crate) limit: OneOrMore,
    /// The stated bound on admissions, where it is above the limit: limits in the same form.
    pub(crate) bound: Option<OneOrMore>,
    /// The same where the store loses what it has confirmed.
    pub(crate) bound_after_loss: Option<OneOrMore>,
    /// The answer to a check that needs the store while the store does not answer.
    pub(crate) on_store_failure: Option<OutagePolicy>,
    /// Longest time from the end of a fault until checks are decided again.
    #[serde(default = "recovers_within", deserialize_with = "duration")]
    pub(crate) recovers_within: Duration,
    #[serde(default)]
    pub(crate) nodes: NodesTable,
    pub(crate) store: Option<StoreTable>,
    // The ways to ask; each has the words of the flags of its command.
    http: Option<Table>,
    node: Option<Table>,
    resp: Option<Table>,
    exec: Option<Table>,
    grpc: Option<Table>,
}

/// The processes of the limiter.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NodesTable {
    /// Program and arguments of a node, split as a shell splits words.
    pub(crate) command: Option<String>,
    /// Number of nodes; 1 unless given.
    pub(crate) count: Option<usize>,
    /// Name of a container that exists; docker stops, kills and pauses it.
    pub(crate) container: Option<String>,
    /// Variables of the processes.
    pub(crate) env: BTreeMap<String, String>,
    /// Working directory, relative to the file; the file's own unless given.
    pub(crate) directory: Option<PathBuf>,
    /// URL that answers 200 to 299 when a node is ready; until a check is decided, unless given.
    pub(crate) ready: Option<String>,
    /// Command lines of the shell for all nodes together, before the first and after the last.
    pub(crate) up: Option<String>,
    pub(crate) down: Option<String>,
    /// Command lines of the shell for one node that was not started here.
    pub(crate) start: Option<String>,
    pub(crate) stop: Option<String>,
    pub(crate) kill: Option<String>,
    pub(crate) pause: Option<String>,
    pub(crate) resume: Option<String>,
}

/// The store behind the limiter.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreTable {
    /// A store that is started here.
    pub(crate) start: Option<StoreKindWord>,
    /// A store that runs already.
    pub(crate) url: Option<String>,
    /// Program and arguments of a store of one's own.
    pub(crate) command: Option<String>,
    /// Command whose answer is the count of a key.
    pub(crate) count: Option<String>,
}

/// A store that is found or fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StoreKindWord {
    Redis,
    Sentinel,
    Cluster,
}

/// One text, or a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn each(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

fn recovers_within() -> Duration {
    Duration::from_secs(5)
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    humantime::parse_duration(&text)
        .map_err(|error| serde::de::Error::custom(format!("{text:?}: {error}")))
}

/// A system file with its text, for errors that name the line.
pub(crate) struct SystemSource {
    pub(crate) path: PathBuf,
    pub(crate) file: SystemFile,
    text: String,
}

/// The values that stand for `{port}` and its like at one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(pub(crate) Vec<(&'static str, String)>);

impl SystemSource {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, WrongUsage> {
        let bytes = read_file(path, LARGEST).map_err(|error| {
            WrongUsage(format!(
                "{}: {error}; `ratelimiter-verify init` writes a file to begin with",
                path.display()
            ))
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| WrongUsage(format!("{} is no text", path.display())))?;
        Self::parse(path, text)
    }

    pub(super) fn parse(path: &Path, text: String) -> Result<Self, WrongUsage> {
        match toml::from_str(&text) {
            Ok(file) => Ok(Self {
                path: path.to_owned(),
                file,
                text,
            }),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let line = 1 + text.as_bytes()[..at]
                    .iter()
                    .filter(|b| **b == b'\n')
                    .count();
                let reason = error.message();
                Err(WrongUsage(format!(
                    "{}:{line}: {reason}{}",
                    path.display(),
                    hint(reason)
                )))
            }
        }
    }

    /// The directory of relative paths.
    pub(crate) fn directory(&self) -> PathBuf {
        let own = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        match &self.file.nodes.directory {
            Some(directory) => own.join(directory),
            None => own,
        }
    }

    /// The stated bounds on admissions: in general, and where the store loses what it confirmed.
    pub(crate) fn bounds(&self) -> Result<[Option<Promise>; 2], WrongUsage> {
        let parse = |bound: Option<&OneOrMore>| {
            let Some(limits) = bound else {
                return Ok(None);
            };
            let limits = limits.each().iter().map(|limit| limit.parse::<Contract>());
            let limits: Result<Vec<_>, _> = limits.collect();
            let mut limits = limits.map_err(WrongUsage::of)?.into_iter();
            Ok(limits.next().map(|first| Promise::new(first, limits)))
        };
        let always = self.file.bound.as_ref();
        let after_loss = self.file.bound_after_loss.as_ref().or(always);
        Ok([parse(always)?, parse(after_loss)?])
    }

    /// The way to ask: the name of the command, and its words.
    pub(crate) fn asks(&self) -> Result<(&'static str, &Table), WrongUsage> {
        let SystemFile {
            http,
            node,
            resp,
            exec,
            grpc,
            ..
        } = &self.file;
        let ways = [
            ("http", http),
            ("node", node),
            ("resp", resp),
            ("exec", exec),
            ("grpc", grpc),
        ];
        let mut given = ways.iter().filter_map(|(n, t)| Some((*n, t.as_ref()?)));
        match (given.next(), given.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(WrongUsage(format!(
                "{}: one table says how a check is asked: [http], [node], [resp], [exec] or [grpc]",
                self.path.display()
            ))),
        }
    }

    /// The arguments of the command line that ask one node.
    pub(crate) fn arguments(&self, places: &Places) -> Result<Vec<String>, WrongUsage> {
        let (command, table) = self.asks()?;
        let mut arguments = vec!["ratelimiter-verify".to_owned(), command.to_owned()];
        let limits = self.file.limit.each();
        arguments.extend(limits.iter().map(|limit| format!("--limit={limit}")));
        for (name, value) in table {
            let values = match value {
                Value::Array(values) => values.as_slice(),
                one => std::slice::from_ref(one),
            };
            for value in values {
                let name = name.replace('_', "-");
                arguments.push(match value {
                    Value::Boolean(false) => continue,
                    Value::Boolean(true) => format!("--{name}"),
                    Value::String(text) => format!("--{name}={}", places.fill(text)?),
                    Value::Integer(number) => format!("--{name}={number}"),
                    Value::Float(number) => format!("--{name}={number}"),
                    _ => {
                        let why = "a text, a number, true, false or a list of these stands there";
                        return Err(WrongUsage(format!("[{command}] {name}: {why}")));
                    }
                });
            }
        }
        Ok(arguments)
    }

    /// An error of the command line as one of this file: with the line of the word, and without the
    /// values of variables.
    pub(crate) fn error(&self, error: &clap::Error) -> WrongUsage {
        let shown = error.render().to_string();
        let lines = shown.lines().map(str::trim);
        let reason: Vec<&str> = lines.take_while(|l| !l.starts_with("Usage")).collect();
        let reason = reason.join(" ");
        let reason = reason.trim().trim_start_matches("error: ");
        let word = reason
            .split_once("--")
            .map(|(_, rest)| rest.split(|c: char| !c.is_alphanumeric() && c != '-'));
        let word = word.and_then(|mut words| words.next()).unwrap_or_default();
        let is_word = |line: &&str| {
            let name = line.split(['=', ' ']).next().unwrap_or_default();
            !word.is_empty() && name.trim_matches('"').replace('_', "-") == word
        };
        let number = self.text.lines().map(str::trim).position(|l| is_word(&l));
        let at = number.map(|n| format!(":{}", n + 1)).unwrap_or_default();
        let reason = without_variables(reason, &self.text).replace("--", "");
        WrongUsage(format!("{}{at}: {reason}", self.path.display()))
    }
}

impl Places {
    /// A text with `${NAME}` replaced by the variable of the environment, and `{name}` by the value
    /// of this place. Other braces stay, as those of `{key}`.
    pub(crate) fn fill(&self, text: &str) -> Result<String, WrongUsage> {
        let (mut filled, mut rest) = (String::new(), text);
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            let end = from.find('}').unwrap_or(0);
            let name = from.get(1..end).unwrap_or_default();
            let of_environment = before.strip_suffix('$').filter(|_| end > 0);
            let value = match of_environment {
                Some(_) => Some(variable(name)?),
                None => self
                    .0
                    .iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, v)| v.clone()),
            };
            filled.push_str(of_environment.unwrap_or(before));
            match value {
                Some(value) => {
                    filled.push_str(&value);
                    rest = &from[end + 1..];
                }
                None => {
                    filled.push('{');
                    rest = &from[1..];
                }
            }
        }
        Ok(filled + rest)
    }
}

fn variable(name: &str) -> Result<String, WrongUsage> {
    std::env::var(name).map_err(|_| {
        WrongUsage(format!(
            "the system file takes ${{{name}}}, and there is no such variable"
        ))
    })
}

/// A message without the values of the variables that a file takes.
fn without_variables(message: &str, text: &str) -> String {
    let names = text
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split('}').next());
    let values = names.filter_map(|name| std::env::var(name).ok());
    values
        .filter(|value| !value.is_empty())
        .fold(message.to_owned(), |shown, value| {
            shown.replace(&value, "***")
        })
}

/// The known word that is nearest to the unknown one of serde's message.
fn hint(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next().filter(|_| message.starts_with("unknown"));
    unknown.map_or(String::new(), |unknown| did_you_mean(unknown, quoted))
}
