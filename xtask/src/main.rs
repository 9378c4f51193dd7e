//! The project's own commands. `cargo xtask` lists them.

mod arrows;
mod ci;
mod demo;
mod tidy;

use std::ffi::OsString;
use std::process::ExitCode;

use xshell::Shell;

/// One command: the list that `help` prints and that arguments are matched with.
struct Verb {
    name: &'static str,
    about: &'static str,
    run: fn(&Shell, &[OsString]) -> anyhow::Result<()>,
}

const VERBS: [Verb; 4] = [
    Verb {
        name: "demo",
        about: "build, bring up a cluster and play the demo; options are those of `demo-ratelimiter run`",
        run: demo::run,
    },
    Verb { name: "ci", about: "everything the gate checks, in the order that fails fastest", run: ci::run },
    Verb {
        name: "arrows",
        about: "check that crates depend on each other only as ARCHITECTURE.md lists",
        run: arrows::run,
    },
    Verb { name: "tidy", about: "check file sizes, module docs and unfinished work", run: tidy::run },
];

/// As sysexits.h has it.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_else(|| "help".into());
    if ["help", "--help", "-h"].iter().any(|help| name == *help) {
        println!("{}", help());
        return ExitCode::SUCCESS;
    }
    let Some(verb) = VERBS.iter().find(|verb| name == verb.name) else {
        eprintln!("xtask: there is no command {name:?}\n\n{}", help());
        return ExitCode::from(USAGE);
    };
    let done = Shell::new().map_err(anyhow::Error::from).and_then(|shell| {
        // Commands work from anywhere in the project.
        shell.change_dir(root());
        (verb.run)(&shell, &arguments.collect::<Vec<_>>())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {}: {error:#}", verb.name);
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    VERBS.iter().fold(String::from("cargo xtask COMMAND\n"), |text, verb| {
        format!("{text}\n  {:8} {}", verb.name, verb.about)
    })
}

/// The workspace, wherever the command is called from.
fn root() -> std::path::PathBuf {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Commands without options say so instead of ignoring what they are given.
fn no_arguments(arguments: &[OsString]) -> anyhow::Result<()> {
    anyhow::ensure!(arguments.is_empty(), "takes no arguments, and was given {arguments:?}");
    Ok(())
}
