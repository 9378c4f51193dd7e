use std::collections::BTreeSet;

use crate::Chapter;

/// The reason why a story cannot start at a chapter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The story has fewer chapters.
    #[error("there is no chapter {number}: the story has {chapters}")]
    NoSuchChapter {
        /// Number of the chapter, from 1.
        number: usize,
        /// Number of chapters in the story.
        chapters: usize,
    },
    /// A chapter needs one that does not come before it.
    #[error("chapter \"{chapter}\" needs \"{needed}\", which does not come before it")]
    UnknownNeed {
        /// Title of the chapter.
        chapter: String,
        /// Title of the missing one.
        needed: &'static str,
    },
}

/// The chapters to play for an audience that joins at `first`: all that it and the later ones need,
/// directly or not, then the rest of the story.
pub(crate) fn to(chapters: &[Chapter], first: usize) -> Result<Vec<usize>, StartError> {
    if first == 0 {
        return Ok((0..chapters.len()).collect());
    }
    if first >= chapters.len() {
        return Err(StartError::NoSuchChapter {
            number: first + 1,
            chapters: chapters.len(),
        });
    }
    let mut route: BTreeSet<usize> = (first..chapters.len()).collect();
    // A chapter needs earlier ones only, so one pass from the end finds them all.
    for at in (0..chapters.len()).rev() {
        if route.contains(&at) {
            for needed in &chapters[at].needs {
                let before = chapters[..at].iter().position(|c| c.info.title == *needed);
                let chapter = || chapters[at].info.title.clone();
                route.insert(before.ok_or_else(|| StartError::UnknownNeed {
                    chapter: chapter(),
                    needed,
                })?);
            }
        }
    }
    Ok(route.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chapters() -> Vec<Chapter> {
        let chapter = |title| Chapter::new(title, "");
        vec![
            chapter("welcome"),
            chapter("setup"),
            chapter("fault").needs(["setup"]),
            chapter("detection").needs(["fault"]),
            chapter("end"),
        ]
    }

    #[test]
    fn needed_chapters_come_first() {
        assert_eq!(to(&chapters(), 0), Ok(vec![0, 1, 2, 3, 4]));
        assert_eq!(to(&chapters(), 3), Ok(vec![1, 2, 3, 4]));
        assert_eq!(to(&chapters(), 4), Ok(vec![4]));
    }

    #[test]
    fn impossible_starts_are_refused() {
        let error = to(&chapters(), 5).unwrap_err();
        assert_eq!(error.to_string(), "there is no chapter 6: the story has 5");
        let backwards = [
            Chapter::new("a", ""),
            Chapter::new("b", "").needs(["c"]),
            Chapter::new("c", ""),
        ];
        assert!(matches!(
            to(&backwards, 1),
            Err(StartError::UnknownNeed { needed: "c", .. })
        ));
    }
}
