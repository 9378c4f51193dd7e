use std::fmt::Write as _;
use std::process::ExitCode;

/// The end of a process. The one list of exit codes: `--help` prints it, and tests hold the READMEs
/// to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// As expected.
    Success = 0,
    /// The run failed.
    Failure = 1,
    /// An expected anomaly did not occur.
    Missed = 2,
    /// A contract or an invariant was violated.
    Violated = 3,
    /// Neither a pass nor a violation is proved.
    Undecided = 4,
    /// Wrong usage, as `sysexits.h` has it.
    Usage = 64,
    /// SIGHUP.
    HungUp = 129,
    /// SIGINT.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// Every exit code.
    pub const ALL: [Self; 9] = [
        Self::Success,
        Self::Failure,
        Self::Missed,
        Self::Violated,
        Self::Undecided,
        Self::Usage,
        Self::HungUp,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The meaning, as a phrase.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "everything went as expected",
            Self::Failure => "the run failed",
            Self::Missed => "an expected anomaly did not occur",
            Self::Violated => "a contract or an invariant was violated",
            Self::Undecided => "undecided: neither a pass nor a violation is proved",
            Self::Usage => "wrong usage",
            Self::HungUp => "its terminal was closed (SIGHUP)",
            Self::Interrupted => "interrupted with Ctrl-C",
            Self::Terminated => "terminated with SIGTERM",
        }
    }
}

/// The end of a `--help`: the exit codes that a program can end with.
pub fn help_of(exits: &[Exit]) -> String {
    exits
        .iter()
        .fold(String::from("Exit codes:"), |mut text, exit| {
            let _ = write!(text, "\n  {:>3}  {}", *exit as u8, exit.meaning());
            text
        })
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
