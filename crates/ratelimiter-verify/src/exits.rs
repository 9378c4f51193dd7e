use ratelimiter_cli::Exit;

/// The exit codes of the commands that verify a limiter.
pub(crate) const VERIFY: &[Exit] = &[
    Exit::Success,
    Exit::Failure,
    Exit::Violated,
    Exit::Undecided,
    Exit::Usage,
    Exit::HungUp,
    Exit::Interrupted,
    Exit::Terminated,
];

/// The exit codes of the commands that judge one burst, or observe.
pub(crate) const JUDGE: &[Exit] = &[
    Exit::Success,
    Exit::Failure,
    Exit::Violated,
    Exit::Usage,
    Exit::HungUp,
    Exit::Interrupted,
    Exit::Terminated,
];

/// The exit codes of `inject redis-pause`, `failover` and `resp`, which judge nothing.
pub(crate) const PAUSE: &[Exit] = &[
    Exit::Success,
    Exit::Failure,
    Exit::Usage,
    Exit::HungUp,
    Exit::Interrupted,
    Exit::Terminated,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readme_lists_every_exit_code() {
        let readme = include_str!("../README.md");
        for exit in VERIFY.iter().chain(JUDGE).chain(PAUSE) {
            let row = format!("| {} | {} |", *exit as u8, exit.meaning());
            assert!(readme.contains(&row), "the README lacks {row}");
        }
    }
}
