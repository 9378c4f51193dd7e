//! Results as one page that needs nothing else: no font, no network, and a script that only labels.

mod axis;
mod drawing;
mod histories;
mod parts;
mod scorecard;

use std::time::SystemTime;

use clap::ValueEnum;
use maud::{DOCTYPE, Markup, PreEscaped, html};

pub use histories::page;
pub use scorecard::scorecard_page;

use super::VERSION;
use crate::RunStatus;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Nothing is loaded, whatever a text on the page may ask for.
const POLICY: &str =
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Beyond this size a page has no more drawings, and beyond the other their bars no labels.
const MOST_BYTES: usize = 1_500_000;
const MOST_LABELLED: usize = 400_000;

/// The origin of results, to repeat them.
#[derive(Clone, Copy, Debug)]
pub struct RunFacts<'a> {
    /// The target in words.
    pub target: &'a str,
    /// The arguments of the command, without secrets.
    pub command: &'a [String],
    /// The start of the run.
    pub date: SystemTime,
    /// SHA-256 of `history.jsonl`, in hexadecimal digits, where that is one of the results.
    pub history_sha256: Option<&'a str>,
}

impl RunFacts<'_> {
    fn markup(&self) -> Markup {
        html! {
            dl {
                dt { "target" } dd { (self.target) }
                dt { "date" } dd { (humantime::format_rfc3339_seconds(self.date)) }
                dt { "made by" } dd { (VERSION) ", " (super::platform()) }
                dt { "repeat with" }
                dd {
                    code { (command_line(self.command)) }
                    @if self.command.iter().any(|word| word.contains("***")) {
                        br; small { "*** stands for a text that may be a secret" }
                    }
                }
                @if let Some(digest) = self.history_sha256 {
                    dt { "history.jsonl" } dd { "SHA-256 " code { (digest) } }
                }
            }
        }
    }
}

const PROGRAM: &str = "ratelimiter-verify";

/// The command line of these arguments, whether they name the program or not.
pub(super) fn command_line(arguments: &[String]) -> String {
    let words = arguments
        .iter()
        .filter_map(|word| shlex::try_quote(word).ok());
    let named = arguments.first().is_some_and(|first| first == PROGRAM);
    let program = (!named).then(|| PROGRAM.into());
    Vec::from_iter(program.into_iter().chain(words)).join(" ")
}

/// A whole page.
fn shell(title: &str, content: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (content)
                div #tip {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// The meaning of a phase, a property or a verdict, from its own documentation.
fn about(value: &impl ValueEnum) -> String {
    let help = value.to_possible_value();
    let help = help.and_then(|value| Some(value.get_help()?.to_string()));
    help.unwrap_or_default().replace('`', "")
}

/// A status as a symbol, which tells it without its colour.
fn symbol(status: RunStatus) -> Markup {
    let symbol = super::screen::symbol(status);
    html! { span class={ "sym " (class(status)) } aria-hidden="true" { (symbol) } }
}

fn class(status: RunStatus) -> &'static str {
    match status {
        RunStatus::NotExercised => "not-exercised",
        RunStatus::Passed => "passed",
        RunStatus::Undecided => "undecided",
        RunStatus::Violated => "violated",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::STYLE;

    /// The light, the dark and the printed palette.
    fn palettes() -> Vec<BTreeMap<&'static str, f64>> {
        let blocks = STYLE.split(":root{").skip(1);
        let palette = |block: &'static str| {
            let rules = block.split('}').next().unwrap().split(';');
            let colors = rules.filter_map(|rule| rule.trim().strip_prefix("--")?.split_once(":#"));
            colors.map(|(name, hex)| (name, luminance(hex))).collect()
        };
        blocks.map(palette).collect()
    }

    /// Relative luminance as WCAG defines it.
    fn luminance(hex: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.039_28 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    }

    fn contrast(a: f64, b: f64) -> f64 {
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn palettes_have_contrast() {
        let palettes = palettes();
        assert_eq!(palettes.len(), 3);
        for palette in palettes {
            for behind in ["back", "panel"] {
                for (name, least) in [
                    ("text", 7.0),
                    ("dim", 4.5),
                    ("good", 4.5),
                    ("bad", 4.5),
                    ("doubt", 4.5),
                    ("idle", 4.5),
                ] {
                    let ratio = contrast(palette[name], palette[behind]);
                    assert!(ratio >= least, "{name} on {behind}: {ratio:.2}");
                }
            }
        }
        assert!((contrast(luminance("000000"), luminance("ffffff")) - 21.0).abs() < 1e-9);
    }
}
