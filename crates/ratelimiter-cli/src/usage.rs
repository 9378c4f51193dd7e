use std::fmt;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::Exit;

/// A value that parses and makes no sense: wrong usage all the same.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

impl Usage {
    /// Another error as wrong usage.
    pub fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Parses the command line. Help goes to standard output; an error is one line on standard error,
/// and exit code 64.
///
/// # Errors
/// The exit code, when there is nothing to run.
pub fn parse<C: Parser>(program: &str) -> Result<C, ExitCode> {
    C::try_parse().map_err(|error| {
        // Without a subcommand the help is the answer, and the usage is wrong all the same.
        if !error.use_stderr()
            || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        {
            // A closed output has no reader to inform.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Success
            }
            .into();
        }
        // Up to the usage, which --help explains better.
        let text = error.to_string();
        let reason: Vec<_> = text
            .lines()
            .map(str::trim)
            .take_while(|line| !line.is_empty())
            .collect();
        let line = reason.join(" ");
        eprintln!(
            "{program}: {} (--help explains)",
            line.trim_start_matches("error: ")
        );
        Exit::Usage.into()
    })
}

/// Ends a program: its exit code, or its error on one line of standard error.
pub fn end(program: &str, result: anyhow::Result<Exit>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("{program}: {}", on_one_line(&error));
            if error.is::<Usage>() {
                Exit::Usage
            } else {
                Exit::Failure
            }
            .into()
        }
    }
}

/// An error with its causes, without those that it repeats.
fn on_one_line(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |line, cause| match line.as_str() {
            "" => cause,
            line if line.contains(&cause) => line.to_owned(),
            line => format!("{line}: {cause}"),
        })
}
