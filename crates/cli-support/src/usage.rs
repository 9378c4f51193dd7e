use std::fmt;
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};

use crate::{Exit, print, remark};

/// An argument that parses and makes no sense; it ends the program with [`Exit::Usage`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub String);

impl WrongUsage {
    /// Another error as wrong usage.
    pub fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Parses the command line and runs the program. Help goes to standard output. An error is one line
/// on standard error; its exit code is 64 for a wrong command line, else 1. Neither has control
/// characters, whatever stands in an argument, a variable or a cause.
pub fn run<C: Parser>(program: &str, body: impl FnOnce(C) -> anyhow::Result<Exit>) -> ExitCode {
    match parse(program) {
        Ok(cli) => end(program, body(cli)),
        Err(exit) => exit,
    }
    .into()
}

/// ` (did you mean "burst"?)`, by the valid word that is most like a wrong one; nothing when none
/// is near. Near are one mistake, and one more for each three letters, as Damerau and Levenshtein
/// count them.
pub fn did_you_mean<'w>(wrong: &str, valid: impl IntoIterator<Item = &'w str>) -> String {
    let mistakes = |word: &&str| strsim::damerau_levenshtein(wrong, word);
    let best = valid.into_iter().min_by_key(mistakes);
    let near = best.filter(|best| mistakes(best) <= 1 + wrong.len() / 3);
    near.map_or(String::new(), |word| format!(" (did you mean {word:?}?)"))
}

fn parse<C: Parser>(program: &str) -> Result<C, Exit> {
    C::try_parse().map_err(|error| {
        // Without a subcommand the help is the answer, and the usage is wrong all the same.
        if !error.use_stderr()
            || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        {
            // As plain text: variables and arguments are part of it.
            let help = without_users(&error.render().to_string());
            if error.use_stderr() {
                help.lines().for_each(remark);
                return Exit::Usage;
            }
            return end(program, print(help.trim_end()).map(|()| Exit::Success));
        }
        // Up to the usage, which --help explains better.
        let text = error.to_string();
        let reason: Vec<_> = text
            .lines()
            .map(str::trim)
            .take_while(|line| !line.is_empty())
            .collect();
        let line = reason.join(" ");
        let reason = without_users(line.trim_start_matches("error: "));
        let meant = match nearest(&error) {
            Some(word) => format!("did you mean {word}?"),
            None => "--help explains".to_owned(),
        };
        remark(format_args!("{program}: {reason} ({meant})"));
        Exit::Usage
    })
}

/// The valid word that is nearest to the wrong one, if one is near.
fn nearest(error: &clap::Error) -> Option<String> {
    let kinds = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ];
    let words = kinds.into_iter().find_map(|kind| error.get(kind))?;
    Some(words.to_string().replace(", ", " or "))
}

fn end(program: &str, result: anyhow::Result<Exit>) -> Exit {
    result.unwrap_or_else(|error| {
        let reason = without_users(&on_one_line(&error));
        remark(format_args!("{program}: {reason}"));
        if error.is::<WrongUsage>() {
            Exit::Usage
        } else {
            Exit::Failure
        }
    })
}

/// A text whose URLs have neither user nor password. Programs take secrets as
/// [`Hidden`](crate::Hidden); this is for those in an argument that should have none.
fn without_users(text: &str) -> String {
    let mut parts = text.split("://");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shown, part| {
        let end = part.find(|c: char| c.is_whitespace() || "'\"`".contains(c));
        let (place, rest) = part.split_at(end.unwrap_or(part.len()));
        match place.rsplit_once('@') {
            // The form of a URL, in an explanation, has its user in brackets.
            Some((user, host)) if !user.starts_with('[') => shown + "://***@" + host + rest,
            _ => shown + "://" + part,
        }
    })
}

/// An error with its causes, without those that it repeats.
fn on_one_line(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .fold(String::new(), |line, cause| match line.as_str() {
            "" => cause,
            line if line.contains(&cause) => line.to_owned(),
            line => format!("{line}: {cause}"),
        })
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::*;

    #[test]
    fn errors_name_the_nearest_word() {
        let program = || {
            let phase = Arg::new("phase")
                .long("phase")
                .value_parser(["burst", "steady"]);
            Command::new("p").subcommand(Command::new("check").arg(phase))
        };
        for (words, meant) in [
            (["chekc", "", ""], Some("check")),
            (["check", "--phsae", "burst"], Some("--phase")),
            (["check", "--phase", "bust"], Some("burst")),
            (["check", "--other", ""], None),
        ] {
            let words = ["p"].into_iter().chain(words);
            let error = program().try_get_matches_from(words).unwrap_err();
            assert_eq!(nearest(&error).as_deref(), meant, "{error}");
        }
    }

    #[test]
    fn users_of_urls_are_not_shown() {
        let text = "invalid value 'http://u:hunter2@a:1/x' for '--node <URL>': see redis://b:2@c";
        let shown = "invalid value 'http://***@a:1/x' for '--node <URL>': see redis://***@c";
        assert_eq!(without_users(text), shown);
        let form = "expected redis://[USER[:PASSWORD]@]HOST";
        for plain in ["", "a@b", "http://a:1/check", "http://a 'b@c'", form] {
            assert_eq!(without_users(plain), plain);
        }
    }
}
