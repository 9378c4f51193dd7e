use std::fmt;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::Exit;

/// An argument that parses and makes no sense; it ends the program with [`Exit::Usage`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub String);

impl WrongUsage {
    /// Another error as wrong usage.
    pub fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Parses the command line and runs the program. Help goes to standard output. An error is one line
/// on standard error; its exit code is 64 for a wrong command line, else 1.
pub fn run<C: Parser>(program: &str, body: impl FnOnce(C) -> anyhow::Result<Exit>) -> ExitCode {
    match parse(program) {
        Ok(cli) => end(program, body(cli)),
        Err(exit) => exit,
    }
    .into()
}

fn parse<C: Parser>(program: &str) -> Result<C, Exit> {
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
            };
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
        Exit::Usage
    })
}

fn end(program: &str, result: anyhow::Result<Exit>) -> Exit {
    result.unwrap_or_else(|error| {
        eprintln!("{program}: {}", on_one_line(&error));
        if error.is::<WrongUsage>() {
            Exit::Usage
        } else {
            Exit::Failure
        }
    })
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
