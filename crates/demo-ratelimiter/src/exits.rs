use demo_core::StoryEnd;
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
pub(crate) fn of(outcome: &StoryEnd) -> Exit {
    match outcome {
        StoryEnd::Completed | StoryEnd::Quit => Exit::Success,
        StoryEnd::Missed { .. } => Exit::Missed,
        StoryEnd::Failed { .. } => Exit::Failure,
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
