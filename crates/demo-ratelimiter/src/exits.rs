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

/// The exit codes of the commands that judge a system of the user's.
pub(crate) const JUDGE: &[Exit] = &[
    Exit::Success,
    Exit::Failure,
    Exit::Violated,
    Exit::Usage,
    Exit::HungUp,
    Exit::Interrupted,
    Exit::Terminated,
];

/// The exit codes of `inject redis-pause`, which judges nothing.
pub(crate) const PAUSE: &[Exit] =
    &[Exit::Success, Exit::Failure, Exit::Usage, Exit::HungUp, Exit::Interrupted, Exit::Terminated];

/// The exit codes of all commands together.
pub(crate) fn all() -> Vec<Exit> {
    let any = |exit: &Exit| [RUN, JUDGE, PAUSE].concat().contains(exit);
    Exit::ALL.into_iter().filter(any).collect()
}

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
        for exit in all() {
            let row = format!("| {} | {} |", exit as u8, exit.meaning());
            assert!(readme.contains(&row), "the README lacks {row}");
        }
    }
}
