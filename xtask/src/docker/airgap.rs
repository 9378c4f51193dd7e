use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::{Docker, libraries};
use crate::child::output;
use crate::project;

/// The name of the image.
pub(super) const STORE_IMAGE: &str = "ratelimiter-demo/store:airgap";
/// In place of `valkey-cli`.
const CLIENT: &str = "docker/airgap-cli.bash";

/// Builds the store's image from this machine's own store and its libraries.
pub(super) fn store_image(docker: &Docker, target: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        docker.runs_binaries_of_host(),
        "--airgap puts this machine's store ({}) into an image, and the engine runs {}",
        super::platform_of_host(),
        docker.platform
    );
    let server = server(docker)?;
    eprintln!("the store's image is made from {}", server.display());
    let layout = target.join("airgap");
    lay_out(&layout, &server)?;
    let libraries = library_path(&libraries::of(&server)?);
    let mut build = docker.docker();
    build.args([
        "build",
        "--file",
        "docker/airgap.Dockerfile",
        "--tag",
        STORE_IMAGE,
        "--build-arg",
    ]);
    output(build.arg(format!("LIBRARY_PATH={libraries}")).arg(&layout))
        .context("the store's image cannot be built")?;
    docker.remove_replaced_images();
    Ok(())
}

/// The store that a local cluster would start: found as the README says, or fetched.
fn server(docker: &Docker) -> anyhow::Result<PathBuf> {
    let mut find = Command::new("cargo");
    find.args([
        "run",
        "--quiet",
        "--package",
        "ratelimiter-cluster",
        "--example",
        "find_store",
    ]);
    Ok(output(find.current_dir(&docker.root))
        .context("this machine has no store")?
        .into())
}

/// Lays out the file system of the image: every file where it is on this machine, but for the store
/// itself.
fn lay_out(layout: &Path, server: &Path) -> anyhow::Result<()> {
    if layout.exists() {
        std::fs::remove_dir_all(layout)
            .with_context(|| format!("cannot remove {}", layout.display()))?;
    }
    let bash = std::fs::canonicalize("/bin/bash")
        .context("--airgap needs bash for the store's health check")?;
    put(layout, "/usr/local/bin/valkey-server".as_ref(), server)?;
    put(layout, "/bin/bash".as_ref(), &bash)?;
    for library in libraries::of(server)?
        .into_iter()
        .chain(libraries::of(&bash)?)
    {
        put(layout, &library, &library)?;
    }
    put(
        layout,
        "/usr/local/bin/valkey-cli".as_ref(),
        &project::root().join(CLIENT),
    )
}

/// Copies the file behind all links to its place in the image.
fn put(layout: &Path, place: &Path, file: &Path) -> anyhow::Result<()> {
    let target = layout.join(place.strip_prefix("/").unwrap_or(place));
    std::fs::create_dir_all(target.parent().unwrap_or(layout))
        .and_then(|()| std::fs::copy(file, &target))
        .with_context(|| format!("cannot copy {} to {}", file.display(), target.display()))?;
    Ok(())
}

/// Directories of the libraries: the image has no cache of them for its loader.
fn library_path(libraries: &[PathBuf]) -> String {
    let mut directories: Vec<_> = libraries
        .iter()
        .filter_map(|l| l.parent())
        .map(Path::to_string_lossy)
        .collect();
    directories.sort();
    directories.dedup();
    directories.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of one test alone.
    fn directory(name: &str) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("xtask-airgap-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn the_layout_holds_what_the_store_needs() {
        let directory = directory("layout");
        lay_out(&directory, "/bin/sh".as_ref()).unwrap();
        for file in [
            "usr/local/bin/valkey-server",
            "usr/local/bin/valkey-cli",
            "bin/bash",
        ] {
            assert!(directory.join(file).is_file(), "{file}");
        }
        for library in libraries::of("/bin/sh".as_ref()).unwrap() {
            assert!(
                directory.join(library.strip_prefix("/").unwrap()).is_file(),
                "{}",
                library.display()
            );
        }
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_library_path_names_each_directory_once() {
        let libraries = ["/lib/a/libc.so", "/lib/a/libm.so", "/lib64/ld.so"].map(PathBuf::from);
        assert_eq!(library_path(&libraries), "/lib/a:/lib64");
    }
}
