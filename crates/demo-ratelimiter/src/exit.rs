use std::fmt::Write as _;
use std::process::ExitCode;

use demo_core::Outcome;

/// How the process ends. The one list of exit codes: `--help` prints it, and a test holds the README to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Success = 0,
    Failure = 1,
    Missed = 2,
    Violated = 3,
    Usage = 64,
    HungUp = 129,
    Interrupted = 130,
    Terminated = 143,
}

impl Exit {
    pub(crate) const ALL: [Self; 8] = [
        Self::Success,
        Self::Failure,
        Self::Missed,
        Self::Violated,
        Self::Usage,
        Self::HungUp,
        Self::Interrupted,
        Self::Terminated,
    ];

    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Success => "everything went as expected, or somebody left with q",
            Self::Failure => "the run failed",
            Self::Missed => "an expected anomaly did not occur",
            Self::Violated => "an invariant was violated (only with --fail-on-violation)",
            Self::Usage => "wrong usage",
            Self::HungUp => "its terminal was closed (SIGHUP)",
            Self::Interrupted => "interrupted with Ctrl-C",
            Self::Terminated => "terminated with SIGTERM",
        }
    }

    /// For the end of `--help`.
    pub(crate) fn help() -> String {
        Self::ALL.iter().fold(String::from("Exit codes:"), |mut text, exit| {
            let _ = write!(text, "\n  {:>3}  {}", *exit as u8, exit.meaning());
            text
        })
    }
}

impl From<&Outcome> for Exit {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed | Outcome::Quit => Self::Success,
            Outcome::Missed { .. } => Self::Missed,
            Outcome::Failed { .. } => Self::Failure,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
