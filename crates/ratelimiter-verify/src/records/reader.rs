//! Files of records in, one history a key out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, UNIX_EPOCH};

use ratelimiter_api::Key;
use ratelimiter_invariants::History;

use super::detect::detect;
use super::error::RecordError;
use super::field::RowDefect;
use super::format::{FieldsAsked, FormatSource, RecordFormat};
use super::histories::KeyedHistories;
use super::history_line::add_line;
use super::lines::RecordFile;
use super::outcome::StatusOutcomes;
use super::row::Row;

/// How records are read.
#[derive(Clone, Debug)]
pub struct RecordSettings {
    /// The format of all files.
    pub format: RecordFormat,
    /// The field, the header or the expression that is the key, instead of the format's own.
    pub key: Option<String>,
    /// The longest that a check takes, where a record has one of its times only.
    pub takes: Option<Duration>,
    /// Outcomes by status.
    pub outcomes: StatusOutcomes,
    /// Whether outcomes are of no use, so that a record needs none.
    pub demand_only: bool,
    /// Whether keys are shown by a number instead of their text.
    pub hide_keys: bool,
    /// Bytes of files that were read so far, for a display of progress.
    pub bytes_read: Arc<AtomicU64>,
}

/// Histories of records.
#[derive(Debug)]
pub struct Records {
    /// One history a key, in the order of keys.
    pub histories: Vec<(Key, History)>,
    /// The instant that times count from, since 1970; zero where they are a history's own.
    pub origin: Duration,
    /// The checks that may be missing; empty if all are there.
    pub lacks: &'static str,
    /// Sentences about the reading.
    pub notes: Vec<String>,
}

/// Reads files of records, each a node's, and merges them. Times count from the first of all
/// checks, but for histories, which keep their own.
///
/// # Errors
/// At the first line that is no record of the format.
pub fn read_records(files: &[PathBuf], settings: &RecordSettings) -> Result<Records, RecordError> {
    let mut reader = RecordReader {
        settings,
        histories: KeyedHistories::new(settings.hide_keys),
        notes: Vec::new(),
        lacks: "",
        clocks: Vec::new(),
        open: BTreeMap::new(),
        keyless: 0,
    };
    for path in files {
        let file = RecordFile::open(path, &settings.bytes_read).map_err(RecordError::file);
        let read = file.and_then(|file| reader.read(path, file));
        read.map_err(|error| error.of(path))?;
    }
    Ok(reader.records())
}

/// What times count from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RecordClock {
    /// A history's own origin.
    History,
    /// 1970.
    Epoch,
    /// The start of the program that wrote them.
    Start,
}

struct RecordReader<'s> {
    settings: &'s RecordSettings,
    histories: KeyedHistories,
    notes: Vec<String>,
    lacks: &'static str,
    clocks: Vec<RecordClock>,
    /// Answers that decide nothing, by status.
    open: BTreeMap<u16, u64>,
    keyless: u64,
}

