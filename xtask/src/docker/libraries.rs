use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// The shared libraries that an executable needs, its loader among them; none when it is static.
pub(crate) fn of(executable: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let ldd = Command::new("ldd")
        .arg(executable)
        .env("LC_ALL", "C")
        .output()
        .context("cannot run ldd")?;
    if !ldd.status.success() {
        let why = String::from_utf8_lossy(&ldd.stderr);
        let is_static =
            why.contains("not a dynamic executable") || why.contains("not a valid dynamic program");
        anyhow::ensure!(is_static, "ldd {}: {}", executable.display(), why.trim());
        return Ok(Vec::new());
    }
    listed(&String::from_utf8_lossy(&ldd.stdout)).with_context(|| executable.display().to_string())
}

/// Reads ldd's lines: `NAME => PATH (ADDRESS)`, `PATH (ADDRESS)` for the loader, `NAME (ADDRESS)`
/// for what the kernel provides.
fn listed(text: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for line in text.lines().map(str::trim) {
        let (name, place) = line.split_once(" => ").unwrap_or((line, line));
        anyhow::ensure!(place != "not found", "{name} is not found");
        let path = place.rsplit_once(" (").map_or(place, |(path, _)| path);
        if path.starts_with('/') {
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLIBC: &str = "\
\tlinux-vdso.so.1 (0x00007ffd5d5f6000)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f1fd9b21000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f1fd9e1c000)
";

    #[test]
    fn libraries_are_listed_without_the_kernels() {
        let found = listed(GLIBC).unwrap();
        assert_eq!(
            found,
            [
                "/lib/x86_64-linux-gnu/libm.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
            .map(PathBuf::from)
        );
        assert!(listed("\tstatically linked\n").unwrap().is_empty());
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = listed("\tlibssl.so.3 => not found\n").unwrap_err();
        assert_eq!(error.to_string(), "libssl.so.3 is not found");
    }
}
