use anyhow::ensure;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit of open files as far as the system permits, and checks that it suffices. A
/// connection, a pipe and a log are a file each, and a shell's default is low.
///
/// # Errors
/// When fewer than `needed` files can be open at once.
pub fn raise_open_files(needed: u64) -> anyhow::Result<()> {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    // Where that is not allowed, the limit stays as it is.
    let _ = setrlimit(Resource::Nofile, files);
    // None is no limit.
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    ensure!(
        most >= needed,
        "this process may open {most} files, and needs {needed}: raise its limit, as with \
         `ulimit -n {needed}`"
    );
    Ok(())
}
