//! The words of a format: `WORD=VALUE,...`.

use cli_support::did_you_mean;

/// What a word of a format means; `docs/history.md` has the same list.
const WORDS: [&str; 18] = [
    "begin",
    "end",
    "duration",
    "unit",
    "duration-unit",
    "resolution",
    "takes",
    "key",
    "header",
    "node",
    "status",
    "outcome",
    "flags",
    "cost",
    "only",
    "each",
    "whole",
    "after",
];

/// The words of a format with their values.
#[derive(Clone, Debug, Default)]
pub(super) struct FormatWords(Vec<(&'static str, String)>);

impl FormatWords {
    pub(super) fn get(&self, word: &str) -> Option<&str> {
        let known = self.0.iter().find(|known| known.0 == word);
        known.map(|known| known.1.as_str())
    }

    pub(super) fn set(&mut self, word: &str, value: &str) -> Result<(), String> {
        let known = WORDS.iter().find(|known| **known == word);
        let known = known.ok_or_else(|| {
            let (meant, all) = (did_you_mean(word, WORDS), WORDS.join(", "));
            format!("no word {word:?} in a format{meant}: use {all}")
        })?;
        self.0.push((known, value.to_owned()));
        Ok(())
    }

    /// `WORD=VALUE,...`; what follows `line=` is the rest.
    pub(super) fn read(text: &str) -> Result<(Self, Option<&str>), String> {
        let mut words = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(line) = rest.strip_prefix("line=") {
                return Ok((words, Some(line)));
            }
            let (word, after) = rest.split_once(',').unwrap_or((rest, ""));
            let (word, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{word:?}: expected WORD=VALUE"))?;
            words.set(word.trim(), value)?;
            rest = after;
        }
        Ok((words, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_has_every_word() {
        let document = include_str!("../../../../docs/history.md");
        for word in WORDS {
            assert!(
                document.contains(&format!("`{word}`")),
                "docs/history.md lacks {word}"
            );
        }
    }
}
