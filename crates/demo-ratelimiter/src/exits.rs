use cli_support::Exit;
use demo_core::StoryEnd;

/// The exit codes of its own that `run` has.
pub(crate) const RUN: &[Exit] = &[Exit::Missed];

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
        for exit in cli_support::exits_with(RUN) {
            let row = format!("| {} | {} |", exit as u8, exit.meaning());
            assert!(readme.contains(&row), "the README lacks {row}");
        }
    }
}
