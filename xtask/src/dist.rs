//! The kit as others install it: an archive of static programs, Python wheels, and images; each is
//! tried out after it is made.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use xshell::{Shell, cmd};

use crate::ending::BadArguments;
use crate::project;

/// The programs of the kit, each the binary of the crate of its name. The second wheel depends on
/// the first.
const PROGRAMS: [&str; 2] = ["resp-proxy", "ratelimiter-verify"];
/// Files that go into the archive beside the programs.
const DOCUMENTS: [&str; 3] = ["LICENSE-APACHE", "LICENSE-MIT", "README.md"];
/// The packages of the Python tests, with hashes.
const PYTHON_PACKAGES: &str = "crates/resp-proxy/tests/support/python.txt";
/// One check of cost 11 that was allowed, as `check` reads it.
const HISTORY: &str =
    r#"{"key":"k","node":"n","invoke_ms":0,"complete_ms":1,"outcome":"allowed","cost":11}"#;

/// Makes and tries everything below `target/dist`; `--debug` compiles without optimization.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    let profile = match arguments {
        [] => "release",
        [only] if only == "--debug" => "dev",
        _ => return Err(BadArguments("dist takes no arguments but --debug".into()).into()),
    };
    let dist = project::target_dir()?.join("dist");
    shell.remove_path(&dist)?;
    let wheels = wheels(shell, &dist, profile)?;
    let archive = archive(shell, &dist, profile)?;
    try_archive(shell, &dist, &archive)?;
    try_wheels(shell, &dist, &wheels)?;
    println!("made and tried in {}:", dist.display());
    for made in shell.read_dir(&wheels)?.iter().chain([&archive]) {
        println!("  {}", made.strip_prefix(&dist).unwrap_or(made).display());
    }
    Ok(())
}

/// The tools that `dist` needs beside a toolchain and Docker.
pub(crate) fn needs() -> anyhow::Result<()> {
    maturin().map(drop)
}

/// maturin on PATH, or the one that `.ci/run` puts below `target`.
fn maturin() -> anyhow::Result<PathBuf> {
    project::tool("maturin", "target/maturin/bin")
        .context("maturin is not installed (pip install maturin)")
}

/// One wheel a program. A static executable runs on every distribution of the architecture.
fn wheels(shell: &Shell, dist: &Path, profile: &str) -> anyhow::Result<PathBuf> {
    let (maturin, triple) = (maturin()?, triple(shell)?);
    let _flags = shell.push_env("RUSTFLAGS", "-C target-feature=+crt-static");
    // Other flags than those of the workspace: in the same directory, each would undo the other's
    // work.
    let _directory = shell.push_env("CARGO_TARGET_DIR", build_dir()?);
    let wheels = dist.join("wheels");
    for program in PROGRAMS {
        let manifest = format!("crates/{program}/Cargo.toml");
        cmd!(
            shell,
            "{maturin} build --quiet --profile {profile} --target {triple}
                --manifest-path {manifest} --out {wheels}"
        )
        .run()?;
    }
    Ok(wheels)
}

/// The programs that are in the wheels, with a checksum.
fn archive(shell: &Shell, dist: &Path, profile: &str) -> anyhow::Result<PathBuf> {
    let triple = triple(shell)?;
    let output = if profile == "dev" { "debug" } else { profile };
    let built = build_dir()?.join(&triple).join(output);
    let name = format!("ratelimiter-verify-{triple}");
    let directory = dist.join(&name);
    shell.create_dir(&directory)?;
    let programs = PROGRAMS.iter().map(|program| built.join(program));
    for file in programs.chain(DOCUMENTS.map(|document| project::root().join(document))) {
        shell.copy_file(file, &directory)?;
    }
    let archive = format!("{name}.tar.gz");
    let _dist = shell.push_dir(dist);
    cmd!(
        shell,
        "strip {directory}/resp-proxy {directory}/ratelimiter-verify"
    )
    .run()?;
    cmd!(
        shell,
        "tar --create --gzip --owner=0 --group=0 --file {archive} {name}"
    )
    .run()?;
    let sum = cmd!(shell, "sha256sum {archive}").read()?;
    shell.write_file(format!("{archive}.sha256"), format!("{sum}\n"))?;
    shell.remove_path(&directory)?;
    Ok(dist.join(archive))
}

