use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use outside_text::escape;
use rustix::fs::OFlags;

/// A file for the results of a run. It never replaces a file without permission, and is never
/// written through a symbolic link. A new file is removed again when nothing was written to it.
#[derive(Debug)]
pub struct ResultFile {
    path: PathBuf,
    file: File,
    /// It was created here, and nothing was written to it.
    unused: bool,
}

impl ResultFile {
    /// Creates the file, or empties the one that is there where `force` permits that.
    ///
    /// # Errors
    /// When there is a file and no permission, the path is a symbolic link or cannot be written to.
    pub fn create(path: &Path, force: bool) -> anyhow::Result<Self> {
        let mut options = OpenOptions::new();
        // Opening the end of a pipe waits for a reader without the second flag.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        options.write(true).custom_flags(flags);
        let new = options.clone().create_new(true).open(path);
        let exists = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
        let unused = new.is_ok();
        let file = match new {
            Err(error) if exists(&error) && force => options.truncate(true).open(path),
            new => new,
        };
        let path = path.to_owned();
        match file {
            Ok(file) => Ok(Self { path, file, unused }),
            Err(_) if path.is_symlink() => {
                bail!(
                    "{} is a symbolic link: name the file itself",
                    path.display()
                )
            }
            Err(error) if exists(&error) => {
                bail!("{} exists: --force replaces it", path.display())
            }
            Err(error) => Err(error).with_context(|| format!("create {}", path.display())),
        }
    }

    /// Writes text, without control characters but line breaks and tabs: JSON that holds any means
    /// the same as before.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn write(&mut self, text: &str) -> anyhow::Result<()> {
        self.unused = false;
        self.file
            .write_all(escape(text).as_bytes())
            .with_context(|| format!("write {}", self.path.display()))
    }
}

/// Adds text to a file that is there for several programs, without control characters as
/// [`ResultFile::write`].
///
/// # Errors
/// When it cannot be opened or written to.
pub fn append(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(escape(text).as_bytes()));
    written.with_context(|| format!("append to {}", path.display()))
}

impl Drop for ResultFile {
    fn drop(&mut self) {
        if self.unused {
            // It is empty: no result is lost either way.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A directory for the results of a run, created where it is missing.
#[derive(Debug)]
pub struct ResultDirectory {
    path: PathBuf,
    force: bool,
}

impl ResultDirectory {
    /// The directory, for files of these names.
    ///
    /// # Errors
    /// When it is a symbolic link, cannot be created, or has such a file and `force` does not
    /// permit to replace it.
    pub fn create<'a>(
        path: &Path,
        force: bool,
        names: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<Self> {
        // Without the separator and the dot at its end, which would follow a link.
        let path: PathBuf = path.components().collect();
        if path.is_symlink() {
            bail!(
                "{} is a symbolic link: name the directory itself",
                path.display()
            );
        }
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        let directory = Self { path, force };
        names
            .into_iter()
            .try_for_each(|name| directory.check(name))?;
        Ok(directory)
    }

    /// Refuses a file that would be in the way, before anything is written.
    fn check(&self, name: &str) -> anyhow::Result<()> {
        let path = self.path.join(name);
        if path.is_symlink() {
            bail!("{} is a symbolic link: remove it", path.display());
        }
        if path.exists() && !self.force {
            bail!("{} exists: --force replaces it", path.display());
        }
        Ok(())
    }

    /// Creates one of its files.
    ///
    /// # Errors
    /// As [`ResultFile::create`].
    pub fn file(&self, name: &str) -> anyhow::Result<ResultFile> {
        ResultFile::create(&self.path.join(name), self.force)
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn content(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn file_is_replaced_with_permission_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results");
        ResultFile::create(&path, false)
            .unwrap()
            .write("1\x1b\n")
            .unwrap();
        assert_eq!(content(&path), "1\\u001b\n");
        let error = ResultFile::create(&path, false).unwrap_err().to_string();
        assert!(error.contains("exists: --force replaces it"), "{error}");
        assert_eq!(content(&path), "1\\u001b\n");
        ResultFile::create(&path, true).unwrap().write("2").unwrap();
        assert_eq!(content(&path), "2");
    }

    #[test]
    fn symbolic_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("victim"), "kept").unwrap();
        fs::create_dir(at("private")).unwrap();
        for (target, link) in [
            ("victim", "to-file"),
            ("none", "to-none"),
            ("private", "to-dir"),
        ] {
            symlink(at(target), at(link)).unwrap();
        }
        for (link, force) in [("to-file", false), ("to-file", true), ("to-none", true)] {
            let error = ResultFile::create(&at(link), force)
                .unwrap_err()
                .to_string();
            assert!(error.contains("symbolic link"), "{error}");
        }
        for link in ["to-dir", "to-dir/", "to-dir/."] {
            let error = ResultDirectory::create(&at(link), true, [])
                .unwrap_err()
                .to_string();
            assert!(error.contains("symbolic link"), "{link}: {error}");
        }
        let names = ["a", "to-file"];
        let error = ResultDirectory::create(directory.path(), true, names).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert_eq!(content(&at("victim")), "kept");
        assert!(!at("none").exists());
    }

    #[test]
    fn unused_file_is_removed_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("results");
        drop(ResultFile::create(&path, true).unwrap());
        assert!(!path.exists());
        fs::write(&path, "").unwrap();
        drop(ResultFile::create(&path, true).unwrap());
        assert!(path.exists(), "a file of the user's own stays");
    }

    #[test]
    fn full_disk_is_an_error() {
        let mut full = ResultFile::create(Path::new("/dev/full"), true).unwrap();
        let error = format!("{:#}", full.write("1").unwrap_err());
        assert!(error.contains("write /dev/full: No space left"), "{error}");
    }
}
