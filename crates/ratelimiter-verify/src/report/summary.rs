use std::fmt::Write as _;

use clap::ValueEnum as _;
use outside_text::clean_line;

use super::page::{RunFacts, command_line};
use super::screen::{headlines, hypothesis, symbol, word};
use super::{VERSION, named};
use crate::RunVerdict;
use crate::torture::{CellChange, CellProperty, CellVerdict, FaultTrial, Scorecard};

/// Rows of the table.
const ROWS: usize = 20;
/// Broken cells that are told in sentences.
const TOLD: usize = 8;

/// The verdict as Markdown, for a pull request: its sentences, the worst histories, and the command
/// to repeat the run.
pub fn summary(verdict: &RunVerdict, facts: RunFacts<'_>) -> String {
    let mut text = format!(
        "### {} {}\n\n",
        symbol(verdict.status),
        capitalized(word(verdict.status))
    );
    for line in verdict.doubts.iter().cloned().chain(headlines(verdict)) {
        let _ = writeln!(text, "{}\n", escaped(&line));
    }
    for line in hypothesis(verdict).iter().flat_map(|lines| lines.lines()) {
        let _ = writeln!(text, "{}\n", escaped(line));
    }
    text.push_str("| history | | most at once | allowed | denied | no decision |\n");
    text.push_str("|---|---|---:|---:|---:|---:|\n");
    let named = named(&verdict.judged);
    for (name, _, one) in named.iter().take(ROWS) {
        let tally = one.report.operations;
        let _ = writeln!(
            text,
            "| {} | {} {} | {} of {} | {} | {} | {} |",
            escaped(name),
            symbol(one.status),
            word(one.status).to_lowercase(),
            one.peaks(),
            one.report.permitted,
            tally.allowed,
            tally.denied,
            tally.failed + tally.unknown
        );
    }
    if named.len() > ROWS {
        let _ = writeln!(text, "\n{} more, none of them worse.", named.len() - ROWS);
    }
    let _ = write!(text, "\n{}, {VERSION}:", escaped(facts.target));
    text + &as_code(facts.command)
}

/// The scorecard as Markdown, for a pull request: its sentences, the changes since an earlier one,
/// the matrix, and the command to repeat it.
pub fn scorecard_summary(card: &Scorecard, changes: &[CellChange]) -> String {
    let (headline, lines) = scorecard_lines(card);
    let mut text = format!("### {}\n\n", escaped(&headline));
    for line in lines {
        let _ = writeln!(text, "{}\n", escaped(&line));
    }
    for one in changes {
        let _ = writeln!(text, "- {}", escaped(&told(one)));
    }
    let names = CellProperty::all().iter().map(|property| property.as_str());
    let _ = writeln!(text, "\n| fault | {} |", Vec::from_iter(names).join(" | "));
    let _ = writeln!(text, "|---|{}", ":---:|".repeat(CellProperty::all().len()));
    for trial in &card.trials {
        let cells = CellProperty::all().iter().map(|property| {
            let verdict = trial.cell(*property).map(|cell| cell.verdict);
            verdict.map_or(String::new(), |verdict| verdict.symbol().to_string())
        });
        let cells = Vec::from_iter(cells).join(" | ");
        let _ = writeln!(text, "| {} | {cells} |", escaped(&trial.fault));
    }
    let each = CellVerdict::value_variants().iter();
    let legend = each.map(|one| format!("{} {}", one.symbol(), one.as_str()));
    let _ = write!(text, "\n{}", Vec::from_iter(legend).join(", "));
    let (system, tool) = (escaped(&card.system), escaped(&card.tool));
    let _ = write!(text, "\n\n{system}; {tool}, seed {}:", card.seed);
    text + &as_code(&card.command)
}

/// A scorecard in sentences: its headline, then the counts of its cells and the broken ones.
pub(super) fn scorecard_lines(card: &Scorecard) -> (String, Vec<String>) {
    let worst = card.worst();
    let headline = format!(
        "{}: {} of {} cells; promised is {}",
        capitalized(worst.as_str()),
        card.count(worst),
        card.cells().count(),
        card.promise.join(" and ")
    );
    let counts = CellVerdict::value_variants().iter().rev();
    let counts = counts.map(|verdict| (card.count(*verdict), verdict.as_str()));
    let counts = counts.filter(|(count, _)| *count > 0);
    let counts = Vec::from_iter(counts.map(|(count, word)| format!("{count} {word}")));
    let mut lines = vec![format!(
        "{} of {} faults were played; of their cells {}.",
        card.trials.len(),
        card.planned,
        counts.join(", ")
    )];
    lines.extend(card.partial.iter().map(|why| format!("Partial: {why}.")));
    let mut broken = card
        .cells()
        .filter(|(_, cell)| cell.verdict == CellVerdict::Broken);
    lines.extend(broken.by_ref().take(TOLD).map(|(trial, cell)| {
        let property = capitalized(cell.property.as_str());
        format!("{property} broken under {}: {}", trial.fault, cell.reason)
    }));
    let more = broken.count();
    lines.extend((more > 0).then(|| format!("And {more} more broken cells.")));
    (headline, lines)
}

/// A word as the first of a sentence.
pub(super) fn capitalized(word: &str) -> String {
    let mut text = word.to_lowercase();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// A change in words.
pub(super) fn told(change: &CellChange) -> String {
    let word = if change.is_worse() { "Worse" } else { "Better" };
    let [before, now] = [change.before, change.now].map(CellVerdict::as_str);
    let (property, fault) = (change.property.as_str(), &change.fault);
    format!("{word}: {property} under {fault}, {before} before, {now} now")
}

/// Whether no effect of a fault was measured.
pub(super) fn without_effect(trial: &FaultTrial) -> bool {
    trial.effects.iter().all(|effect| effect.value == 0.0)
}

/// A command as a block of code, in which no sign has a meaning.
fn as_code(command: &[String]) -> String {
    format!("\n\n    {}\n", clean_line(&command_line(command)))
}

/// Text in which no sign has a meaning for Markdown or HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in clean_line(text).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                escaped.extend(['\\', c]);
            }
            // Names would be notified.
            '@' => escaped.push_str("@<!-- -->"),
            c => escaped.push(c),
        }
    }
    escaped
}
