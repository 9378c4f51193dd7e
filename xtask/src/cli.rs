use std::ffi::OsString;
use std::process::ExitCode;

use xshell::Shell;

use crate::ending::{BadArguments, CommandEnd};
use crate::{arrows, ci, demo, dist, down, logs, media, project, status, tidy, up};

/// One command, for `help` and for the command line.
struct XtaskCommand {
    name: &'static str,
    about: &'static str,
    run: fn(&Shell, &[OsString]) -> anyhow::Result<()>,
}

const COMMANDS: [XtaskCommand; 10] = [
    XtaskCommand {
        name: "demo",
        about: "build, bring up a cluster and play the demo; `demo --help` lists the options",
        run: demo::run,
    },
    XtaskCommand {
        name: "up",
        about: "bring up a store and three nodes in Docker; takes --topology, --airgap and \
            --observability",
        run: up::run,
    },
    XtaskCommand {
        name: "down",
        about: "end and remove what `up` brought up",
        run: down::run,
    },
    XtaskCommand {
        name: "status",
        about: "show which containers run, and their health",
        run: status::run,
    },
    XtaskCommand {
        name: "logs",
        about: "show the containers' logs; takes the options of `docker compose logs`",
        run: logs::run,
    },
    XtaskCommand {
        name: "ci",
        about: "run all checks of the gate, in the order that fails fastest, or the named steps",
        run: ci::run,
    },
    XtaskCommand {
        name: "arrows",
        about: "check that crates depend on each other only as ARCHITECTURE.md lists",
        run: arrows::run,
    },
    XtaskCommand {
        name: "media",
        about: "make the README's pictures and the cast again, from the log of a real run",
        run: media::run,
    },
    XtaskCommand {
        name: "dist",
        about: "make and try the archive, the wheels and the images of the kit; --debug is faster",
        run: dist::run,
    },
    XtaskCommand {
        name: "tidy",
        about: "check sizes, widths, docs, imports, names and words of all files",
        run: tidy::run,
    },
];

/// As sysexits.h has it.
const USAGE: u8 = 64;

/// Runs the command line.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.next().unwrap_or_else(|| "help".into());
    if ["help", "--help", "-h"].iter().any(|help| name == *help) {
        println!("{}", help());
        return ExitCode::SUCCESS;
    }
    let Some(verb) = COMMANDS.iter().find(|verb| name == verb.name) else {
        eprintln!("xtask: there is no command {name:?}\n\n{}", help());
        return ExitCode::from(USAGE);
    };
    let done = Shell::new().map_err(anyhow::Error::from).and_then(|shell| {
        // Commands work from anywhere in the project.
        shell.change_dir(project::root());
        (verb.run)(&shell, &arguments.collect::<Vec<_>>())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(CommandEnd(code)) = error.downcast_ref() {
                return ExitCode::from(*code);
            }
            eprintln!("xtask {}: {error:#}", verb.name);
            if error.is::<BadArguments>() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn help() -> String {
    COMMANDS
        .iter()
        .fold(String::from("cargo xtask COMMAND\n"), |text, verb| {
            format!("{text}\n  {:8} {}", verb.name, verb.about)
        })
}
