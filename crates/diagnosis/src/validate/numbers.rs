//! Rule 6: every number in the text occurs in a row it cites.

use std::collections::HashSet;

use super::AnswerAudit;
use crate::{
    clean::capped,
    evidence::{Evidence, EvidenceFact, EvidenceId, EvidenceRow},
    figure::word,
    result::Diagnosis,
};

/// How far a number in the text may be from the one in the row.
const TOLERANCE: f64 = 0.01;

pub(super) fn check(check: &mut AnswerAudit<'_>, diagnosis: &Diagnosis) {
    let names = digit_names(check.evidence, diagnosis);
    let mut texts: Vec<(String, &str, Vec<EvidenceId>)> = Vec::new();
    for h in &diagnosis.hypotheses {
        let cited = h.supports.iter().chain(&h.against).copied().collect();
        texts.push((
            format!("the statement of hypothesis {}", h.id),
            &h.statement,
            cited,
        ));
    }
    for text in &diagnosis.unknowns {
        texts.push(("an unknown".to_owned(), text, Vec::new()));
    }
    for (place, text, mut cited) in texts {
        cited.extend(inline(text));
        let rows: Vec<f64> = cited
            .iter()
            .filter_map(|id| check.evidence.row(*id))
            .flat_map(EvidenceRow::numbers)
            .collect();
        for number in strangers(&masked(text, &names), &rows) {
            check.breach(
                6,
                format!("{place} says {number:?}, which no row it cites contains"),
            );
        }
    }
    predictions(check, diagnosis);
}

/// The level a signal is to return to has to be one it had.
fn predictions(check: &mut AnswerAudit<'_>, diagnosis: &Diagnosis) {
    for p in diagnosis.action.iter().flat_map(|a| &a.predict) {
        let Some(to) = p.to else { continue };
        let known = check
            .evidence
            .rows
            .iter()
            .filter(|r| r.entity() == p.entity && r.signal() == Some(&p.signal))
            .flat_map(EvidenceRow::numbers)
            .any(|n| close(to, n));
        if !known {
            check.breach(
                6,
                format!(
                    "the prediction that {:?} goes to {to} is not in its row",
                    p.signal
                ),
            );
        }
    }
}

/// The rows a text cites in line, in brackets: `[E3]`, `[E3, E4]`. Any other E3 is a name.
pub(super) fn inline(text: &str) -> Vec<EvidenceId> {
    let mut cited = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        rest = &rest[start + 1..];
        let Some(end) = rest.find([']', '[']) else {
            break;
        };
        let ids = rest[..end].split([',', ' ']).filter(|id| !id.is_empty());
        if let Ok(ids) = ids.map(str::parse).collect::<Result<Vec<EvidenceId>, _>>() {
            cited.extend(ids);
        }
    }
    cited
}

/// Every name with a digit in it, the longest first: no name then hides in another.
fn digit_names(evidence: &Evidence, diagnosis: &Diagnosis) -> Vec<String> {
    let mut all: HashSet<String> = HashSet::new();
    // a name that could be a number counts as one, unless it is in quotes
    let mut name = |text: &str| {
        if text.chars().any(char::is_numeric) {
            all.insert(word(text));
        }
    };
    for row in &evidence.rows {
        name(&row.id.to_string());
        name(row.entity());
        row.signal().into_iter().for_each(&mut name);
        match &row.fact {
            EvidenceFact::Violation(v) => name(&v.invariant),
            EvidenceFact::Change(c) => name(&c.unit),
            EvidenceFact::Steady(s) => name(&s.unit),
            EvidenceFact::Gap(_) => {}
        }
    }
    for entity in &evidence.topology.entities {
        for text in [&entity.id, &entity.kind, &entity.label] {
            name(text);
        }
    }
    evidence.actions.iter().for_each(|a| name(&a.id));
    // "H2", and nothing longer: an id could contain a figure
    let ids = diagnosis.hypotheses.iter().map(|h| &h.id);
    ids.filter(|id| id.len() <= 3 && id.starts_with('H'))
        .for_each(|id| name(id));
    let prose = evidence
        .topology
        .entities
        .iter()
        .map(|e| &e.describes)
        .chain(evidence.actions.iter().map(|a| &a.label))
        .chain(evidence.topology.edges.iter().map(|e| &e.rel));
    prose
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()))
        .filter(|word| word.starts_with(char::is_alphabetic))
        .for_each(&mut name);
    let mut all: Vec<String> = all.into_iter().collect();
    all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    all
}

