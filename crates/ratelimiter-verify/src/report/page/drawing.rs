//! The checks of one history over time, as SVG that stretches to any width: a lane for each node,
//! and below them the use of the limit. Texts stand beside it, so that they keep their size.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use maud::{Markup, html};
use ratelimiter_api::{NodeId, Operation, Outcome};
use ratelimiter_invariants::{Contract, ContractKind, Report, UseOverTime};

use super::axis::{SHORT, TimeAxis, WIDTH};

/// Least width of a bar.
const LEAST: f64 = 2.0;
/// Rows of a lane, for checks at the same time.
const ROWS: usize = 40;
/// Above so many checks a lane shows how many begin in each column, and the witness alone exactly.
const MOST_BARS: usize = 10_000;
const COLUMNS: usize = 250;
const DENSITY: f64 = 40.0;
/// Denials without cause that are outlined.
const MOST_OUTLINED: usize = 500;
/// Height of a curve.
const CURVE: f64 = 110.0;
/// Columns of a curve: the largest value of each is drawn.
const STEPS: usize = 500;

/// A time that is shaded in all lanes.
pub(super) struct ShadedTime {
    pub(super) class: &'static str,
    pub(super) start: Duration,
    /// None where it goes on.
    pub(super) end: Option<Duration>,
}

/// The use of a limit, for a curve.
pub(super) struct LimitCurve<'a> {
    pub(super) contract: &'a Contract,
    /// The cost that a window may hold.
    pub(super) permitted: u64,
    pub(super) over_time: UseOverTime,
}

/// A history to be drawn.
pub(super) struct Drawing<'a> {
    pub(super) operations: &'a [Operation],
    /// The report on its checks: the witness and denials without cause are outlined.
    pub(super) report: &'a Report,
    pub(super) shaded: Vec<ShadedTime>,
    pub(super) curves: Vec<LimitCurve<'a>>,
    /// Counts of the store, drawn into the first curve.
    pub(super) counts: Vec<(Duration, u64)>,
    /// Whether each bar has its times at hand, for a pointer.
    pub(super) labelled: bool,
}

