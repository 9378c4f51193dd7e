//! Every command that a document shows is one that its program takes.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs of others, whose arguments are not ours to check.
const OTHERS: [&str; 4] = ["curl", "docker", "pip", "source"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The commands in a document: lines of shell blocks, and of terminal sessions after `$ `.
fn commands(document: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut blocks = document.split("\n```").skip(1).step_by(2);
    for block in &mut blocks {
        let (kind, text) = block.split_once('\n').unwrap_or((block, ""));
        let text = text.replace("\\\n", " ");
        for line in text.lines() {
            match (kind, line.strip_prefix("$ ")) {
                ("text", Some(command)) => commands.push(command.to_owned()),
                ("sh", _) if !line.is_empty() => commands.push(line.to_owned()),
                _ => {}
            }
        }
    }
    commands
}

/// A file of a package that Cargo takes for a program of this name.
fn is_program(package: &str, kind: &str, name: &str) -> bool {
    let directory = root().join("crates").join(package).join(kind);
    directory.join(format!("{name}.rs")).exists() || directory.join(name).join("main.rs").exists()
}

/// Fails when the program, built as the tests were, does not take these arguments. It acts on none:
/// `--help` ends it after they are read.
fn takes(program: &str, arguments: &[String]) -> Result<(), String> {
    let test = std::env::current_exe().unwrap();
    let built: PathBuf = test.ancestors().nth(2).unwrap().join(program);
    if !built.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", program]);
        assert!(cargo.current_dir(root()).status().unwrap().success());
    }
    let run = Command::new(built).args(arguments).arg("--help").output();
    let run = run.map_err(|error| format!("{program}: {error}"))?;
    match run.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&run.stderr).into_owned()),
    }
}

fn cargo(arguments: &[String]) -> Result<(), String> {
    let (options, own) = match arguments.iter().position(|word| word == "--") {
        Some(end) => (&arguments[..end], &arguments[end + 1..]),
        None => (arguments, &[][..]),
    };
    let after = |flags: &[&str]| {
        let flag = options.iter().position(|word| flags.contains(&&**word))?;
        options.get(flag + 1)
    };
    if options[0] == "xtask" {
        let commands = include_str!("../../xtask/src/cli.rs");
        let known = options
            .get(1)
            .is_none_or(|name| commands.contains(&format!("name: \"{name}\",")));
        return known.then_some(()).ok_or("no command of xtask".to_owned());
    }
    let Some(package) = after(&["-p", "--package"]) else {
        let whole = options.iter().any(|word| word == "--workspace");
        return whole.then_some(()).ok_or("no package".to_owned());
    };
    for (flag, kind) in [("--example", "examples"), ("--test", "tests")] {
        if let Some(name) = after(&[flag]) {
            let exists = is_program(package, kind, name);
            return exists.then_some(()).ok_or(format!("no {kind} {name}"));
        }
    }
    match options[0].as_str() {
        "run" => takes(package, own),
        _ if root().join("crates").join(package).exists() => Ok(()),
        _ => Err(format!("no package {package}")),
    }
}

/// Checks one simple command.
fn check(words: &[String]) -> Result<(), String> {
    let is_variable = |word: &&String| {
        let name = word.split('=').next().unwrap_or_default();
        word.contains('=') && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let variables = words.iter().take_while(is_variable).count();
    match &words[variables..] {
        [] => Ok(()),
        [program, ..] if OTHERS.contains(&program.as_str()) => Ok(()),
        [program, arguments @ ..] if program == "cargo" => cargo(arguments),
        [program, arguments @ ..] => takes(program, arguments),
    }
}

#[test]
fn every_command_of_a_document_is_taken() {
    let listed = Command::new("git")
        .args(["ls-files", "*.md"])
        .current_dir(root())
        .output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for document in listed.lines() {
        for command in commands(&std::fs::read_to_string(root().join(document)).unwrap()) {
            let words = shlex::split(&command).unwrap_or_else(|| panic!("{document}: {command}"));
            for part in words.split(|word| ["|", "&&", ";"].contains(&&**word)) {
                let end = part.iter().position(|word| word == ">");
                let part = &part[..end.unwrap_or(part.len())];
                checked += 1;
                if let Err(why) = check(part) {
                    wrong.push(format!("{document}: {command}\n  {why}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 40, "only {checked} commands were found");
}

#[test]
fn commands_that_are_not_taken_are_found() {
    for command in [
        "cargo run -p ratelimiter-verify -- http --limmit 10/1m",
        "cargo run -p ratelimiter-node --example absent",
        "cargo test -p ratelimiter-node --test absent",
        "cargo test -p absent",
        "cargo xtask absent",
        "ratelimiter-verify check history.jsonl --limit nonsense",
    ] {
        let words = shlex::split(command).unwrap();
        assert!(check(&words).is_err(), "{command}");
    }
}
