//! A format of records from its text, and its opening on the first line of a file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use cli_support::did_you_mean;

use super::csv::{self, CsvColumns};
use super::field::{FieldText, MOST_FIELDS};
use super::json::{self, JsonFields};
use super::log_format::{apache_format, nginx_format};
use super::presets::{FormatPreset, PRESETS};
use super::row::{KeyPart, KeyParts, OwnVerdict, RowFormat, TimeField};
use super::template::{LineTemplate, TemplateParts};
use super::words::FormatWords;

/// How the lines of a file are read. Its text is `auto`, the name of a preset, or a general format:
/// `csv:WORD=VALUE,...`, `json:...`, `text:...`, `nginx:LOG_FORMAT`, `apache:LOG_FORMAT`.
///
/// ```
/// use ratelimiter_verify::RecordFormat;
///
/// for text in ["auto", "caddy", "csv:begin=sent,end=answered,unit=ms,status=code,key=user"] {
///     text.parse::<RecordFormat>()?;
/// }
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug)]
pub struct RecordFormat {
    text: String,
    /// `None` for `auto`.
    pub(super) source: Option<FormatSource>,
}

/// The way from a line to fields, and the meaning of these.
#[derive(Clone, Debug)]
pub(super) struct FormatSource {
    kind: FormatKind,
    words: FormatWords,
    pub(super) preset: Option<&'static FormatPreset>,
}

#[derive(Clone, Debug)]
pub(super) enum FormatKind {
    /// Histories of this project.
    History,
    Csv,
    Json,
    Text(TemplateParts),
}

impl FromStr for RecordFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |source| Self {
            text: text.to_owned(),
            source,
        };
        if text == "auto" {
            return Ok(named(None));
        }
        if let Some(preset) = PRESETS.iter().find(|preset| preset.name == text) {
            return Ok(named(Some(FormatSource::of(preset)?)));
        }
        FormatSource::read(text)
            .unwrap_or_else(|| {
                let names = || PRESETS.iter().map(|preset| preset.name);
                Err(format!(
                    "no format {text:?}{}: use auto, {}, or csv:, json:, text:, nginx: or apache: \
                     with what docs/history.md says",
                    did_you_mean(text, names()),
                    Vec::from_iter(names()).join(", ")
                ))
            })
            .map(|source| named(Some(source)))
    }
}

impl fmt::Display for RecordFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FormatSource {
    pub(super) fn of(preset: &'static FormatPreset) -> Result<Self, String> {
        let read = Self::read(preset.format).unwrap_or_else(|| Err(preset.format.to_owned()))?;
        Ok(Self {
            preset: Some(preset),
            ..read
        })
    }

    fn read(text: &str) -> Option<Result<Self, String>> {
        let (kind, rest) = text.split_once(':')?;
        let source = |kind, words| Self {
            kind,
            words,
            preset: None,
        };
        let log = |read: Result<(TemplateParts, FormatWords), String>| {
            read.map(|(parts, words)| source(FormatKind::Text(parts), words))
        };
        let with_words = |kind: FormatKind| {
            FormatWords::read(rest).map(|(words, _)| source(kind.clone(), words))
        };
        Some(match kind {
            "history" => Ok(source(FormatKind::History, FormatWords::default())),
            "csv" => with_words(FormatKind::Csv),
            "json" => with_words(FormatKind::Json),
            "text" => log(FormatWords::read(rest).and_then(|(words, line)| {
                let line = line.ok_or("text: needs line=, the form of a line")?;
                Ok((TemplateParts::with_dollars(line)?, words))
            })),
            "nginx" => log(nginx_format(rest)),
            "apache" => log(apache_format(rest)),
            _ => return None,
        })
    }

    /// Whether the file is one document, and no lines.
    pub(super) fn is_whole(&self) -> bool {
        self.words.get("whole").is_some()
    }

    /// The members that lead to the rows of a document, in quotes.
    pub(super) fn members(&self) -> Vec<String> {
        let each = self.words.get("each").unwrap_or_default();
        let members = each.split(['.', '[', ']']).filter(|name| !name.is_empty());
        members.map(|name| format!("{name:?}")).collect()
    }

    /// Whether it is a history of this project.
    pub(super) fn is_history(&self) -> bool {
        matches!(self.kind, FormatKind::History)
    }

