//! The results of a torture: the lines on the screen, and the files.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use cli_support::{Exit, ResultDirectory, WrongUsage, append, print};
use outside_text::read_file;
use ratelimiter_api::Operation;
use ratelimiter_invariants::HistoryChecker;
use ratelimiter_verify::{
    CellProperty, CellVerdict, FaultTrial, Scorecard, scorecard_page, scorecard_summary,
};

/// The largest scorecard to compare with, bytes.
const LARGEST: u64 = 64 << 20;
/// The file of the scorecard, and the one that takes its place.
const SCORECARD: &str = "scorecard.json";
const NEXT: &str = "scorecard.json.next";
const PAGE: &str = "report.html";
const SUMMARY: &str = "summary.md";
/// The files beside the histories.
pub(super) const RESULTS: [&str; 4] = [SCORECARD, NEXT, PAGE, SUMMARY];

/// Reads an earlier scorecard.
pub(super) fn previous(path: &Path) -> anyhow::Result<Scorecard> {
    let text = read_file(path, LARGEST).with_context(|| format!("read {}", path.display()))?;
    let card = Scorecard::read(&String::from_utf8_lossy(&text));
    card.map_err(|why| WrongUsage(format!("{}: {why}", path.display())).into())
}

/// Writes the scorecard beside the one that stands, and puts it in its place.
pub(super) fn save(directory: &ResultDirectory, card: &Scorecard) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(card)? + "\n";
    directory.file(NEXT)?.write(&text)?;
    let place = |name| directory.path().join(name);
    std::fs::rename(place(NEXT), place(SCORECARD)).context("replace the scorecard")
}

/// Writes the page and the summary, and prints the end.
pub(super) fn finish(
    card: &Scorecard,
    operations: &[Vec<Operation>],
    checker: &HistoryChecker,
    previous: Option<&Scorecard>,
    directory: &ResultDirectory,
) -> anyhow::Result<()> {
    let changes = previous.map(|previous| card.against(previous));
    let changed = changes.as_deref().unwrap_or_default();
    let summary = scorecard_summary(card, changed);
    if let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY") {
        append(Path::new(&path), &summary)?;
    }
    let page = scorecard_page(card, operations, checker, changed);
    directory.file(PAGE)?.write(&page)?;
    directory.file(SUMMARY)?.write(&summary)?;
    print_end(card)?;
    if previous.is_some() && changed.is_empty() {
        print("no cell changed its verdict")?;
    }
    for change in changed {
        let (fault, property) = (&change.fault, change.property.as_str());
        let (before, now) = (change.before.as_str(), change.now.as_str());
        let sense = if change.is_worse() { "worse" } else { "better" };
        print(format_args!(
            "{sense}: {fault}/{property}: {before} before, {now} now"
        ))?;
    }
    print(format_args!("results: {}", directory.path().display()))
}

pub(super) fn heading() -> String {
    let names = CellProperty::all()
        .iter()
        .map(|property| format!("{:<9}", property.as_str()));
    format!("\n{:<15} {}", "fault", names.collect::<String>())
}

/// One line of the matrix: a symbol a property, and the effects.
pub(super) fn line(trial: &FaultTrial, left: &str) -> String {
    let symbols = CellProperty::all().iter().map(|property| {
        let verdict = trial.cell(*property).map(|cell| cell.verdict);
        format!("{:<9}", verdict.map_or(' ', CellVerdict::symbol))
    });
    let of = |of: Option<f64>| of.map(|of| format!(" of {of:.0}")).unwrap_or_default();
    let effects = trial
        .effects
        .iter()
        .map(|figure| format!("{} {:.0}{}", figure.name, figure.value, of(figure.of)));
    let effects = Vec::from_iter(effects).join(", ");
    let not_run = trial
        .cells
        .iter()
        .all(|cell| cell.verdict == CellVerdict::NotRun);
    let why = trial
        .cells
        .first()
        .filter(|_| not_run)
        .map(|cell| cell.reason.as_str());
    let symbols: String = symbols.collect();
    format!(
        "{:<15} {symbols}{} ({left})",
        trial.fault,
        why.unwrap_or(&effects)
    )
}

fn print_end(card: &Scorecard) -> anyhow::Result<()> {
    print("\n+ held, X broken, ? undecided, o no effect, - not run")?;
    for (trial, cell) in card.cells() {
        if matches!(cell.verdict, CellVerdict::Broken | CellVerdict::Undecided) {
            let (fault, property) = (&trial.fault, cell.property.as_str());
            let (verdict, reason) = (cell.verdict.as_str(), &cell.reason);
            print(format_args!("{fault}/{property} {verdict}: {reason}"))?;
        }
    }
    let counts = [
        CellVerdict::Held,
        CellVerdict::Broken,
        CellVerdict::Undecided,
        CellVerdict::NoEffect,
        CellVerdict::NotRun,
    ];
    let counts = counts.map(|verdict| format!("{} {}", card.count(verdict), verdict.as_str()));
    let partial = card.partial.as_ref().map(|why| format!("; partial: {why}"));
    print(format_args!(
        "{}; {} of {} faults; seed {}{}",
        counts.join(", "),
        card.trials.len(),
        card.planned,
        card.seed,
        partial.unwrap_or_default()
    ))
}

pub(super) fn exit(card: &Scorecard, fail_on: &[CellProperty]) -> Exit {
    let cells = card.cells().map(|(_, cell)| (cell.property, cell.verdict));
    exit_of(cells, fail_on)
}

fn exit_of(
    cells: impl IntoIterator<Item = (CellProperty, CellVerdict)>,
    fail_on: &[CellProperty],
) -> Exit {
    let counted = cells.into_iter().filter(|cell| fail_on.contains(&cell.0));
    let verdicts = Vec::from_iter(counted.map(|cell| cell.1));
    if verdicts.contains(&CellVerdict::Broken) {
        Exit::Violated
    } else if verdicts.contains(&CellVerdict::Undecided) || !verdicts.contains(&CellVerdict::Held) {
        Exit::Undecided
    } else {
        Exit::Success
    }
}

pub(super) fn whole_seconds(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs_f64().round() as u64))
}

#[cfg(test)]
mod tests {
    use CellProperty::{Denials, Excess, Recovery};
    use CellVerdict::{Broken, Held, NoEffect, NotRun, Undecided};

    use super::*;

    #[test]
    fn exit_code_is_of_named_properties() {
        let verdicts = [(Excess, Broken), (Denials, Undecided), (Recovery, Held)];
        let of = |fail_on: &[CellProperty]| exit_of(verdicts, fail_on);
        assert_eq!(of(&[Recovery]), Exit::Success);
        assert_eq!(of(&[Recovery, Denials]), Exit::Undecided);
        assert_eq!(of(&[Recovery, Denials, Excess]), Exit::Violated);
        let none_held = [(Excess, NotRun), (Denials, NoEffect)];
        assert_eq!(exit_of(none_held, &[Excess, Denials]), Exit::Undecided);
    }
}
