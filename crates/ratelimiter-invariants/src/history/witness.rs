use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ratelimiter_api::{NodeId, Operation, millis};
use serde::Serialize;

use super::{Contract, ContractKind, Timeline};
use crate::text::{ByNode, HumanDuration};

/// A proof that a contract was broken, small enough to read: admissions whose cost is too high
/// wherever they were decided.
///
/// [`Proof`] gives the reason. No admission can be left out: the checker proves nothing about the
/// others alone. (For a sliding contract and equal costs they can then be placed within the
/// contract.) Other proofs in the same history may be smaller. After a budget of steps a proof by
/// alignment or by placement stays as it is, and some may be left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Witness {
    /// The broken contract.
    pub contract: Contract,
    /// The reason for which the admissions break it.
    pub proof: Proof,
    /// The admissions by time of invoke.
    pub operations: Vec<Operation>,
    /// The first invoke.
    #[serde(rename = "start_ms", with = "millis")]
    pub start: Duration,
    /// From the first invoke to the last completion.
    #[serde(rename = "span_ms", with = "millis")]
    pub span: Duration,
}

/// The reason for which no placement of a witness keeps the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// All lie wholly inside one span, the shortest of its kind.
    Span,
    /// In every alignment of fixed windows, one of them wholly holds too many.
    Alignment,
    /// A search over all placements found none.
    Placement,
    /// At one instant all held their place, or the cost that they had asked for.
    Held,
}

impl Witness {
    pub(super) fn new(contract: Contract, proof: Proof, mut operations: Vec<Operation>) -> Self {
        operations.sort_by_key(|op| (op.invoke, op.complete));
        let start = operations
            .iter()
            .map(|op| op.invoke)
            .min()
            .unwrap_or_default();
        let end = operations
            .iter()
            .map(|op| op.complete)
            .max()
            .unwrap_or_default();
        Self {
            contract,
            proof,
            operations,
            start,
            span: end.saturating_sub(start),
        }
    }

    /// How many of the admissions each node granted.
    pub fn by_node(&self) -> BTreeMap<NodeId, u64> {
        let mut counts = BTreeMap::new();
        for operation in &self.operations {
            *counts.entry(operation.node.clone()).or_default() += 1;
        }
        counts
    }

    /// The admissions drawn as bars over the span, in lines of at most `width` columns.
    pub fn timeline(&self, width: usize) -> Timeline<'_> {
        Timeline::new(self, width)
    }

    /// `11 admissions`, with their cost where that is another number.
    pub(super) fn counted(&self) -> String {
        let cost: u64 = self.operations.iter().map(|op| u64::from(op.cost)).sum();
        let count = self.operations.len();
        if cost == count as u64 {
            format!("{count} admissions")
        } else {
            format!("{count} admissions of cost {cost}")
        }
    }
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contract, span, .. } = self;
        let by_node = self.by_node();
        let reason = match self.proof {
            Proof::Span if contract.kind() == ContractKind::Fixed && self.operations.len() > 1 => {
                let windows = span.as_nanos().div_ceil(contract.window().as_nanos()) + 1;
                format!(", too many for {windows} windows")
            }
            Proof::Span => String::new(),
            Proof::Alignment => ", too many for every alignment".to_owned(),
            Proof::Placement => ", too many wherever each was decided".to_owned(),
            Proof::Held => ", in flight at one instant".to_owned(),
        };
        write!(
            f,
            "{} within {} ({}){reason}, limit {contract}",
            self.counted(),
            HumanDuration(*span),
            ByNode(&by_node)
        )
    }
}