    /// The checks that its records leave out, as far as that is known.
    pub(super) fn lacks(&self) -> &'static str {
        match self.preset {
            Some(preset) => preset.lacks,
            None => "checks that were not logged",
        }
    }

    /// Finds the fields, by the first line where that is a header.
    pub(super) fn open(&self, first: &str, ask: &FieldsAsked<'_>) -> Result<OpenFormat, String> {
        let mut names = FieldNames(Vec::new());
        let mut rows = RowFormat::default();
        let unit = self.unit("unit")?.unwrap_or(super::time::TimeUnit::SECOND);
        let mut time = |word: &str, unit| {
            let name = self.words.get(word)?;
            Some(TimeField {
                place: names.place(name),
                unit,
            })
        };
        rows.begin = time("begin", unit);
        rows.end = time("end", unit);
        rows.duration = time("duration", self.unit("duration-unit")?.unwrap_or(unit));
        let mut place = |word: &str| Some(names.place(self.words.get(word)?));
        rows.status = place("status");
        rows.node = place("node");
        rows.cost = place("cost");
        rows.outcome = match (place("outcome"), place("flags")) {
            (Some(place), _) => Some(OwnVerdict::Always(place)),
            (None, flags) => flags.map(OwnVerdict::IfKnown),
        };
        if let Some(only) = self.words.get("only") {
            for part in only.split(';') {
                let (name, value) = part
                    .rsplit_once(':')
                    .ok_or_else(|| format!("only={part:?}: expected FIELD:VALUE"))?;
                rows.only.push((names.place(name), value.to_owned()));
            }
        }
        rows.takes = match self.words.get("takes") {
            Some(takes) => Some(duration("takes", takes)?),
            None => ask.takes,
        };
        if let Some(resolution) = self.words.get("resolution") {
            let nanos = duration("resolution", resolution)?.as_nanos();
            rows.resolution = Some(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
        let both = rows.begin.is_some() && rows.end.is_some();
        let length = both || rows.duration.is_some() || rows.takes.is_some();
        if !length || (rows.begin.is_none() && rows.end.is_none()) {
            return Err(self.no_interval(&rows));
        }
        if rows.status.is_none() && rows.outcome.is_none() && ask.outcomes {
            return Err("no field says whether a check was allowed: status= or outcome=".into());
        }
        let key = ask.key.or_else(|| self.words.get("key"));
        rows.key = self.key(key.ok_or_else(|| self.no_key())?, &mut names)?;
        let names = names.0;
        if names.len() > MOST_FIELDS {
            return Err(format!("the format wants more than {MOST_FIELDS} fields"));
        }
        let mut has_header = false;
        let (fields, text): (_, FieldText) = match &self.kind {
            FormatKind::History => return Err("a history has no other fields".into()),
            FormatKind::Csv => {
                let (columns, header) = CsvColumns::new(&names, first)?;
                has_header = header;
                (LineFields::Csv(columns), csv::decode)
            }
            FormatKind::Json => {
                let each = self.words.get("each").unwrap_or_default();
                (
                    LineFields::Json(JsonFields::new(each, &names)),
                    json::decode,
                )
            }
            FormatKind::Text(parts) => {
                let after = self.words.get("after").unwrap_or_default();
                let template = LineTemplate::new(parts, after, &names)?;
                (LineFields::Text(template), |raw| raw.into())
            }
        };
        Ok(OpenFormat {
            fields,
            text,
            rows,
            has_header,
        })
    }

    fn unit(&self, word: &str) -> Result<Option<super::time::TimeUnit>, String> {
        self.words.get(word).map(str::parse).transpose()
    }

    fn no_interval(&self, rows: &RowFormat) -> String {
        let (has, remedy) = match (&self.kind, rows.begin, rows.end) {
            (_, None, None) => ("neither begin nor end", "begin= or end="),
            (FormatKind::Text(_), None, _) => ("no begin", "log $request_time or %D, or"),
            (FormatKind::Text(_), ..) => ("no end", "log %D, or"),
            (_, None, _) => ("no begin", "name it with begin= or duration=, or"),
            _ => ("no end", "name it with end= or duration=, or"),
        };
        match (rows.begin, rows.end) {
            (None, None) => format!("the format has {has} of a check: {remedy}"),
            _ => format!(
                "the format has {has} of a check: {remedy} state the longest that one takes \
                 with --takes"
            ),
        }
    }

    fn no_key(&self) -> String {
        let example = match &self.kind {
            FormatKind::Text(parts) => {
                Vec::from_iter(parts.fields.iter().map(|(name, _)| name.as_str())).join(", ")
            }
            _ => "its fields".to_owned(),
        };
        format!(
            "by what does the limiter count? --key FIELD (of {example}), --key header:NAME, \
             --key '{{FIELD}}/{{FIELD}}', or --key all for one quota of all checks"
        )
    }

    /// `FIELD`, `header:NAME`, text with `{FIELD}`, or `all`. `FIELD|host` leaves out a port.
    fn key(&self, text: &str, names: &mut FieldNames) -> Result<KeyParts, String> {
        let mut part = |name: &str| {
            let (name, is_host) = match name.strip_suffix("|host") {
                Some(name) => (name, true),
                None => (name, false),
            };
            let name = match name.strip_prefix("header:") {
                Some(header) => self.header(header)?,
                None => name.to_owned(),
            };
            let place = names.place(&name);
            Ok::<_, String>(if is_host {
                KeyPart::Host(place)
            } else {
                KeyPart::Field(place)
            })
        };
        let mut parts = Vec::new();
        let mut rest = text;
        if text == "all" {
            return Ok(KeyParts::default());
        }
        if !text.contains('{') {
            return Ok(KeyParts(vec![part(text)?]));
        }
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("--key {text:?} has a {{ without its }}"))?;
            parts.extend((!before.is_empty()).then(|| KeyPart::Text(before.to_owned())));
            parts.push(part(name)?);
            rest = after;
        }
        parts.extend((!rest.is_empty()).then(|| KeyPart::Text(rest.to_owned())));
        Ok(KeyParts(parts))
    }

    /// The field of a header of requests.
    fn header(&self, name: &str) -> Result<String, String> {
        match self.words.get("header") {
            Some(pattern) if pattern.starts_with("http_") => {
                let name = name.to_ascii_lowercase().replace('-', "_");
                Ok(pattern.replace('*', &name))
            }
            Some(pattern) => Ok(pattern.replace('*', name)),
            None => Err(format!(
                "header:{name}: the format has no place for headers (header=)"
            )),
        }
    }
}

