use std::fmt::Write as _;
use std::time::Duration;

use ratelimiter_api::{NodeId, Operation, Outcome};
use ratelimiter_invariants::{Verdict, Witness};

use super::screen::{headlines, notes, word};
use crate::{KeyJudgement, Plan, RunStatus, RunVerdict, StepRecord};

/// Width of a drawing, and of its column of names, in pixels.
const WIDTH: f64 = 960.0;
const NAMES: f64 = 150.0;
/// Height of a lane, and of the curve below the lanes.
const LANE: f64 = 26.0;
const CURVE: f64 = 90.0;
/// Rows of a lane, for checks at the same time.
const ROWS: usize = 5;
/// Above so many checks a lane shows how many lie in each column instead of each check.
const MOST_DRAWN: usize = 2_000;

const STYLE: &str = "
body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;
  color:#1b1f24;background:#fff}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25em .6em;border-bottom:1px solid #d5d9de}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}h2{margin-top:2em}a{color:inherit}
.passed{color:#1a7f37}.violated{color:#b3261e;font-weight:600}
.undecided,.not-exercised{color:#8a6100}
svg{width:100%;height:auto;background:#f6f8fa;border-radius:6px}
svg text{font:12px system-ui,sans-serif;fill:#57606a}
.allowed{fill:#1a7f37}.denied{fill:none;stroke:#57606a}.other{fill:#8a6100}
.witness{stroke:#b3261e;stroke-width:2}.band{fill:#b3261e;opacity:.12}
.limit{stroke:#b3261e;stroke-dasharray:5 4}.curve{fill:none;stroke:#1a7f37;stroke-width:1.5}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,td{border-color:#30363d}
svg{background:#161b22}svg text{fill:#9198a1}
.passed{color:#3fb950}.violated{color:#ff7b72}.undecided,.not-exercised{color:#d29922}
.allowed{fill:#3fb950}.denied{stroke:#9198a1}.curve{stroke:#3fb950}
.witness,.limit{stroke:#ff7b72}}";

/// The verdict as one page that needs nothing else: no script, no font, no network.
pub fn page(plan: &Plan, recorded: &[StepRecord], verdict: &RunVerdict, target: &str) -> String {
    let contract = escaped(&plan.promise.to_string());
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{contract}: {}</title>\n<style>{STYLE}</style>\n\
         <h1 class=\"{1}\">{2}</h1>\n<p>{3}<br>{4}</p>\n",
        word(verdict.status),
        class_of(verdict.status),
        escaped(
            &[verdict.doubts.clone(), headlines(verdict)]
                .concat()
                .join(" ")
        ),
        escaped(target),
        concat!("ratelimiter-verify ", env!("CARGO_PKG_VERSION")),
    );
    text.push_str(
        "<table><tr><th>phase<th>verdict<th class=n>allowed<th class=n>denied<th \
        class=n>other<th class=n>in one window\n",
    );
    for (n, one) in verdict.judged.iter().enumerate() {
        let (tally, report) = (one.report.operations, &one.report);
        let _ = writeln!(
            text,
            "<tr><td><a href=\"#h{n}\">{}</a><td class=\"{}\">{}<td class=n>{}<td \
             class=n>{}<td class=n>{}<td class=n>{} of {}",
            one.phase_name(),
            class_of(one.status),
            word(one.status).to_lowercase(),
            tally.allowed,
            tally.denied,
            tally.failed + tally.unknown,
            one.peaks(),
            report.contract.max(),
        );
    }
    text.push_str("</table>\n");
    for skipped in &verdict.not_played {
        let _ = writeln!(
            text,
            "<p>Not played: {}: {}</p>",
            skipped.phase,
            escaped(&skipped.reason)
        );
    }
    text.push_str(
        "<p>Each row of a drawing is a node; a bar reaches from a request to its answer. Full: \
         allowed; hollow: denied; ochre: neither; outlined in red: the witness. The curve is the \
         cost admitted in the window before each answer, the dashed line the limit.</p>\n",
    );
    for (n, one) in verdict.judged.iter().enumerate() {
        let _ = writeln!(
            text,
            "<h2 id=\"h{n}\">{}: <span class=\"{}\">{}</span></h2>\n<p>{}</p>",
            one.phase_name(),
            class_of(one.status),
            word(one.status).to_lowercase(),
            notes(one)
                .iter()
                .map(|note| escaped(note))
                .collect::<Vec<_>>()
                .join("<br>"),
        );
        let operations: Vec<&Operation> = recorded
            .iter()
            .filter(|record| one.phase.is_none_or(|phase| phase == record.phase))
            .flat_map(|record| &record.operations)
            .filter(|op| op.key == one.key)
            .collect();
        text.push_str(&drawing(one, &operations));
    }
    text.push_str("</html>\n");
    text
}

fn class_of(status: RunStatus) -> String {
    word(status).to_lowercase().replace(' ', "-")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Times of a history as places on the drawing.
#[derive(Clone, Copy)]
struct TimeAxis {
    first: Duration,
    span: f64,
}

impl TimeAxis {
    fn of(operations: &[&Operation]) -> Self {
        let first = operations
            .iter()
            .map(|op| op.invoke)
            .min()
            .unwrap_or_default();
        let last = operations
            .iter()
            .map(|op| op.complete)
            .max()
            .unwrap_or_default();
        Self {
            first,
            span: (last - first).as_secs_f64().max(1e-6),
        }
    }

    fn place(self, time: Duration) -> f64 {
        let part = time.saturating_sub(self.first).as_secs_f64() / self.span;
        NAMES + part.min(1.0) * (WIDTH - NAMES - 20.0)
    }
}

fn drawing(one: &KeyJudgement, operations: &[&Operation]) -> String {
    let mut nodes: Vec<&NodeId> = operations.iter().map(|op| &op.node).collect();
    nodes.sort();
    nodes.dedup();
    let axis = TimeAxis::of(operations);
    let lanes = LANE * nodes.len() as f64;
    let height = lanes + CURVE + 40.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"checks over time\">"
    );
    if let Some(band) = one.fault {
        let (from, to) = (
            axis.place(band.start),
            axis.place(band.end.unwrap_or(Duration::MAX)),
        );
        let _ = write!(
            svg,
            "<rect class=\"band\" x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{:.1}\"/>",
            to - from,
            height - 20.0
        );
    }
    let witness = match &one.report.verdict {
        Verdict::Violated(witness) => Some(witness),
        _ => None,
    };
    for (n, node) in nodes.iter().enumerate() {
        let top = LANE * n as f64 + 6.0;
        let _ = write!(
            svg,
            "<text x=\"4\" y=\"{:.1}\">{}</text>",
            top + 12.0,
            escaped(node.as_str())
        );
        let lane: Vec<&Operation> = operations
            .iter()
            .copied()
            .filter(|op| op.node == **node)
            .collect();
        if operations.len() > MOST_DRAWN {
            svg.push_str(&density(axis, &lane, top));
        } else {
            let row = |n: usize| top + (n % ROWS) as f64 * 4.0;
            lane.iter()
                .enumerate()
                .for_each(|(n, op)| svg.push_str(&bar(axis, op, witness, row(n))));
        }
    }
    svg.push_str(&curve(one, axis, operations, lanes + 10.0));
    let _ = writeln!(
        svg,
        "<text x=\"{NAMES}\" y=\"{0:.1}\">0 ms</text><text x=\"{1:.1}\" y=\"{0:.1}\" \
         text-anchor=\"end\">{2:.3} ms</text></svg>",
        height - 6.0,
        WIDTH - 20.0,
        axis.span * 1e3,
    );
    svg
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allowed => "allowed",
        Outcome::Denied => "denied",
        Outcome::Failed | Outcome::Unknown => "other",
    }
}

fn bar(axis: TimeAxis, op: &Operation, witness: Option<&Witness>, top: f64) -> String {
    let (from, to) = (axis.place(op.invoke), axis.place(op.complete));
    let proves = witness.is_some_and(|witness| witness.operations.contains(op));
    format!(
        "<rect class=\"{}{}\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"4\" \
         fill-opacity=\".6\"><title>{} {:.3}..{:.3} ms, cost {}</title></rect>",
        class(op.outcome),
        if proves { " witness" } else { "" },
        (to - from).max(2.0),
        class(op.outcome),
        op.invoke.as_secs_f64() * 1e3,
        op.complete.as_secs_f64() * 1e3,
        op.cost,
    )
}

/// The checks of a lane as columns of four pixels: the more checks, the darker.
fn density(axis: TimeAxis, lane: &[&Operation], top: f64) -> String {
    let column = |op: &Operation| (axis.place(op.invoke) / 4.0) as usize;
    let mut counts = vec![0_u32; (WIDTH / 4.0) as usize + 1];
    lane.iter().for_each(|op| counts[column(op)] += 1);
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    filled
        .map(|(n, &count)| {
            let dark = 0.15 + 0.85 * f64::from(count) / f64::from(most);
            format!(
                "<rect class=\"allowed\" x=\"{}\" y=\"{top:.1}\" width=\"4\" height=\"14\" \
                opacity=\"{dark:.2}\"/>",
                n * 4
            )
        })
        .collect()
}

/// The cost admitted in the window before each answer, and the limit.
fn curve(one: &KeyJudgement, axis: TimeAxis, operations: &[&Operation], top: f64) -> String {
    let contract = &one.report.contract;
    if contract.window().is_zero() {
        return String::new();
    }
    let mut admitted: Vec<(Duration, u64)> = operations
        .iter()
        .filter(|op| op.outcome == Outcome::Allowed)
        .map(|op| (op.complete, u64::from(op.cost)))
        .collect();
    admitted.sort_unstable();
    let (mut from, mut inside) = (0, 0);
    let mut points = vec![(axis.first, 0)];
    for &(at, cost) in &admitted {
        inside += cost;
        while admitted[from].0 + contract.window() <= at {
            inside -= admitted[from].1;
            from += 1;
        }
        points.push((at, inside));
    }
    let max = u64::from(contract.max());
    let most = points
        .iter()
        .map(|point| point.1)
        .max()
        .unwrap_or(0)
        .max(max)
        .max(1) as f64
        * 1.1;
    let y = |cost: u64| top + CURVE * (1.0 - cost as f64 / most);
    let mut path = String::new();
    for (n, &(at, cost)) in points.iter().enumerate() {
        let _ = match n {
            0 => write!(path, "M{:.1} {:.1}", axis.place(at), y(cost)),
            _ => write!(path, "H{:.1}V{:.1}", axis.place(at), y(cost)),
        };
    }
    format!(
        "<line class=\"limit\" x1=\"{NAMES}\" x2=\"{:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/><text \
         x=\"4\" y=\"{2:.1}\">limit {max}</text>\
         <path class=\"curve\" d=\"{path}\"/>",
        WIDTH - 20.0,
        y(max),
        y(max) + 4.0,
    )
}
