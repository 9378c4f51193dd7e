use std::fmt::Write as _;
use std::process::ExitCode;

/// The end of a process. This is the one list of exit codes: `--help` prints it, and tests compare
/// the READMEs with it.
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

/// All exit codes of a program: those that every program has, and its own.
pub fn exits_with(own: &[Exit]) -> Vec<Exit> {
    use Exit::{Failure, HungUp, Interrupted, Success, Terminated, Usage};
    let shared = [Success, Failure, Usage, HungUp, Interrupted, Terminated];
    let mut exits = [&shared, own].concat();
    exits.sort_by_key(|exit| *exit as u8);
    exits
}

/// The last lines of a `--help`: all exit codes of a program with these of its own.
pub fn exit_help(own: &[Exit]) -> String {
    let mut text = String::from("Exit codes:");
    for exit in exits_with(own) {
        let _ = write!(text, "\n  {:>3}  {}", exit as u8, exit.meaning());
    }
    text
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
