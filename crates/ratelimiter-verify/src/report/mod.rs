//! A verdict for people and for programs.

mod journal;
mod junit;
mod page;
mod screen;
mod summary;

pub use journal::journal;
pub use junit::junit;
pub use page::{RunFacts, page, scorecard_page};
pub use screen::{hypothesis, table, timelines};
pub use summary::{scorecard_summary, summary};

use crate::KeyJudgement;

/// The program with its version.
pub const VERSION: &str = concat!("ratelimiter-verify ", env!("CARGO_PKG_VERSION"));

/// The system and the processor for which it was built.
pub fn platform() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Judgements with their names, `burst 3` the third of its phase, and their places; the worst
/// first.
fn named(judged: &[KeyJudgement]) -> Vec<(String, usize, &KeyJudgement)> {
    let mut places: std::collections::BTreeMap<String, usize> = Default::default();
    let mut named = Vec::from_iter(judged.iter().enumerate().map(|(n, one)| {
        let place = places.entry(one.phase_name()).or_default();
        *place += 1;
        let name = match one.phase {
            Some(phase) => format!("{phase} {place}"),
            None => one.key.to_string(),
        };
        (name, n, one)
    }));
    let excess = |one: &KeyJudgement| {
        one.report
            .definite_peak
            .saturating_sub(one.report.permitted)
    };
    named.sort_by_key(|(_, _, one)| std::cmp::Reverse((one.status, excess(one))));
    named
}
