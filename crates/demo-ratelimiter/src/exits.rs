use demo_core::Outcome;
use ratelimiter_cli::Exit;

/// The exit codes of `run`.
pub(crate) const RUN: &[Exit] = &[
    Exit::Success,
    Exit::Failure,
    Exit::Missed,
    Exit::Usage,
    Exit::HungUp,
    Exit::Interrupted,
    Exit::Terminated,
];

/// The exit codes of the commands that work on a log.
pub(crate) const LOG: &[Exit] = &[
    Exit::Success,
    Exit::Failure,
    Exit::Usage,
    Exit::HungUp,
    Exit::Interrupted,
    Exit::Terminated,
];

/// The exit code that belongs to a story's outcome.
pub(crate) fn of(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Completed | Outcome::Quit => Exit::Success,
        Outcome::Missed { .. } => Exit::Missed,
        Outcome::Failed { .. } => Exit::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readme_lists_every_exit_code() {
        let readme = include_str!("../README.md");
        for exit in RUN {
            let row = format!("| {} | {} |", *exit as u8, exit.meaning());
            assert!(readme.contains(&row), "the README lacks {row}");
        }
    }
}
