//! The eleven chapters. One file an act: each makes its chapters, and each chapter's callback stands beside it.

mod charts;
mod diagnosing;
mod drift;
mod ending;
mod ghost;
mod notes;
mod opening;
mod workload;

use std::sync::Arc;

use demo_core::Chapter;

pub(crate) use charts::{charts, sampler};

use crate::subject::Subject;

/// What is put to the test.
pub(crate) const SUBJECT: &str = "A distributed rate limiter: three nodes, one store";

/// The story, in order.
pub(crate) fn chapters(subject: &Arc<Subject>) -> Vec<Chapter> {
    let mut chapters = Vec::new();
    chapters.extend(opening::chapters(subject));
    chapters.extend(drift::chapters(subject));
    chapters.extend(ghost::chapters(subject));
    chapters.extend(ending::chapters(subject));
    chapters
}

/// A callback's share of the subject, and the callback: what every chapter that acts is made of.
fn act<F>(
    chapter: Chapter,
    subject: &Arc<Subject>,
    callback: impl Fn(demo_core::Stage, Arc<Subject>) -> F + Send + Sync + 'static,
) -> Chapter
where
    F: Future<Output = demo_core::ChapterResult> + Send + 'static,
{
    let subject = Arc::clone(subject);
    chapter.on_enter(move |stage| callback(stage, Arc::clone(&subject)))
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, OnceLock};
    use std::time::Duration;

    use ratelimiter_api::{Key, Limit};
    use ratelimiter_chaos::Scope;

    use super::*;
    use crate::engine::DiagnosisEngine;

    #[test]
    fn there_are_eleven_chapters_in_the_order_of_the_readme() {
        let subject = Arc::new(Subject {
            endpoints: Vec::new(),
            store: "redis://localhost".parse().unwrap(),
            nodes: Vec::new(),
            scope: Scope::ThisMachine,
            key: Key::new("k").unwrap(),
            limit: Limit::new(10, 60).unwrap(),
            multiplier: 2,
            pause: Duration::from_secs(10),
            counting: None,
            on_store_failure: None,
            engine: DiagnosisEngine::new(None, None).unwrap(),
            detector: OnceLock::new(),
            acts: Mutex::default(),
        });
        let chapters = chapters(&subject);
        assert_eq!(chapters.len(), 11);
        let readme = include_str!("../../README.md");
        for (i, chapter) in chapters.iter().enumerate() {
            let row = format!("{}. **{}**", i + 1, chapter.info().title);
            assert!(readme.contains(&row), "the README lacks {row}");
        }
    }
}
