//! Parts of a page that stand beside a drawing.

use std::time::Duration;

use maud::{Markup, html};
use ratelimiter_api::Operation;
use ratelimiter_invariants::Witness;

use super::drawing::{OUTCOMES, name};

/// Admissions of a witness that are listed.
const LISTED: usize = 100;

/// The signs of a drawing.
pub(super) fn legend(fault: bool, counts: bool) -> Markup {
    let bar = |class: &str| {
        html! { svg viewBox="0 0 30 10" aria-hidden="true" { path.(class) d="M2 5h26" {} } }
    };
    let box_of = |class: &str| {
        html! {
            svg viewBox="0 0 30 10" aria-hidden="true" {
                rect.(class) x="1" y="1" width="28" height="8" {}
            }
        }
    };
    html! {
        ul.legend {
            li { (bar("a")) "allowed" }
            li { (bar("d")) "denied" }
            li { (bar("f")) "failed" }
            li { (bar("u")) "no answer" }
            li {
                svg viewBox="0 0 30 10" aria-hidden="true" {
                    path.w d="M2 5h26" {} path.in d="M3 5h24" {} path."a p" d="M3 5h24" {}
                }
                "proof: the witness of an excess, or a denial without cause"
            }
            li { (box_of("sure")) "surely counted" }
            li { (bar("may")) "possibly counted" }
            li { (bar("limit")) "the limit" }
            @if counts { li { (bar("count")) "count in the store" } }
            @if fault {
                li { (box_of("asked")) "the fault as asked for" }
                li { (box_of("felt")) "the fault as measured: from its first effect to its last" }
            }
        }
        p { small {
            "Each lane is a node; a bar reaches from a request to its answer, and checks at the "
            "same time lie one below the other. Point at a bar, or touch it, for its times."
        } }
    }
}

/// The latency of each outcome.
pub(super) fn latencies(operations: &[Operation]) -> Markup {
    let rows = OUTCOMES.map(|outcome| {
        let of = operations.iter().filter(|op| op.outcome == outcome);
        let mut times = Vec::from_iter(of.map(|op| op.complete - op.invoke));
        times.sort_unstable();
        (name(outcome), times)
    });
    let at = |times: &[Duration], percent: usize| {
        let place = (times.len() * percent / 100).min(times.len() - 1);
        format!("{:.2}", times[place].as_secs_f64() * 1e3)
    };
    html! {
        table {
            tr {
                th { "latency, ms" }
                @for head in ["checks", "median", "90 %", "longest"] { th.n { (head) } }
            }
            @for (name, times) in rows.iter().filter(|row| !row.1.is_empty()) {
                tr {
                    td { (name) } td.n { (times.len()) }
                    @for percent in [50, 90, 100] { td.n { (at(times, percent)) } }
                }
            }
        }
    }
}

/// The admissions that prove a violation, for those who read no drawing.
pub(super) fn listed(witness: &Witness) -> Markup {
    let ms = |time: Duration| format!("{:.3}", (time - witness.start).as_secs_f64() * 1e3);
    html! {
        details {
            summary { "The witness: " (witness.operations.len()) " admissions that together break "
                (witness.contract) }
            table {
                tr { th { "node" } th.n { "request, ms" } th.n { "answer, ms" } th.n { "cost" } }
                @for op in witness.operations.iter().take(LISTED) {
                    tr {
                        td { (op.node.as_str()) }
                        @for time in [op.invoke, op.complete] { td.n { (ms(time)) } }
                        td.n { (op.cost) }
                    }
                }
            }
            @if witness.operations.len() > LISTED {
                p { "and " (witness.operations.len() - LISTED) " more in verdict.json" }
            }
        }
    }
}
