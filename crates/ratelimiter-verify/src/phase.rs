use std::fmt;

use clap::ValueEnum;

/// A part of a verification, in the order in which they are played. This is the one list of phases:
/// `--help` and errors read it, and a test compares the README with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A few checks of each node, before all others: shows answers that are neither allowed nor
    /// denied
    Probe,
    /// Many times the limit at one instant: shows races, nodes that count alone, an off-by-one
    Burst,
    /// Checks of cost 1, 2 and 3 in turn, and one above the limit: shows a cost that is ignored
    Costs,
    /// One key used up, then another: shows a quota shared between keys
    TwoKeys,
    /// One after the other, all to one node: shows a limit that is split over nodes
    OneNode,
    /// One after the other until denied: shows dishonest header fields, an off-by-one
    Fields,
    /// A retry after `Retry-After`, or after a window: shows quota that does not return when
    /// stated, or ever
    Return,
    /// Used up, then silence for a part of a window: shows counters that expire early
    Silent,
    /// Three bursts on one key, a window and a part of a token apart: shows quota that grows beyond
    /// the limit at rest
    Again,
    /// Three times the limit for three windows: shows callers locked out by their own denied
    /// checks, windows that are too short
    Overload,
    /// The limit on both sides of the instant a window after the first check: shows windows that
    /// begin with a key's first check, counters that expire as a whole
    FirstEdge,
    /// The limit on both sides of an edge of the wall clock's windows: shows windows that begin at
    /// whole minutes
    Edge,
    /// Four fifths of the limit, evenly: shows false denials
    Steady,
    /// Each check from another address by X-Forwarded-For and its kin: shows a limit that callers
    /// evade
    Forged,
    /// Bursts before, during and after the command of `--during`: shows nodes that count alone
    /// without their store, counts that are lost
    Fault,
}

impl Phase {
    /// Every phase.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Number of keys that one step of it needs.
    pub(crate) fn keys(self) -> u32 {
        match self {
            Self::TwoKeys | Self::Fault | Self::Costs => 2,
            Self::Silent => 3,
            _ => 1,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value().expect("no phase is hidden");
        f.pad(name.get_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readme_lists_every_phase() {
        let readme = include_str!("../README.md").to_lowercase();
        for phase in Phase::all() {
            let value = phase.to_possible_value().unwrap();
            let help = value.get_help().unwrap().to_string().to_lowercase();
            let row = format!("| `{phase}` | {} |", help.replace(": shows ", " | "));
            assert!(readme.contains(&row), "the README lacks {row}");
        }
    }
}
