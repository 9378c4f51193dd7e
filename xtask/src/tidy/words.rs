//! Plain words in comments and documents, counted per 1,000 words: free relatives and indefinite
//! persons.

use std::fmt;
use std::path::Path;

/// Free relatives per 1,000 words, at most.
const RELATIVES: f64 = 3.0;
/// Indefinite persons per 1,000 words, at most.
const PERSONS: f64 = 0.3;

/// A free relative is `what` in front of one of these.
const AFTER_WHAT: [&str; 6] = ["is", "was", "it", "they", "there", "has"];
const INDEFINITE: [&str; 3] = ["whoever", "nobody", "somebody"];

/// The words of many files.
#[derive(Debug, Default)]
pub(super) struct WordCounts {
    all: usize,
    relatives: WordHits,
    persons: WordHits,
}

#[derive(Debug, Default)]
struct WordHits {
    count: usize,
    /// Number found in each file that has any.
    files: Vec<(String, usize)>,
}

impl WordHits {
    fn add(&mut self, file: &Path, count: usize) {
        self.count += count;
        if count > 0 {
            self.files.push((file.display().to_string(), count));
        }
    }

    fn share(&self, all: usize) -> f64 {
        1000.0 * self.count as f64 / all.max(1) as f64
    }

    fn complaint(&self, all: usize, most: f64, what: &str) -> Option<String> {
        let share = self.share(all);
        if share <= most {
            return None;
        }
        let mut files = self.files.clone();
        files.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let places: Vec<_> = files
            .iter()
            .take(5)
            .map(|(file, count)| format!("{file} has {count}"))
            .collect();
        Some(format!(
            "{what}: {share:.2} per 1,000 words, at most {most}; {}",
            places.join(", ")
        ))
    }
}

impl WordCounts {
    pub(super) fn complaints(&self) -> Vec<String> {
        let relatives = self.relatives.complaint(
            self.all,
            RELATIVES,
            "free relatives (what is, what was, what it ...)",
        );
        let persons = self
            .persons
            .complaint(self.all, PERSONS, "whoever, nobody, somebody");
        relatives.into_iter().chain(persons).collect()
    }
}

impl fmt::Display for WordCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (relatives, persons) = (self.relatives.share(self.all), self.persons.share(self.all));
        write!(
            f,
            "per 1,000 of {} words {relatives:.2} free relatives and {persons:.2} whoever, nobody, \
             somebody",
            self.all
        )
    }
}

/// Counts in the comments of Rust files and in the prose of Markdown files.
pub(super) fn count<'a>(files: impl Iterator<Item = (&'a Path, &'a str)>) -> WordCounts {
    let mut words = WordCounts::default();
    for (file, text) in files {
        let prose: Vec<&str> = match file.extension().and_then(|e| e.to_str()) {
            Some("rs") => comments(text),
            _ => prose(text),
        };
        let lower = prose.join("\n").to_lowercase();
        let all: Vec<&str> = lower
            .split(|c: char| !c.is_alphanumeric() && c != '\'')
            .filter(|w| !w.is_empty())
            .collect();
        words.all += all.len();
        let relatives = all
            .windows(2)
            .filter(|pair| pair[0] == "what" && AFTER_WHAT.contains(&pair[1]))
            .count();
        words.relatives.add(file, relatives);
        words.persons.add(
            file,
            all.iter().filter(|word| INDEFINITE.contains(word)).count(),
        );
    }
    words
}

/// The comments: everything behind `//`, but not behind the `://` of an address.
fn comments(text: &str) -> Vec<&str> {
    let behind = |line: &'_ str| {
        line.match_indices("//")
            .map(|(at, _)| at)
            .find(|at| !line[..*at].ends_with(':'))
    };
    text.lines()
        .filter_map(|line| behind(line).map(|at| line[at..].trim_start_matches(['/', '!'])))
        .collect()
}

/// The lines outside of fenced code.
fn prose(text: &str) -> Vec<&str> {
    let mut code = false;
    text.lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            code ^= fence;
            !code && !fence
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> (usize, usize, usize) {
        let words = count([(Path::new(name), text)].into_iter());
        (words.all, words.relatives.count, words.persons.count)
    }

    #[test]
    fn comments_count_and_code_does_not() {
        assert_eq!(
            of(
                "a.rs",
                "let what_is = 1; // What is\n/// nobody knows\nlet x = \"http://what is\";\n"
            ),
            (4, 1, 1)
        );
        assert_eq!(
            of("a.md", "What was\n```\nwhat is\n```\nsomebody\n"),
            (3, 1, 1)
        );
    }

    #[test]
    fn relatives_may_span_lines() {
        assert_eq!(of("a.rs", "// so that what\n// they need\n"), (5, 1, 0));
    }

    #[test]
    fn a_complaint_names_files() {
        let text = "// whoever\n";
        let words = count([(Path::new("a.rs"), text)].into_iter());
        let complaints = words.complaints();
        assert!(
            complaints.len() == 1 && complaints[0].contains("a.rs has 1"),
            "{complaints:?}"
        );
        assert!(
            count([(Path::new("b.rs"), "// plain\n")].into_iter())
                .complaints()
                .is_empty()
        );
    }
}
