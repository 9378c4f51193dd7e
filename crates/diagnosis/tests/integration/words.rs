//! The engine knows no word of any system it looks at: not in its code, not in its prompt, not in a
//! comment.

use std::{fs, path::Path};

/// The words of rate limiting and of the stores it uses. In the singular, in lower case, in this
/// one place.
const SUBJECT: [&str; 35] = [
    "admission",
    "admit",
    "admitted",
    "allowance",
    "allowing",
    "bucket",
    "burst",
    "cluster",
    "counter",
    "denied",
    "deny",
    "drift",
    "ghost",
    "limit",
    "limited",
    "limiter",
    "limiting",
    "lua",
    "memcached",
    "node",
    "pause",
    "paused",
    "quota",
    "rate",
    "redis",
    "replica",
    "reset",
    "shard",
    "sliding",
    "store",
    "throttle",
    "throttled",
    "throttling",
    "valkey",
    "window",
];

/// The one field of the evidence format that is called by such a word.
const FIELD: &str = "windows";

/// The subject's words in a text, each with its line. Identifiers are taken apart at underscores
/// and humps, and a plural counts as its singular.
fn subject_words(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, text) in text.lines().enumerate() {
        let identifiers = text
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|id| *id != FIELD);
        for run in identifiers.flat_map(|id| id.split(|c: char| !c.is_ascii_alphabetic())) {
            for word in humps(run) {
                let word = word.to_ascii_lowercase();
                let singular = word.strip_suffix('s').unwrap_or(&word);
                if SUBJECT.contains(&word.as_str()) || SUBJECT.contains(&singular) {
                    found.push((line + 1, word));
                }
            }
        }
    }
    found
}

/// "RateLimit" as "Rate" and "Limit".
fn humps(run: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let bytes = run.as_bytes();
    for i in 1..bytes.len().max(1) {
        let next_is_lower = bytes.get(i + 1).is_some_and(u8::is_ascii_lowercase);
        if bytes[i].is_ascii_uppercase() && (bytes[i - 1].is_ascii_lowercase() || next_is_lower) {
            words.push(&run[start..i]);
            start = i;
        }
    }
    words.push(&run[start..]);
    words
}

fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).expect("the source directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else {
            let text = fs::read_to_string(&path).expect("a text file");
            found.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn engine_has_no_word_of_the_subject() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    assert!(files.len() > 20, "only {} files were read", files.len());
    let found: Vec<String> = files
        .iter()
        .flat_map(|(path, text)| {
            subject_words(text)
                .into_iter()
                .map(move |(line, word)| format!("{path}:{line}: {word}"))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_word_planted_is_found() {
    for word in SUBJECT {
        for planted in [
            word.to_owned(),
            format!("// the {word}, of course"),
            format!("let {word}_size = 3;"),
            format!("fn over_{word}s() {{}}"),
            format!("\"{}\"", word.to_uppercase()),
        ] {
            assert!(
                !subject_words(&planted).is_empty(),
                "{planted:?} went unnoticed"
            );
        }
    }
    assert_eq!(
        subject_words("struct RateLimiter;\n\nenum X { HTTPWindow }"),
        [
            (1, "rate".into()),
            (1, "limiter".into()),
            (3, "window".into())
        ]
    );
    assert_eq!(subject_words("windows_of_time"), [(1, "windows".into())]);
    assert_eq!(subject_words("Windows"), [(1, "windows".into())]);
}

#[test]
fn words_that_only_contain_one_are_left_alone() {
    let innocent = "generate separate unlimitedly Iterator restored accelerated anode Result::iter \
        #[serde(rename = \"windows\")]";
    assert_eq!(subject_words(innocent), []);
}
