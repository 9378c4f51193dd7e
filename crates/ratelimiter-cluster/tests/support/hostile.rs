//! Every command of a program, as its own help lists them, with hostile arguments, variables,
//! files and servers. No output may have a control character.

#[path = "hostile_server.rs"]
mod hostile_server;

use std::collections::VecDeque;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hostile_server::{MANNERS, Manner, hostile_server};
pub(crate) use hostile_server::{hostile_json, hostile_text};

/// Time for a command to end before it is asked to.
const RUN: Duration = Duration::from_secs(3);
/// Commands that run at the same time: most of them wait.
const TOGETHER: usize = 6;

/// A program, and the arguments that its test knows better than its help.
pub(crate) struct Program {
    pub(crate) path: &'static str,
    /// Values of options and places, by name and perhaps with the command before it. `PORT` is a
    /// hostile server's, `FILE` a hostile file, `DIRECTORY` a new one, `HOSTILE` a hostile text.
    pub(crate) values: &'static [(&'static str, &'static str)],
    /// Options that a command gets although it does not require them: command and option.
    pub(crate) always: &'static [(&'static str, &'static str)],
    /// Content of hostile files.
    pub(crate) files: Vec<Vec<u8>>,
    /// The fewest commands, as a proof that the help was read.
    pub(crate) commands: usize,
}

/// One command, as its help describes it.
#[derive(Clone, Debug, Default)]
struct Described {
    words: Vec<String>,
    subcommands: Vec<String>,
    /// Options that take a value.
    options: Vec<String>,
    /// Options that take none.
    flags: Vec<String>,
    variables: Vec<String>,
    /// Options and places without which it does not run.
    required: Vec<String>,
}

