//! Promises about the cost admitted, checked on the records of the callers.
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
//! A promise is a list of contracts; `checker` judges each by itself (`limit_judge`) and puts the
//! reports together. Each contract gives two bounds: a cost that some window held in every
//! placement, and one that no placement exceeds (`steps`, `resets`, `aligned`, `bucket`,
//! `two_period`). `operations` has how each form counts an operation. Between the two, `placement`
//! tries to place the decisions within a sliding contract: where it cannot, that is a violation,
//! and else the verdict is Unknown. `level` gives the possible cost before a denial.

mod aligned;
mod axis;
mod bounds;
mod bucket;
mod changes;
mod checker;
mod contract;
mod contract_text;
mod edges;
mod level;
mod limit_judge;
mod limit_reading;
mod operations;
mod placement;
mod promise;
mod records;
mod report;
mod resets;
mod shrink;
mod sliding;
mod steps;
mod timeline;
mod tree;
mod two_period;
mod witness;

pub use changes::ContractChange;
pub use checker::{HistoryChecker, check_history};
pub use contract::{Charging, Contract, ContractError, ContractKind, ContractTime};
pub use promise::Promise;
pub use records::{History, HistoryError, by_key};
pub use report::{
    Doubt, LimitRoom, LimitUse, LongWaits, OutcomeCounts, Report, UnjustifiedDenial, UseOverTime,
    Verdict, VerdictBasis,
};
pub use timeline::Timeline;
pub use witness::{Proof, Witness};
