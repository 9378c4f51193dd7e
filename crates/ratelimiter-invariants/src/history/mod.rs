//! The contract "at most L admissions in any window W", checked on what callers recorded.
//!
//! Nobody but the limiter knows when it decided; a caller knows that it was between sending the request and having the
//! answer. So every operation is an interval, and a claim about a history must hold wherever the decisions lie in them:
//!
//! ```text
//!   Allowed   [invoke ---- decided somewhere here ---- complete]
//!   Denied    [invoke ---- decided somewhere here ---- complete]
//!   Unknown   [invoke ---- decided somewhere here, or never ---------> forever
//!
//!   window    (t - W .......................................... t]   half-open: two decisions exactly W apart
//!                                                                    are not in one window
//! ```

mod checker;
mod contract;
mod profile;
mod report;
mod sweep;
mod timeline;
mod witness;

pub use checker::{HistoryChecker, HistoryError, by_key, check_history};
pub use contract::{Contract, ContractError};
pub use report::{Doubt, Report, Tally, UnjustifiedDenial, Verdict};
pub use timeline::Timeline;
pub use witness::Witness;
