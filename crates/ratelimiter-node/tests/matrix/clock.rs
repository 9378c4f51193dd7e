//! A store whose wall clock can be stepped: a small library, preloaded into the store's process
//! alone, adds what a file holds.

use std::fs::{File, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::process::Command;

use ratelimiter_cluster::{StoreBinary, StoreSearch};
use tempfile::TempDir;

/// The clock of a store, and the files behind it.
pub(crate) struct StoreClock {
    shift: File,
    store: StoreBinary,
    _directory: TempDir,
}

impl StoreClock {
    /// A clock that agrees with the system's. Compiles the library with the linker's own C
    /// compiler.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let [source, library, shift, store] =
            ["clock.c", "clock.so", "shift", "store"].map(|name| directory.path().join(name));
        std::fs::write(&source, include_str!("clock.c")).unwrap();
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source]);
        assert!(
            compiler.status().unwrap().success(),
            "cc compiles {}",
            source.display()
        );
        std::fs::write(&shift, 0_i64.to_ne_bytes()).unwrap();
        let real = StoreSearch::from_env().find(&|_| ()).unwrap();
        let script = format!(
            "#!/bin/sh\nCLOCK_SHIFT={} LD_PRELOAD={} exec {} \"$@\"\n",
            shift.display(),
            library.display(),
            real.path().display()
        );
        std::fs::write(&store, script).unwrap();
        std::fs::set_permissions(&store, Permissions::from_mode(0o755)).unwrap();
        let search = StoreSearch {
            explicit: Some(store),
            ..StoreSearch::from_env()
        };
        let store = search.find(&|_| ()).unwrap();
        Self {
            shift: File::options().write(true).open(shift).unwrap(),
            store,
            _directory: directory,
        }
    }

    /// The store to start.
    pub(crate) fn store(&self) -> StoreBinary {
        self.store.clone()
    }

    /// Sets the clock this far before or after the system's.
    pub(crate) fn set_ms(&self, ahead_ms: i64) {
        self.shift
            .write_all_at(&(ahead_ms * 1000).to_ne_bytes(), 0)
            .unwrap();
    }
}
