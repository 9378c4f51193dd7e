use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Stage;

/// The result of a chapter's callback. The audience reads the error's text.
pub type ChapterResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

pub(crate) type Callback =
    Arc<dyn Fn(Stage) -> Pin<Box<dyn Future<Output = ChapterResult> + Send>> + Send + Sync>;

/// One step of the story.
#[derive(Clone)]
pub struct Chapter {
    pub(crate) info: ChapterInfo,
    pub(crate) on_enter: Option<Callback>,
    pub(crate) encore: Option<Callback>,
    /// Titles of the earlier chapters whose effects this one builds on.
    pub(crate) needs: Vec<&'static str>,
}

/// The fixed part of a chapter, for front-ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ChapterInfo {
    /// Title, a few words.
    pub title: String,
    /// Narration, in paragraphs separated by blank lines.
    pub narration: String,
    /// Effect of the advance key in this chapter, for example "inject the fault".
    pub key_hint: String,
    /// Whether the chapter refuses to advance until its callback is done.
    pub blocks_advance: bool,
    /// Whether the chapter advances by itself when its callback is done.
    pub auto_advance: bool,
    /// Whether the callback may run again in the same chapter.
    pub repeatable: bool,
    /// Whether more is played in the same chapter on request.
    #[serde(default)]
    pub has_encore: bool,
}

impl Chapter {
    /// A chapter with narration and without a callback.
    pub fn new(title: impl Into<String>, narration: impl Into<String>) -> Self {
        let info = ChapterInfo {
            title: title.into(),
            narration: narration.into(),
            key_hint: "continue".into(),
            blocks_advance: false,
            auto_advance: false,
            repeatable: false,
            has_encore: false,
        };
        Self {
            info,
            on_enter: None,
            encore: None,
            needs: Vec::new(),
        }
    }

    /// Sets the effect of the advance key, for example "inject the fault".
    #[must_use]
    pub fn key_hint(mut self, hint: impl Into<String>) -> Self {
        self.info.key_hint = hint.into();
        self
    }

    /// Runs `callback` when the chapter is entered. The future should end soon after
    /// [`Stage::cancelled`]; one that does not is dropped.
    #[must_use]
    pub fn on_enter<F>(mut self, callback: impl Fn(Stage) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ChapterResult> + Send + 'static,
    {
        self.on_enter = Some(Arc::new(move |stage| Box::pin(callback(stage))));
        self
    }

    /// Like [`on_enter`](Self::on_enter), with a clone of `state` for every run of the callback.
    #[must_use]
    pub fn on_enter_with<S, F>(
        self,
        state: S,
        callback: impl Fn(Stage, S) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: Clone + Send + Sync + 'static,
        F: Future<Output = ChapterResult> + Send + 'static,
    {
        self.on_enter(move |stage| callback(stage, state.clone()))
    }

    /// Runs `callback`, with a clone of `state`, each time that more is wished for in this chapter.
    #[must_use]
    pub fn encore_with<S, F>(
        mut self,
        state: S,
        callback: impl Fn(Stage, S) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: Clone + Send + Sync + 'static,
        F: Future<Output = ChapterResult> + Send + 'static,
    {
        self.info.has_encore = true;
        self.encore = Some(Arc::new(move |stage| {
            Box::pin(callback(stage, state.clone()))
        }));
        self
    }

    /// Names earlier chapters whose effects this one builds on. A story that
    /// [starts](crate::DemoRunner::starting_at) here plays them first.
    #[must_use]
    pub fn needs<const N: usize>(mut self, titles: [&'static str; N]) -> Self {
        self.needs = titles.to_vec();
        self
    }

    /// Refuses to advance until the callback is done.
    #[must_use]
    pub fn blocks_advance(mut self) -> Self {
        self.info.blocks_advance = true;
        self
    }

    /// Advances by itself when the callback is done.
    #[must_use]
    pub fn auto_advance(mut self) -> Self {
        self.info.auto_advance = true;
        self
    }

    /// Allows the callback to run again.
    #[must_use]
    pub fn repeatable(mut self) -> Self {
        self.info.repeatable = true;
        self
    }

    /// The fixed part, for front-ends.
    pub fn info(&self) -> &ChapterInfo {
        &self.info
    }
}

impl fmt::Debug for Chapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chapter")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
