//! The ways in which a command ends: with an exit code, or refused as wrong usage.

use std::ffi::OsString;
use std::fmt;
use std::process::ExitStatus;

/// Ends with this exit code and prints nothing: the program that ended has printed the reason.
#[derive(Debug)]
pub struct CommandEnd(pub u8);

impl CommandEnd {
    /// The code, or 128 and the signal, as shells do.
    pub fn with(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let code = status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal));
        Self(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }
}

impl fmt::Display for CommandEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended with exit code {}", self.0)
    }
}

impl std::error::Error for CommandEnd {}

/// A command line that makes no sense.
#[derive(Debug)]
pub(crate) struct BadArguments(pub(crate) String);

impl fmt::Display for BadArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for BadArguments {}

/// Refuses arguments of a command that takes none.
pub(crate) fn no_arguments(arguments: &[OsString]) -> Result<(), BadArguments> {
    match arguments {
        [] => Ok(()),
        given => Err(BadArguments(format!(
            "takes no arguments, and was given {given:?}"
        ))),
    }
}