/// The archive's checksum, and its programs in containers that hold nothing else.
fn try_archive(shell: &Shell, dist: &Path, archive: &Path) -> anyhow::Result<()> {
    let _dist = shell.push_dir(dist);
    cmd!(shell, "sha256sum --check --quiet {archive}.sha256").run()?;
    let unpacked = shell.create_temp_dir()?;
    let context = unpacked.path();
    cmd!(
        shell,
        "tar --extract --strip-components 1 --file {archive} --directory {context}"
    )
    .run()?;
    let file = project::root().join("docker/kit.Dockerfile");
    for program in PROGRAMS {
        let target = program.rsplit('-').next().unwrap_or(program);
        let image = format!("{program}:local");
        cmd!(
            shell,
            "docker build --quiet --file {file} --target {target} --tag {image} {context}"
        )
        .ignore_stdout()
        .run()?;
        let version = cmd!(shell, "docker run --rm --network none {image} --version").read()?;
        anyhow::ensure!(version.starts_with(program), "{image} printed {version:?}");
    }
    let container = ["run", "--rm", "--interactive", "--network", "none"];
    accuses(
        shell,
        "docker",
        &[&container[..], &["ratelimiter-verify:local"]].concat(),
    )
}

/// The wheels in an environment that has Python alone, and the tests of the Python module there.
fn try_wheels(shell: &Shell, dist: &Path, wheels: &Path) -> anyhow::Result<()> {
    let venv = dist.join("venv");
    cmd!(shell, "python3 -m venv {venv}").run()?;
    let _path = shell.push_env("PATH", format!("{}/bin:/usr/bin:/bin", venv.display()));
    let pip = [
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "install",
    ];
    cmd!(
        shell,
        "python {pip...} --no-index --find-links {wheels} ratelimiter-verify"
    )
    .run()?;
    accuses(shell, "ratelimiter-verify", &[])?;
    completes(shell)?;
    cmd!(
        shell,
        "python {pip...} --no-deps --require-hashes --requirement {PYTHON_PACKAGES}"
    )
    .run()?;
    let tests = "crates/ratelimiter-verify/python/tests";
    cmd!(
        shell,
        "python -m pytest --quiet -p no:cacheprovider {tests}"
    )
    .run()?;
    shell.remove_path(venv)?;
    Ok(())
}

/// Whether bash completes a command of the program by the script that it prints.
fn completes(shell: &Shell) -> anyhow::Result<()> {
    let question = "source <(ratelimiter-verify completions bash)
        COMP_WORDS=(ratelimiter-verify what) COMP_CWORD=1
        set -- $(complete -p ratelimiter-verify)
        while [ $1 != -F ]; do shift; done
        $2 ratelimiter-verify what ratelimiter-verify
        echo \"${COMPREPLY[@]}\"";
    let answer = cmd!(shell, "bash -c {question}").read()?;
    anyhow::ensure!(answer == "what-if", "bash completes \"what\" by {answer:?}");
    Ok(())
}

/// Whether the program finds the excess of [`HISTORY`].
fn accuses(shell: &Shell, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let judged = cmd!(shell, "{program} {arguments...} check - --limit 10/1m")
        .stdin(HISTORY)
        .ignore_status()
        .output()?;
    let code = judged.status.code();
    anyhow::ensure!(
        code == Some(3),
        "{program} ended with {code:?} instead of 3"
    );
    Ok(())
}

fn build_dir() -> anyhow::Result<PathBuf> {
    Ok(project::target_dir()?.join("static"))
}

fn triple(shell: &Shell) -> anyhow::Result<String> {
    Ok(cmd!(shell, "rustc --print host-tuple").read()?)
}