impl Drawing<'_> {
    pub(super) fn markup(&self) -> Markup {
        let uses = self
            .curves
            .iter()
            .filter_map(|curve| curve.over_time.uses.last());
        let axis = &TimeAxis::of(self.operations, uses.map(|one| one.at).max());
        let mut lanes: BTreeMap<&NodeId, Vec<&Operation>> = BTreeMap::new();
        for op in self.operations {
            lanes.entry(&op.node).or_default().push(op);
        }
        for lane in lanes.values_mut() {
            lane.sort_by_key(|op| op.invoke);
        }
        let shaded = self.shading(axis);
        let row = |name: Markup, height: f64, label: &str, inner: &str| {
            html! {
                div.row {
                    div.name { (name) }
                    svg viewBox={ "0 0 " (WIDTH) " " (height) } height=(height)
                        preserveAspectRatio="none" role="img" aria-label=(label) {
                        (maud::PreEscaped(shaded.replace("HEIGHT", &height.to_string())))
                        (maud::PreEscaped(inner))
                    }
                }
            }
        };
        html! {
            figure {
                @for (node, lane) in &lanes {
                    @let counts = counted(lane);
                    @let (height, bars) = self.lane(axis, lane);
                    (row(html! { b { (node.as_str()) } " " small { (counts) } }, height,
                        &format!("{node}: {counts}"), &bars))
                }
                @for (n, curve) in self.curves.iter().enumerate() {
                    @let counts = if n == 0 { &self.counts[..] } else { &[] };
                    @let (top, drawn) = self.curve(axis, curve, counts);
                    (row(curve.words(top), CURVE, &format!("use of {}", curve.contract), &drawn))
                }
                div.row {
                    div.name { small {
                            "time since the first request"
                            @if axis.parts.len() > 1 { "; grey: a while without checks" }
                        } }
                    div.ticks {
                        @for (place, text) in axis.ticks() {
                            span style={ "left:" (place) "%" } { (text) }
                        }
                    }
                }
            }
        }
    }

    fn shading(&self, axis: &TimeAxis) -> String {
        let mut text = String::new();
        for parts in axis.parts.windows(2) {
            let _ = write!(
                text,
                "<rect class=\"silent\" x=\"{:.1}\" width=\"{SHORT}\" height=\"HEIGHT\"/>",
                parts[0].3
            );
        }
        let met = |time: &&ShadedTime| time.end.is_none_or(|end| end > axis.first);
        for time in self.shaded.iter().filter(met) {
            let (from, to) = (
                axis.x(time.start),
                axis.x(time.end.unwrap_or(Duration::MAX)),
            );
            let _ = write!(
                text,
                "<rect class=\"{}\" x=\"{from:.1}\" width=\"{:.1}\" height=\"HEIGHT\"/>",
                time.class,
                (to - from).max(LEAST)
            );
        }
        text
    }

    /// The bars of a node, and their height.
    fn lane(&self, axis: &TimeAxis, lane: &[&Operation]) -> (f64, String) {
        let admissions = self.report.verdict.witness();
        let admissions = admissions.map_or(&[][..], |witness| &witness.operations);
        let denials = self.report.unjustified_denials.iter().take(MOST_OUTLINED);
        let proof = admissions.iter().chain(denials.map(|one| &one.operation));
        let proof = BTreeSet::from_iter(proof.map(|op| (op.invoke, op.complete, &op.node)));
        let proves = |op: &Operation| proof.contains(&(op.invoke, op.complete, &op.node));
        let is_dense = self.operations.len() > MOST_BARS;
        let shown = lane.iter().filter(|op| !is_dense || proves(op));
        let mut rows: Vec<f64> = Vec::new();
        let places = Vec::from_iter(shown.enumerate().map(|(n, op)| {
            let (from, to) = (axis.x(op.invoke), axis.x(op.complete));
            let bar = (from.min(WIDTH - LEAST), to.max(from + LEAST).min(WIDTH));
            let free = rows.iter().position(|end| *end < bar.0);
            let row = free.unwrap_or(match rows.len() {
                ROWS => n % ROWS,
                next => next,
            });
            match rows.get_mut(row) {
                Some(end) => *end = bar.1,
                None => rows.push(bar.1),
            }
            (*op, bar, row)
        }));
        let pitch = if rows.len() > 12 { 5.0 } else { 9.0 };
        let top = if is_dense { DENSITY } else { 0.0 };
        let mut text = if is_dense {
            density(axis, lane)
        } else {
            String::new()
        };
        // The outline of a witness is a wide bar below a narrow one.
        let mut layers: BTreeMap<(u8, &str), String> = BTreeMap::new();
        let mut labelled = String::new();
        for (op, (from, to), row) in places {
            let y = top + pitch * (row as f64 + 0.5);
            let path = format!("M{from:.1} {y}h{:.1}", to - from);
            let layer = if proves(op) {
                for below in [(1, "w"), (2, "in")] {
                    layers.entry(below).or_default().push_str(&path);
                }
                let is_allowed = op.outcome == Outcome::Allowed;
                (3, if is_allowed { "a p" } else { "d p" })
            } else {
                (0, class(op.outcome))
            };
            if self.labelled {
                let (class, times) = (layer.1, times(axis, op));
                let _ = write!(
                    labelled,
                    "<path class=\"{class}\" d=\"{path}\" data-t=\"{times}\"/>"
                );
            } else {
                layers.entry(layer).or_default().push_str(&path);
            }
        }
        for ((_, class), path) in layers {
            let _ = write!(text, "<path class=\"{class}\" d=\"{path}\"/>");
        }
        text.push_str(&labelled);
        let size = if pitch < 9.0 { "s" } else { "" };
        (
            top + pitch * rows.len().max(1) as f64,
            format!("<g class=\"{size}\">{text}</g>"),
        )
    }

    /// The use of a limit, and its largest values.
    fn curve(
        &self,
        axis: &TimeAxis,
        curve: &LimitCurve<'_>,
        counts: &[(Duration, u64)],
    ) -> ([u64; 2], String) {
        let mut columns = [None::<[u64; 2]>; STEPS + 1];
        for one in &curve.over_time.uses {
            let column = (axis.x(one.at) / WIDTH * STEPS as f64) as usize;
            let [certain, possible] = columns[column].unwrap_or_default();
            columns[column] = Some([certain.max(one.certain), possible.max(one.possible)]);
        }
        let values = columns.iter().flatten();
        let peaks = values.fold([0, 0], |[a, b], [c, d]| [a.max(*c), b.max(*d)]);
        let lines = curve.lines();
        let most = lines.iter().map(|line| line.0);
        let most = most
            .chain(counts.iter().map(|count| count.1))
            .max()
            .unwrap_or(0);
        let scale = 0.88 * CURVE / most.max(peaks[1]).max(1) as f64;
        let y = |cost: u64| CURVE - scale * cost as f64;
        let path = |which: usize| {
            let mut path = format!("M0 {CURVE}");
            let mut last = 0;
            for (n, values) in columns.iter().enumerate() {
                let Some(values) = values else { continue };
                if values[which] != last {
                    last = values[which];
                    let x = n as f64 * WIDTH / STEPS as f64;
                    let _ = write!(path, "H{x}V{:.1}", y(last));
                }
            }
            format!("{path}H{WIDTH}")
        };
        let mut text = format!(
            "<path class=\"sure\" d=\"{}V{CURVE}Z\"/><path class=\"may\" d=\"{}\"/>",
            path(0),
            path(1)
        );
        for (cost, class) in lines {
            let _ = write!(
                text,
                "<path class=\"{class}\" d=\"M0 {:.1}H{WIDTH}\"/>",
                y(cost)
            );
        }
        for &(at, count) in counts {
            let _ = write!(
                text,
                "<path class=\"count\" d=\"M{:.1} {:.1}h8\" data-t=\"{count} in the store\"/>",
                axis.x(at).min(WIDTH - 8.0),
                y(count)
            );
        }
        let witness = self.report.verdict.witness();
        let witness = witness.filter(|w| w.contract == *curve.contract);
        if let Some(witness) = witness {
            let (from, to) = (axis.x(witness.start), axis.x(witness.start + witness.span));
            let _ = write!(
                text,
                "<rect class=\"span\" x=\"{from:.1}\" y=\"1\" width=\"{:.1}\" height=\"{}\"/>",
                (to - from).max(LEAST),
                CURVE - 2.0
            );
        }
        (peaks, text)
    }
}