impl RecordReader<'_> {
    fn read(&mut self, path: &Path, file: RecordFile) -> Result<(), RecordError> {
        let source = match &self.settings.format.source {
            Some(source) => source.clone(),
            None => detect(file.sample(), &self.settings.outcomes).map_err(RecordError::file)?,
        };
        let clock = match source.preset {
            _ if source.is_history() => RecordClock::History,
            Some(preset) if preset.own_clock => RecordClock::Start,
            _ => RecordClock::Epoch,
        };
        let mixed = self.clocks.iter().any(|other| *other != clock);
        if mixed || (clock == RecordClock::Start && !self.clocks.is_empty()) {
            return Err(RecordError::file(
                "its times count from another instant than those of the file before: they cannot \
                 be merged",
            ));
        }
        self.clocks.push(clock);
        if !source.lacks().is_empty() {
            self.lacks = source.lacks();
        }
        let name = source.preset.map(|preset| preset.name);
        let before = self.histories.checks;
        if source.is_history() {
            file.lines(|line| add_line(&mut self.histories, line))?;
        } else {
            self.read_rows(path, file, &source)?;
            let checks = self.histories.checks - before;
            let path = path.display();
            let format = name.map_or(String::new(), |name| format!(", read as {name}"));
            self.notes.push(format!("{path}: {checks} checks{format}"));
        }
        Ok(())
    }

    fn read_rows(
        &mut self,
        path: &Path,
        file: RecordFile,
        source: &FormatSource,
    ) -> Result<(), RecordError> {
        let settings = self.settings;
        let ask = FieldsAsked {
            key: settings.key.as_deref(),
            takes: settings.takes,
            outcomes: !settings.demand_only,
        };
        let sample = String::from_utf8_lossy(file.sample());
        let first = sample.lines().find(|line| !line.trim().is_empty());
        let format = source.open(first.unwrap_or_default().trim_ascii_end(), &ask);
        let format = format.map_err(RecordError::file)?;
        let node = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let node = node.unwrap_or_default();
        let mut latest_local = 0;
        let mut add = |row: Row<'_>| {
            if row.is_local {
                if row.invoke + HALF_AN_HOUR < latest_local {
                    return Err(RowDefect::LocalTime);
                }
                latest_local = latest_local.max(row.invoke);
            }
            self.add(&row, &node)
        };
        if source.is_whole() {
            let text = file.document()?;
            let rows = format.rows_of(&text, &settings.outcomes, add);
            return rows.map_err(RecordError::file);
        }
        let mut header = format.has_header;
        file.lines(|line| {
            if std::mem::take(&mut header) {
                return Ok(());
            }
            format.rows_of(line, &settings.outcomes, &mut add)
        })
    }

    fn add(&mut self, row: &Row<'_>, file: &str) -> Result<(), RowDefect> {
        if row.key.is_empty() {
            self.keyless += 1;
            return Ok(());
        }
        if let Some(status) = row.open_status {
            *self.open.entry(status).or_default() += 1;
        }
        let node = if row.node.is_empty() { file } else { &row.node };
        let [invoke, complete] = [row.invoke, row.complete].map(Duration::from_nanos);
        let span = (invoke, complete);
        (self.histories).add(&row.key, node, span, row.outcome, row.cost)
    }

    fn records(mut self) -> Records {
        let epoch = self.clocks.first() == Some(&RecordClock::Epoch);
        let origin = self.histories.start().filter(|_| epoch);
        if let Some(origin) = origin {
            self.histories.count_from(origin);
            let date = humantime::format_rfc3339_micros(UNIX_EPOCH + origin);
            self.notes.push(format!("times count from {date}"));
        }
        if self.clocks.len() > 1 {
            self.notes.push(
                "the clocks of these files are taken to differ by --uncertainty at most".into(),
            );
        }
        if self.keyless > 0 {
            self.notes.push(format!(
                "{} records without a key are left out",
                self.keyless
            ));
        }
        if self.histories.unfit > 0 {
            let unfit = self.histories.unfit;
            self.notes.push(format!(
                "{unfit} keys are shown by a number: too long, or unprintable"
            ));
        }
        if !self.open.is_empty() && !self.settings.demand_only {
            let statuses = self.open.iter().map(|(status, checks)| match status {
                0 => format!("no status ({checks})"),
                status => format!("{status} ({checks})"),
            });
            self.notes.push(format!(
                "answers that decide nothing, by status: {}; --allowed, --denied and --failed \
                 say otherwise",
                Vec::from_iter(statuses).join(", ")
            ));
        }
        Records {
            origin: origin.unwrap_or_default(),
            lacks: self.lacks,
            notes: self.notes,
            histories: self.histories.sorted(),
        }
    }
}

/// Nanoseconds.
const HALF_AN_HOUR: u64 = 1_800_000_000_000;
