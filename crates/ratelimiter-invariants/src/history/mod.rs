//! Contracts about the cost admitted of one key, checked on the records of its callers.
//!
//! Only the limiter can know when it decided; a caller knows that it was between sending the request and having the
//! answer. So every operation is an interval, and a claim about a history must hold wherever the decisions lie in them:
//!
//! ```text
//!   Allowed   [invoke ---- decided somewhere here ---- complete]
//!   Denied    [invoke ---- decided somewhere here ---- complete]
//!   Failed    not admitted; it may have been charged, so that it can justify a denial
//!   Unknown   [invoke ---- decided somewhere here, or never ---------> forever
//!
//!   window    (t - W .......................................... t]   half-open: two decisions exactly W apart
//!                                                                    are not in one window
//! ```
//!
//! Each contract gives two bounds: a cost that some window held in every placement (`sweep`, `fixed`, `bucket`), and one that
//! no placement exceeds (`profile` and the same). Between the two, `placement` searches for a placement that keeps a sliding
//! contract: none is a violation, and else the verdict is Unknown.

mod bounds;
mod bucket;
mod checker;
mod contract;
mod fixed;
mod placement;
mod profile;
mod report;
mod shrink;
mod sweep;
mod timeline;
mod tree;
mod witness;

pub use checker::{HistoryChecker, HistoryError, by_key, check_history};
pub use contract::{Contract, ContractError, ContractKind};
pub use report::{Doubt, Report, Settled, Tally, UnjustifiedDenial, Verdict};
pub use timeline::Timeline;
pub use witness::{Proof, Witness};
