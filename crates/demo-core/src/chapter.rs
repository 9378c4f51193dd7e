use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;

use crate::Stage;

/// How a chapter's callback ends: an error's text is what the audience reads.
pub type ChapterResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

type Callback = Arc<dyn Fn(Stage) -> Pin<Box<dyn Future<Output = ChapterResult> + Send>> + Send + Sync>;

/// One step of the story.
#[derive(Clone)]
pub struct Chapter {
    pub(crate) info: ChapterInfo,
    pub(crate) on_enter: Option<Callback>,
}

/// What a front-end shows of a chapter before anything happens in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChapterInfo {
    /// A few words.
    pub title: String,
    /// What is told, in paragraphs separated by blank lines.
    pub narration: String,
    /// What the key to go on does here.
    pub key_hint: String,
    /// The callback must be done before the chapter can be left.
    pub blocks_advance: bool,
    /// The chapter is left by itself when the callback is done.
    pub auto_advance: bool,
    /// The callback may be run again without leaving the chapter.
    pub repeatable: bool,
}

impl Chapter {
    /// A chapter that only tells.
    pub fn new(title: impl Into<String>, narration: impl Into<String>) -> Self {
        let info = ChapterInfo {
            title: title.into(),
            narration: narration.into(),
            key_hint: "continue".into(),
            blocks_advance: false,
            auto_advance: false,
            repeatable: false,
        };
        Self { info, on_enter: None }
    }

    /// Says what the key to go on does here, as "inject the fault".
    #[must_use]
    pub fn key_hint(mut self, hint: impl Into<String>) -> Self {
        self.info.key_hint = hint.into();
        self
    }

    /// Runs `callback` when the chapter is entered. The future should end soon after [`Stage::cancelled`]; one that
    /// does not is dropped.
    #[must_use]
    pub fn on_enter<F>(mut self, callback: impl Fn(Stage) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ChapterResult> + Send + 'static,
    {
        self.on_enter = Some(Arc::new(move |stage| Box::pin(callback(stage))));
        self
    }

    /// Keeps the chapter from being left until the callback is done.
    #[must_use]
    pub fn blocks_advance(mut self) -> Self {
        self.info.blocks_advance = true;
        self
    }

    /// Leaves the chapter when the callback is done.
    #[must_use]
    pub fn auto_advance(mut self) -> Self {
        self.info.auto_advance = true;
        self
    }

    /// Allows the callback to be run again.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.info.repeatable = true;
        self
    }

    /// What a front-end shows of it.
    pub fn info(&self) -> &ChapterInfo {
        &self.info
    }
}

impl fmt::Debug for Chapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chapter").field("info", &self.info).finish_non_exhaustive()
    }
}
