//! The command line.

use std::path::PathBuf;

/// Ranks the columns of a CSV file by how likely they are to be the cause of what was noticed at a
/// given time.
#[derive(Debug, clap::Parser)]
#[command(name = "rank")]
pub(crate) struct Flags {
    /// The file: first column `time`, one column a signal.
    pub(crate) metrics: PathBuf,
    /// When something was noticed, in the same seconds as the `time` column.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) at: f64,
    /// What depends on what, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) topology: Option<PathBuf>,
    /// Print the diagnosis as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the evidence as JSON, and no diagnosis.
    #[arg(long, conflicts_with = "json")]
    pub(crate) evidence: bool,
}
