//! The scorecard: every fault against every property. Pure data, written as `scorecard.json`.

use std::time::Duration;

use clap::ValueEnum;
use ratelimiter_api::millis;
use serde::{Deserialize, Serialize};

/// Version of `scorecard.json`. Raised when a field changes its meaning or goes.
pub const SCORECARD_VERSION: u32 = 1;

/// All cells of one torture: the trials so far, one a fault, with a cell a property each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scorecard {
    /// [`SCORECARD_VERSION`] of its writer.
    pub version: u32,
    /// The program and its version.
    pub tool: String,
    /// Operating system and architecture.
    pub platform: String,
    /// Start, RFC 3339.
    pub date: String,
    /// The system, in a few words without secrets.
    pub system: String,
    /// The program and version of the store, where one is known.
    pub store: Option<String>,
    /// The promise, in its text form.
    pub promise: Vec<String>,
    /// The failure policy that the system states.
    pub policy: Option<String>,
    /// Seed of all draws.
    pub seed: u64,
    /// The command that plays all of it again, secrets hidden.
    pub command: Vec<String>,
    /// Number of trials that were asked for.
    pub planned: usize,
    /// The reason why trials are missing, where they are.
    pub partial: Option<String>,
    /// One trial a fault, in the order of play.
    pub trials: Vec<FaultTrial>,
}

/// One fault, played once, with the cells that it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultTrial {
    /// Name of the fault, such as `writes-held`.
    pub fault: String,
    /// The fault in a sentence.
    pub about: String,
    /// The time of the fault as it was asked for; on the clock of the history, as all times here.
    pub requested: Option<TimeBand>,
    /// From the first to the last effect that was measured.
    pub measured: Option<TimeBand>,
    /// Measured effects, such as commands that were held. A fault whose effects are all 0 had none.
    pub effects: Vec<CellFigure>,
    /// Path of the history, relative to the scorecard.
    pub history: Option<String>,
    /// SHA-256 of the history, hexadecimal.
    pub history_sha256: Option<String>,
    /// Counts that the store held, where the system says how it counts a key.
    pub counts: Vec<StoreCount>,
    /// One cell a property, in the order of [`CellProperty`].
    pub cells: Vec<Cell>,
    /// The command that repeats this trial, secrets hidden.
    pub repeat: Vec<String>,
}

/// A time from start to end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeBand {
    /// Its start.
    #[serde(rename = "start_ms", with = "millis")]
    pub start: Duration,
    /// Its end.
    #[serde(rename = "end_ms", with = "millis")]
    pub end: Duration,
}

/// The count of one key in the store at an instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoreCount {
    /// When the store answered.
    #[serde(rename = "at_ms", with = "millis")]
    pub at: Duration,
    /// The key.
    pub key: String,
    /// The count; `None` when the store did not answer.
    pub count: Option<i64>,
}

/// One fault against one property.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The property.
    pub property: CellProperty,
    /// Whether it held.
    pub verdict: CellVerdict,
    /// The reason in a sentence; for a broken one the witness.
    pub reason: String,
    /// The measured figures on which the verdict rests.
    pub figures: Vec<CellFigure>,
}

/// The properties, in the order of their columns. `--cell` takes their names.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum CellProperty {
    /// No more is admitted than promised
    Excess,
    /// No check is denied that the promise permits
    Denials,
    /// The store counts no more than was admitted, or may have been
    Growth,
    /// Every check is answered within its deadline
    Answers,
    /// Without the store, checks are answered as the system states
    Policy,
    /// The limiter's statements agree with its answers
    Fields,
    /// Checks are decided again soon after the fault
    Recovery,
}

impl CellProperty {
    /// All, in the order of their columns.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The name, as in `scorecard.json` and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Excess => "excess",
            Self::Denials => "denials",
            Self::Growth => "growth",
            Self::Answers => "answers",
            Self::Policy => "policy",
            Self::Fields => "fields",
            Self::Recovery => "recovery",
        }
    }
}

/// The answer to a check that needs the store while the store does not answer, as a system states
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutagePolicy {
    /// The check is denied, or decided by what the node knows.
    Deny,
    /// The check is allowed.
    Allow,
    /// The check fails, as with a status of 503.
    Fail,
    /// The node counts alone.
    Local,
}

impl OutagePolicy {
    /// The name, as in `scorecard.json` and in a system file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
            Self::Fail => "fail",
            Self::Local => "local",
        }
    }
}

/// The verdict of one cell, the best first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum CellVerdict {
    /// The property held while the fault had effect
    Held,
    /// The cell was not played: the system does not permit it, or states nothing to compare with
    NotRun,
    /// The fault had no effect that was measured, so nothing was survived
    NoEffect,
    /// Neither is proved by the recorded times
    Undecided,
    /// The property was broken
    Broken,
}

impl CellVerdict {
    /// The verdict in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NotRun => "not run",
            Self::NoEffect => "no effect",
            Self::Undecided => "undecided",
            Self::Broken => "broken",
        }
    }

    /// One character for a matrix.
    pub const fn symbol(self) -> char {
        match self {
            Self::Held => '+',
            Self::NotRun => '-',
            Self::NoEffect => 'o',
            Self::Undecided => '?',
            Self::Broken => 'X',
        }
    }
}

/// A measured number with its denominator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellFigure {
    /// The measured thing, with its unit, such as "commands held" or "latest answer, ms".
    pub name: String,
    /// The number.
    pub value: f64,
    /// The number that it is of, or the bound that it has to keep.
    pub of: Option<f64>,
}

