//! The limit of open files, which bounds the connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::ChaosError;

/// Descriptors kept for other uses than connections.
const OTHER: u64 = 32;

/// The number of connections, of those wanted, that can be open at once. Raises this process's
/// limit of open files where needed and permitted.
///
/// # Errors
/// When the limit leaves no connection.
pub(crate) fn connections(wanted: usize) -> Result<usize, ChaosError> {
    // Both Linux and macOS list a process's descriptors there.
    let open = std::fs::read_dir("/dev/fd").map_or(0, Iterator::count) as u64;
    let needed = open + OTHER + wanted as u64;
    let limit = getrlimit(Resource::Nofile);
    let raised = needed.min(limit.maximum.unwrap_or(u64::MAX));
    let mut current = limit.current.unwrap_or(u64::MAX);
    let higher = Rlimit {
        current: Some(raised),
        ..limit
    };
    if raised > current && setrlimit(Resource::Nofile, higher).is_ok() {
        current = raised;
    }
    match affordable(wanted, current, open) {
        0 if wanted > 0 => Err(ChaosError::OpenFiles {
            limit: current,
            open,
        }),
        connections => Ok(connections),
    }
}

fn affordable(wanted: usize, limit: u64, open: u64) -> usize {
    let left = limit.saturating_sub(open + OTHER);
    wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_other_uses() {
        assert_eq!(affordable(20, 1024, 10), 20);
        assert_eq!(affordable(2000, 1024, 10), 982);
        assert_eq!(affordable(20, 32, 10), 0);
    }
}
