//! Contracts about the cost admitted of one key, checked on the records of its callers.
//!
//! Only the limiter knows the time of its decision; a caller knows that it was between the request
//! and the answer. So every operation is an interval, and a claim about a history must hold
//! wherever the decisions lie in them:
//!
//! ```text
//!   Allowed   [invoke ---- decided somewhere here ---- complete]
//!   Denied    [invoke ---- decided somewhere here ---- complete]
//!   Failed    not admitted; it may have been charged, and then justifies a denial
//!   Unknown   [invoke ---- decided somewhere here, or never ---------> forever
//!
//!   window    (t - W .......................................... t]   half-open: two decisions
//!                                               exactly W apart are not in one window
//! ```
//!
//! Each contract gives two bounds: a cost that some window held in every placement, and one that no
//! placement exceeds (`steps`, `resets`, `aligned`, `bucket`). Between the two, `placement` tries
//! to place the decisions within a sliding contract: where it cannot, that is a violation, and else
//! the verdict is Unknown. `level` gives the possible cost before a denial.

mod aligned;
mod axis;
mod bounds;
mod bucket;
mod changes;
mod checker;
mod contract;
mod level;
mod operations;
mod placement;
mod records;
mod report;
mod resets;
mod shrink;
mod sliding;
mod steps;
mod timeline;
mod tree;
mod witness;

pub use changes::ContractChange;
pub use checker::{HistoryChecker, check_history};
pub use contract::{Contract, ContractError, ContractKind};
pub use records::{History, HistoryError, by_key};
pub use report::{Doubt, OutcomeCounts, Report, UnjustifiedDenial, Verdict, VerdictBasis};
pub use timeline::Timeline;
pub use witness::{Proof, Witness};
