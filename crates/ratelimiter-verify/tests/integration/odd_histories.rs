//! History files of any shape: each is judged, or refused with the number of its line, and nothing
//! panics.
//!
//! The corpus is replayed as it is, then mutated. `PROPTEST_CASES=100000` tries that many
//! mutations.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use ratelimiter_api::Limit;
use ratelimiter_invariants::HistoryChecker;
use ratelimiter_verify::read_history;

const CORPUS: &str = include_str!("../corpus/histories.txt");

/// Judges a file, and returns whether it was a history.
fn judge(file: &[u8]) -> bool {
    match read_history(file) {
        Ok(histories) => {
            let checker = HistoryChecker::new(Limit::new(3, 86_400).unwrap());
            for (_, history) in &histories {
                let cost: u64 = history.iter().map(|op| u64::from(op.cost)).sum();
                assert!(checker.check(history).definite_peak <= cost);
            }
            true
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.starts_with("line "), "{text}");
            false
        }
    }
}

fn lines() -> Vec<Vec<u8>> {
    CORPUS
        .lines()
        .map(|line| line.as_bytes().to_vec())
        .collect()
}

#[test]
fn corpus_lines_are_judged_or_refused() {
    let read = lines().iter().filter(|line| judge(line)).count();
    assert_eq!(read, 5, "of the lines are histories");
    let good: Vec<_> = lines().into_iter().filter(|line| judge(line)).collect();
    assert!(judge(&good.join(&b'\n')), "all of them are one history");
}

#[test]
fn mutated_histories_are_judged_or_refused() {
    let changes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..4);
    let files = (prop::collection::vec(select(lines()), 1..8), changes);
    proptest!(|((lines, changes) in files)| {
        let mut file = lines.join(&b'\n');
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        judge(&file);
    });
}