/// An argument or a variable beside the required ones.
#[derive(Clone, Copy)]
enum More<'a> {
    Nothing,
    Word(&'a str),
    Hostile(&'a str),
    Known(&'a str),
    Variable(&'a str),
    /// A variable that the help shows.
    Help(&'a str),
}

impl More<'_> {
    fn is_option(self, name: &str) -> bool {
        matches!(self, Self::Hostile(option) | Self::Known(option) if option == name)
    }
}

/// One run.
#[derive(Clone, Debug, Default)]
struct Invocation {
    arguments: Vec<String>,
    variable: Option<(String, String)>,
    directory: PathBuf,
}

impl Program {
    /// Runs every command in every way, and expects clean output.
    pub(crate) fn stays_clean(&self) {
        let place = tempfile::tempdir().unwrap();
        let servers = MANNERS.map(|manner| (manner, hostile_server(manner).port()));
        let described = self.described();
        assert!(described.len() >= self.commands, "{described:#?}");
        let mut invocations = VecDeque::new();
        for command in &described {
            invocations.extend(self.invocations(command, &servers, place.path()));
        }
        let count = invocations.len();
        let invocations = Mutex::new(invocations);
        std::thread::scope(|scope| {
            for _ in 0..TOGETHER {
                scope.spawn(|| {
                    loop {
                        let Some(next) = invocations.lock().unwrap().pop_front() else {
                            return;
                        };
                        self.run(&next);
                    }
                });
            }
        });
        println!("{} commands, {count} runs", described.len());
    }

    /// The program and its commands, as far as its help leads.
    fn described(&self) -> Vec<Described> {
        let mut described: Vec<Described> = Vec::new();
        let mut open = vec![Vec::new()];
        while let Some(words) = open.pop() {
            let help = Command::new(self.path)
                .args(&words)
                .arg("--help")
                .output()
                .unwrap();
            let text = String::from_utf8(help.stdout).unwrap();
            let mut command = Described::of(words, &text);
            let always = self
                .always
                .iter()
                .filter(|(of, _)| *of == command.words.join(" "));
            command
                .required
                .extend(always.map(|(_, option)| (*option).to_owned()));
            let below = command.subcommands.iter();
            open.extend(
                below.map(|name| [&command.words[..], std::slice::from_ref(name)].concat()),
            );
            described.push(command);
        }
        described
    }

    fn invocations(
        &self,
        command: &Described,
        servers: &[(Manner, u16)],
        place: &Path,
    ) -> Vec<Invocation> {
        let text = hostile_text();
        let file = |(n, content): (usize, &Vec<u8>)| {
            let path = place.join(format!("file-{n}"));
            fs::write(&path, content).unwrap();
            path
        };
        let mut files: Vec<PathBuf> = self.files.iter().enumerate().map(file).collect();
        files.extend([place.join(&text), PathBuf::from(&text)]);
        let ports = servers.iter().map(|(_, port)| *port);
        let plausible = servers
            .iter()
            .find(|(manner, _)| *manner == Manner::Plausible);
        let plausible = plausible.unwrap().1;
        let mut all = Vec::new();
        let mut add = |port: u16, file: &Path, more: More<'_>| {
            let directory = place.join(format!("{}-{}", command.words.join("-"), all.len()));
            let known = |name: &str| self.value(command, name, port, file, &directory);
            let mut arguments = command.words.clone();
            for name in command.required.iter().filter(|name| !more.is_option(name)) {
                arguments.extend(name.starts_with("--").then(|| name.clone()));
                arguments.push(known(name));
            }
            let mut variable = None;
            match more {
                More::Nothing => {}
                More::Word(word) => arguments.push(word.to_owned()),
                More::Hostile(option) => arguments.extend([option, &text].map(ToOwned::to_owned)),
                More::Known(option) => arguments.extend([option.to_owned(), known(option)]),
                More::Variable(name) => variable = Some((name.to_owned(), text.clone())),
                More::Help(name) => {
                    variable = Some((name.to_owned(), text.clone()));
                    arguments.push("--help".to_owned());
                }
            }
            all.push(Invocation {
                arguments,
                variable,
                directory,
            });
        };
        for port in ports.clone() {
            add(port, &files[0], More::Nothing);
        }
        for file in &files[1..] {
            add(plausible, file, More::Nothing);
        }
        for option in &command.options {
            add(plausible, &files[0], More::Hostile(option));
            if self.known(command, option).is_some() {
                ports
                    .clone()
                    .for_each(|port| add(port, &files[0], More::Known(option)));
            }
        }
        for flag in &command.flags {
            add(plausible, &files[0], More::Word(flag));
        }
        for variable in &command.variables {
            add(plausible, &files[0], More::Variable(variable));
            add(plausible, &files[0], More::Help(variable));
        }
        add(plausible, &files[0], More::Word(&text));
        add(plausible, &files[0], More::Word(&format!("--{text}")));
        all
    }

    /// The test's value of an option or a place, for this command or for any.
    fn known(&self, command: &Described, name: &str) -> Option<&'static str> {
        let own = format!("{} {name}", command.words.join(" "));
        let of = |wanted: &str| self.values.iter().find(|(known, _)| *known == wanted);
        of(&own).or_else(|| of(name)).map(|(_, value)| *value)
    }

    /// The value of an argument; hostile where nothing is known of it.
    fn value(
        &self,
        command: &Described,
        name: &str,
        port: u16,
        file: &Path,
        directory: &Path,
    ) -> String {
        let known = self.known(command, name).unwrap_or("HOSTILE");
        known
            .replace("PORT", &port.to_string())
            .replace("FILE", file.to_str().unwrap())
            .replace("DIRECTORY", directory.to_str().unwrap())
            .replace("HOSTILE", &hostile_text())
    }

    fn run(&self, invocation: &Invocation) {
        fs::create_dir_all(&invocation.directory).unwrap();
        let mut command = Command::new(self.path);
        command
            .args(&invocation.arguments)
            .envs(invocation.variable.clone())
            .env("TMPDIR", &invocation.directory)
            .current_dir(&invocation.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn();
        // A path may be too long for the system, which is no output of the program.
        let Ok(mut child) = child else { return };
        let streams = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let output = std::thread::spawn(move || {
            let (mut stdout, mut stderr) = streams;
            let errors = std::thread::spawn(move || {
                let mut text = Vec::new();
                stderr.read_to_end(&mut text).map(|_| text)
            });
            let mut text = Vec::new();
            stdout.read_to_end(&mut text).unwrap();
            (text, errors.join().unwrap().unwrap())
        });
        end(&mut child);
        let (stdout, stderr) = output.join().unwrap();
        let case = format!("{} {invocation:?}", self.path);
        is_clean(&stdout, &format!("standard output of {case}"));
        is_clean(&stderr, &format!("standard error of {case}"));
        let errors = String::from_utf8_lossy(&stderr);
        assert!(!errors.contains("panicked"), "{case}: {errors}");
        for entry in walk(&invocation.directory) {
            is_clean(
                &fs::read(&entry).unwrap(),
                &format!("{} of {case}", entry.display()),
            );
        }
    }
}

impl Described {
    /// Reads a help in the form of clap.
    fn of(words: Vec<String>, help: &str) -> Self {
        let mut described = Self {
            words,
            ..Self::default()
        };
        let mut section = "";
        for line in help.lines() {
            if line.ends_with(':') && !line.starts_with(' ') {
                section = line;
            }
            let line_words: Vec<&str> = line.split_whitespace().collect();
            match (section, line_words.as_slice()) {
                ("Commands:", [name, ..])
                    if line.starts_with("  ") && !line.starts_with("   ") && *name != "help" =>
                {
                    described.subcommands.push((*name).to_owned());
                }
                // Descriptions stand further to the right.
                (_, words) if is_option(line) => {
                    let Some(at) = words.iter().position(|word| word.starts_with("--")) else {
                        continue;
                    };
                    let value = words.get(at + 1).is_some_and(|word| word.starts_with('<'));
                    let into = if value {
                        &mut described.options
                    } else {
                        &mut described.flags
                    };
                    into.push(words[at].to_owned());
                }
                _ => {}
            }
            if let Some(usage) = line.strip_prefix("Usage: ") {
                described.required = required(usage);
            }
        }
        let text = Vec::from_iter(help.split_whitespace()).join(" ");
        let variables = text.split("[env: ").skip(1);
        let names = variables.filter_map(|variable| variable.split(['=', ']']).next());
        described.variables.extend(names.map(ToOwned::to_owned));
        described
    }
}

/// Whether a line of a help begins with an option.
fn is_option(line: &str) -> bool {
    let text = line.trim_start();
    text.starts_with('-') && line.len() - text.len() <= 6
}

/// The options and places of a usage that are not in brackets.
fn required(usage: &str) -> Vec<String> {
    let words: Vec<&str> = usage.split_whitespace().collect();
    let names = words.windows(2).filter_map(|pair| match pair {
        [_, option] if option.starts_with("--") => Some((*option).to_owned()),
        [before, place] if place.starts_with('<') && !before.starts_with("--") => {
            Some(place.trim_matches(|c| "<>.".contains(c)).to_owned())
        }
        _ => None,
    });
    names.filter(|name| name != "COMMAND").collect()
}

/// Waits until it ends; asks it to after a while, and then makes it.
fn end(child: &mut Child) {
    let started = Instant::now();
    let mut asked = false;
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > RUN && !asked {
            asked = true;
            let id = child.id().to_string();
            Command::new("kill").args(["-TERM", &id]).status().unwrap();
        }
        if started.elapsed() > 10 * RUN {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The files below a directory, but for those of stores and nodes.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Text without control characters but line breaks and tabs, and without marks of direction.
#[track_caller]
fn is_clean(output: &[u8], what: &str) {
    let text = String::from_utf8(output.to_vec()).unwrap_or_else(|_| panic!("{what} is no UTF-8"));
    let marks = |c: char| {
        matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}')
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let found = text.find(|c: char| (c.is_control() && !"\n\t".contains(c)) || marks(c));
    if let Some(at) = found {
        let line = text[..at].lines().last().unwrap_or_default();
        panic!("{what}: {:?} after {line:?}", &text[at..].chars().next());
    }
}