fn duration(word: &str, text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{word}={text:?}: {error}"))
}

/// Fields that a command asks for beside those of the format.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FieldsAsked<'a> {
    pub(super) key: Option<&'a str>,
    pub(super) takes: Option<Duration>,
    /// Whether outcomes are needed.
    pub(super) outcomes: bool,
}

/// Names of fields, each once.
struct FieldNames(Vec<String>);

impl FieldNames {
    fn place(&mut self, name: &str) -> usize {
        let known = self.0.iter().position(|known| known == name);
        known.unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        })
    }
}

/// A format that has found its fields.
#[derive(Clone, Debug)]
pub(super) struct OpenFormat {
    pub(super) fields: LineFields,
    pub(super) text: FieldText,
    pub(super) rows: RowFormat,
    /// Whether the first line is no record.
    pub(super) has_header: bool,
}

#[derive(Clone, Debug)]
pub(super) enum LineFields {
    Csv(CsvColumns),
    Json(JsonFields),
    Text(LineTemplate),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_format_say_what_to_do() {
        let ask = FieldsAsked {
            key: Some("k"),
            takes: None,
            outcomes: true,
        };
        for (text, reason) in [
            (
                "cady",
                "(did you mean \"caddy\"?): use auto, history, envoy",
            ),
            (
                "csv:begn=1",
                "no word \"begn\" in a format (did you mean \"begin\"?): use",
            ),
            ("csv:begin", "expected WORD=VALUE"),
            ("csv:begin=k,status=k", "--takes"),
            ("csv:status=k", "neither begin nor end"),
            ("csv:begin=k,end=k", "status= or outcome="),
            ("csv:begin=k,end=z,status=k", "no column \"z\""),
            ("csv:begin=k,end=k,status=k,unit=min", "no unit \"min\""),
            ("nginx:$k$status", "nothing separates"),
            ("nginx:$k $status $msec", "$request_time"),
            ("apache:%k %t %D", "status= or outcome="),
        ] {
            let opened = text.parse::<RecordFormat>().and_then(|format| {
                let source = format.source.ok_or("auto")?;
                source.open("k,v", &ask).map(|_| ())
            });
            let error = opened.expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