/// The text with every name replaced by as many spaces.
fn masked(text: &str, names: &[String]) -> String {
    let mut text = text.to_owned();
    for name in names {
        let mut from = 0;
        while let Some(at) = text[from..].find(name.as_str()).map(|at| at + from) {
            let end = at + name.len();
            let joined = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let whole =
                !joined(text[..at].chars().next_back()) && !joined(text[end..].chars().next());
            if whole {
                text.replace_range(at..end, &" ".repeat(name.len()));
            }
            from = end;
        }
    }
    text
}

/// The numbers in a text that are none of `known`.
fn strangers(text: &str, known: &[f64]) -> Vec<String> {
    let found = |value: f64| known.iter().any(|k| close(value, *k));
    let mut strange = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(char::is_numeric) {
        let tail = &rest[start..];
        if !tail.starts_with(|c: char| c.is_ascii_digit()) {
            // a numeral that cannot be read cannot be checked
            let end = tail.find(|c: char| !c.is_numeric()).unwrap_or(tail.len());
            strange.push(capped(&tail[..end], 40));
            rest = &tail[end..];
            continue;
        }
        let fraction = rest[..start].ends_with('.') && !rest[..start].ends_with("..");
        let length = number_length(tail);
        let text = if fraction {
            &rest[start - 1..start + length]
        } else {
            &tail[..length]
        };
        let plain = text.replace([',', '_'], "");
        let value = plain.parse::<f64>().unwrap_or(f64::NAN);
        let percent = tail[length..].trim_start().starts_with('%');
        // "1,200" is one number, "1,200" may also be two of a list
        let listed = || text.contains(',') && text.split(',').all(|p| p.parse().is_ok_and(found));
        if !(found(value) || (percent && found(value / 100.0)) || listed()) {
            strange.push(capped(text, 40));
        }
        rest = &tail[length..];
    }
    strange
}

/// How many bytes of the text, which begins with a digit, are one number.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let mut end = 0;
    while digit(end) || (matches!(bytes.get(end), Some(b',' | b'_' | b'.')) && digit(end + 1)) {
        end += 1;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if digit(end + 1 + sign) {
            end += 1 + sign;
            while digit(end) {
                end += 1;
            }
        }
    }
    end
}

fn close(value: f64, known: f64) -> bool {
    let (value, known) = (value.abs(), known.abs());
    (value - known).abs() <= TOLERANCE * known + 1e-12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_however_they_are_written() {
        let known = [0.25, 1200.0, 20.2, 99.0];
        let none: Vec<String> = Vec::new();
        assert_eq!(strangers("from 0.25 to 1,200 at 20.2s", &known), none);
        assert_eq!(strangers("from .25 to 1200 at 20.2, then 99", &known), none);
        assert_eq!(strangers("25 % of 1.2e3", &known), none);
        assert_eq!(strangers("at 20.2,99", &known), none);
        assert_eq!(strangers("it fell by 42", &known), ["42"]);
        assert_eq!(strangers("1e15 times", &known), ["1e15"]);
        assert_eq!(strangers("x500, p95", &known), ["500", "95"]);
        assert_eq!(
            strangers("half is ½, full-width ９９", &known),
            ["½", "９９"]
        );
        assert_eq!(strangers("1.2.3", &known), ["1.2.3"]);
    }

    #[test]
    fn one_percent_is_close_enough() {
        assert!(close(1.009, 1.0) && close(-1.0, 1.0) && close(0.0, 0.0));
        assert!(!close(1.02, 1.0) && !close(0.001, 0.0));
    }

    #[test]
    fn citations_in_line_are_seen() {
        let ids: Vec<String> = inline("a [E3], [E14 E2], E9 and [E5, E6] [x] [E] [E7")
            .iter()
            .map(EvidenceId::to_string)
            .collect();
        assert_eq!(ids, ["E3", "E14", "E2", "E5", "E6"]);
    }
}