impl CellFigure {
    /// A figure.
    pub fn new(name: impl Into<String>, value: f64, of: impl Into<Option<f64>>) -> Self {
        Self {
            name: name.into(),
            value,
            of: of.into(),
        }
    }
}

/// A cell whose verdict is another than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellChange {
    /// Name of the fault.
    pub fault: String,
    /// The property.
    pub property: CellProperty,
    /// The verdict before.
    pub before: CellVerdict,
    /// The verdict now.
    pub now: CellVerdict,
}

impl CellChange {
    /// Whether it became worse.
    pub fn is_worse(&self) -> bool {
        self.now > self.before
    }
}

/// The worst verdict of cells that were played; `NotRun` when none was.
fn worst_played<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> CellVerdict {
    let verdicts = cells.into_iter().map(|cell| cell.verdict);
    let played = verdicts.filter(|verdict| *verdict != CellVerdict::NotRun);
    played.max().unwrap_or(CellVerdict::NotRun)
}

impl FaultTrial {
    /// The cell of a property.
    pub fn cell(&self, property: CellProperty) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.property == property)
    }

    /// The worst verdict of its cells that were played; `NotRun` when none was.
    pub fn worst(&self) -> CellVerdict {
        worst_played(&self.cells)
    }
}

impl Scorecard {
    /// All cells, with the trial of each.
    pub fn cells(&self) -> impl Iterator<Item = (&FaultTrial, &Cell)> {
        let of = |trial| move |cell| (trial, cell);
        self.trials
            .iter()
            .flat_map(move |trial| trial.cells.iter().map(of(trial)))
    }

    /// The worst verdict of all cells that were played; `NotRun` when none was.
    pub fn worst(&self) -> CellVerdict {
        worst_played(self.cells().map(|(_, cell)| cell))
    }

    /// Number of cells with this verdict.
    pub fn count(&self, verdict: CellVerdict) -> usize {
        let is = |(_, cell): &(_, &Cell)| cell.verdict == verdict;
        self.cells().filter(is).count()
    }

    /// Reads the text of a `scorecard.json`.
    ///
    /// # Errors
    /// When it is none, or one of another version; in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let card: Self =
            serde_json::from_str(text).map_err(|error| format!("no scorecard: {error}"))?;
        if card.version != SCORECARD_VERSION {
            return Err(format!(
                "a scorecard of version {}; this program reads {SCORECARD_VERSION}",
                card.version
            ));
        }
        Ok(card)
    }

    /// The cells that both have, and whose verdicts differ; the worse ones first.
    pub fn against(&self, previous: &Self) -> Vec<CellChange> {
        let mut changes: Vec<_> = self
            .cells()
            .filter_map(|(trial, cell)| {
                let same = |t: &&FaultTrial| t.fault == trial.fault;
                let before = previous.trials.iter().find(same)?.cell(cell.property)?;
                (before.verdict != cell.verdict).then(|| CellChange {
                    fault: trial.fault.clone(),
                    property: cell.property,
                    before: before.verdict,
                    now: cell.verdict,
                })
            })
            .collect();
        changes.sort_by_key(|change| !change.is_worse());
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(verdicts: &[CellVerdict]) -> Scorecard {
        let cell = |(property, verdict): (&CellProperty, &CellVerdict)| Cell {
            property: *property,
            verdict: *verdict,
            reason: "measured".into(),
            figures: vec![CellFigure::new("excess", 0.0, 40.0)],
        };
        let band = TimeBand {
            start: Duration::from_millis(5),
            end: Duration::from_millis(9),
        };
        Scorecard {
            version: SCORECARD_VERSION,
            tool: "tool 1".into(),
            platform: "linux".into(),
            date: "2026-01-01T00:00:00Z".into(),
            system: "a limiter".into(),
            store: None,
            promise: vec!["10/1m".into()],
            policy: Some("deny".into()),
            seed: 7,
            command: vec!["torture".into()],
            planned: 1,
            partial: None,
            trials: vec![FaultTrial {
                fault: "writes-held".into(),
                about: "writes wait".into(),
                requested: Some(band),
                measured: None,
                effects: Vec::new(),
                history: None,
                history_sha256: None,
                counts: vec![StoreCount {
                    at: Duration::from_millis(6),
                    key: "k".into(),
                    count: None,
                }],
                cells: CellProperty::all().iter().zip(verdicts).map(cell).collect(),
                repeat: Vec::new(),
            }],
        }
    }

    #[test]
    fn text_reads_back_as_written() {
        let card = card(&[CellVerdict::Held, CellVerdict::NoEffect]);
        let text = serde_json::to_string(&card).unwrap();
        assert_eq!(Scorecard::read(&text), Ok(card));
        let newer = text.replacen("\"version\":1", "\"version\":9", 1);
        assert!(Scorecard::read(&newer).unwrap_err().contains("version 9"));
    }

    #[test]
    fn cells_not_played_rank_nothing() {
        use CellVerdict::{Held, NotRun, Undecided};
        let worst = |verdicts: &[CellVerdict]| card(verdicts).trials[0].worst();
        assert_eq!(worst(&[Held, NotRun]), Held);
        assert_eq!(worst(&[NotRun, Undecided, Held]), Undecided);
        assert_eq!(worst(&[NotRun]), NotRun);
    }

    #[test]
    fn comparison_names_changes_worse_first() {
        use CellVerdict::{Broken, Held, Undecided};
        let changes = card(&[Held, Broken, Held]).against(&card(&[Undecided, Held, Held]));
        let named: Vec<_> = changes.iter().map(|c| (c.property, c.is_worse())).collect();
        let expected = [(CellProperty::Denials, true), (CellProperty::Excess, false)];
        assert_eq!(named, expected);
    }
}