impl LimitCurve<'_> {
    /// Whether the use may be that of two windows, since their edges are not known.
    fn meets_two(&self) -> bool {
        let kind = self.contract.kind();
        let has_edges = matches!(
            kind,
            ContractKind::Fixed | ContractKind::Aligned | ContractKind::TwoPeriod
        );
        has_edges && !self.over_time.by_edges
    }

    /// The cost of each line, and its class: that of the limit, and that of two windows.
    fn lines(&self) -> Vec<(u64, &'static str)> {
        let two = self
            .meets_two()
            .then_some((2 * self.permitted, "limit two"));
        [(self.permitted, "limit")].into_iter().chain(two).collect()
    }

    /// The curve in words, with its peaks.
    fn words(&self, [certain, possible]: [u64; 2]) -> Markup {
        let window = humantime::format_duration(self.contract.window());
        let (subject, note) = match self.contract.kind() {
            ContractKind::Sliding => (format!("cost admitted in the {window} before"), ""),
            ContractKind::TokenBucket => ("tokens taken and not refilled".to_owned(), ""),
            ContractKind::Paced => ("releases that no refill covers yet".to_owned(), ""),
            ContractKind::InFlight => ("places held".to_owned(), ""),
            _ if self.over_time.by_edges => (
                format!("cost admitted since a window of {window} began"),
                "; the edges are not known, and drawn where they suit the limiter",
            ),
            ContractKind::Fixed | ContractKind::Aligned | ContractKind::TwoPeriod => (
                format!("cost admitted in the {window} before"),
                "; it may meet two windows, and then hold twice the limit (upper line)",
            ),
        };
        html! {
            b { (subject) } " "
            small { "most " (range(certain, possible)) ", limit " (self.permitted) (note) }
        }
    }
}

/// `10`, or `10..11` where the recorded times leave both.
pub(super) fn range(certain: u64, possible: u64) -> String {
    if certain == possible {
        certain.to_string()
    } else {
        format!("{certain}..{possible}")
    }
}

/// The outcomes in the order of all lists.
pub(super) const OUTCOMES: [Outcome; 4] = [
    Outcome::Allowed,
    Outcome::Denied,
    Outcome::Failed,
    Outcome::Unknown,
];

pub(super) fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allowed => "allowed",
        Outcome::Denied => "denied",
        Outcome::Failed => "failed",
        Outcome::Unknown => "no answer",
    }
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allowed => "a",
        Outcome::Denied => "d",
        Outcome::Failed => "f",
        Outcome::Unknown => "u",
    }
}

/// The outcome of a check and its times, for a pointer.
fn times(axis: &TimeAxis, op: &Operation) -> String {
    let ms = |time: Duration| time.saturating_sub(axis.first).as_secs_f64() * 1e3;
    let cost = match op.cost {
        1 => String::new(),
        cost => format!(", cost {cost}"),
    };
    format!(
        "{} {:.3}..{:.3} ms{cost}",
        name(op.outcome),
        ms(op.invoke),
        ms(op.complete)
    )
}

/// `12 allowed, 3 denied`.
fn counted(lane: &[&Operation]) -> String {
    let count = |outcome| lane.iter().filter(|op| op.outcome == outcome).count();
    let counts = OUTCOMES.map(|outcome| (count(outcome), name(outcome)));
    let some = counts.iter().filter(|(count, _)| *count > 0);
    let texts = some.map(|(count, name)| format!("{count} {name}"));
    Vec::from_iter(texts).join(", ")
}

/// The checks of a lane as columns: as high as many begin there, the allowed ones below.
fn density(axis: &TimeAxis, lane: &[&Operation]) -> String {
    let mut counts = [[0_u32; 2]; COLUMNS];
    for op in lane {
        let column = (axis.x(op.invoke) / WIDTH * COLUMNS as f64) as usize;
        counts[column.min(COLUMNS - 1)][usize::from(op.outcome != Outcome::Allowed)] += 1;
    }
    let most = counts.iter().map(|[a, b]| a + b).max().unwrap_or(0).max(1);
    let height = |count: u32| DENSITY * f64::from(count) / f64::from(most);
    let (mut allowed, mut others) = (String::new(), String::new());
    for (n, &[a, b]) in counts
        .iter()
        .enumerate()
        .filter(|(_, counts)| **counts != [0, 0])
    {
        let x = (n as f64 + 0.5) * WIDTH / COLUMNS as f64;
        let _ = write!(allowed, "M{x} {DENSITY}v-{:.1}", height(a));
        let _ = write!(others, "M{x} {:.1}v-{:.1}", DENSITY - height(a), height(b));
    }
    format!("<path class=\"many a\" d=\"{allowed}\"/><path class=\"many d\" d=\"{others}\"/>")
}

#[cfg(test)]
mod tests {
    use ratelimiter_api::Key;
    use ratelimiter_invariants::check_history;

    use super::*;

    /// An allowed check, microseconds.
    fn check(invoke: u64, complete: u64) -> Operation {
        let [invoke, complete] = [invoke, complete].map(Duration::from_micros);
        let (key, node) = (Key::new("k").unwrap(), NodeId::new("n"));
        Operation::new(key, node, invoke, complete, Outcome::Allowed)
    }

    fn report(operations: &[Operation]) -> Report {
        check_history(operations, "10/1s".parse::<Contract>().unwrap()).unwrap()
    }

    fn drawing<'a>(operations: &'a [Operation], report: &'a Report) -> Drawing<'a> {
        Drawing {
            operations,
            report,
            shaded: Vec::new(),
            curves: Vec::new(),
            counts: Vec::new(),
            labelled: false,
        }
    }

    #[test]
    fn checks_at_the_same_time_lie_apart() {
        let operations = [
            check(0, 500),
            check(100, 400),
            check(600, 900),
            check(700, 1000),
        ];
        let axis = TimeAxis::of(&operations, None);
        let lane = Vec::from_iter(&operations);
        let (height, bars) = drawing(&operations, &report(&operations)).lane(&axis, &lane);
        assert_eq!(height, 18.0, "two rows");
        let path = "M0.0 4.5h500.0M100.0 13.5h300.0M600.0 4.5h300.0M700.0 13.5h300.0";
        assert!(bars.contains(path), "{bars}");
    }

    #[test]
    fn largest_use_of_each_column_is_drawn() {
        let contract: Contract = "10/1s".parse().unwrap();
        let uses = (0..1_000).map(|n| ratelimiter_invariants::LimitUse {
            at: Duration::from_micros(n),
            certain: u64::from(n == 501) * 9,
            possible: u64::from(n == 501) * 12,
        });
        let curve = LimitCurve {
            contract: &contract,
            permitted: 10,
            over_time: UseOverTime {
                uses: uses.collect(),
                by_edges: false,
            },
        };
        let operations = [check(0, 1_000)];
        let axis = TimeAxis::of(&operations, None);
        let (peaks, drawn) = drawing(&operations, &report(&operations)).curve(&axis, &curve, &[]);
        assert_eq!(peaks, [9, 12]);
        // Of two instants a column, the 251st one holds the peak, at 88 % of the height.
        assert!(
            drawn.contains("class=\"may\" d=\"M0 110H500V13.2H502V110.0H1000\""),
            "{drawn}"
        );
    }
}
