use cli_support::WrongUsage;
use diagnosis::{Evidence, offline, text};

/// The offline analyser, with a language model beside it on request.
#[derive(Debug)]
pub(crate) struct DiagnosisEngine {
    #[cfg(feature = "llm")]
    model: Option<diagnosis::llm::LlmEngine>,
}

/// A diagnosis, for people and for programs.
pub(crate) struct Explanation {
    /// The first page, one line each: the cause, the alternatives, the action.
    pub(crate) summary: Vec<String>,
    /// The second page: the evidence.
    pub(crate) details: Vec<String>,
    /// The validated answer.
    pub(crate) answer: diagnosis::Validated,
}

impl Explanation {
    fn new(evidence: &Evidence, answer: diagnosis::Validated) -> Self {
        let (summary, details) = (
            text::summary(evidence, &answer),
            text::details(evidence, &answer),
        );
        Self {
            summary,
            details,
            answer,
        }
    }
}

impl DiagnosisEngine {
    /// The offline analyser, and the model if one is named. Sends nothing yet.
    #[cfg(feature = "llm")]
    pub(crate) fn new(model: Option<&str>, url: Option<&str>) -> Result<Self, WrongUsage> {
        use diagnosis::llm::{LlmConfig, LlmEngine};
        let Some(name) = model else {
            return Ok(Self { model: None });
        };
        let mut config = LlmConfig::new(name).key_from_env();
        config.url = url.map(str::to_owned);
        let engine = LlmEngine::new(&config).map_err(WrongUsage::of)?;
        Ok(Self {
            model: Some(engine),
        })
    }

    /// The offline analyser: this build has no other.
    #[cfg(not(feature = "llm"))]
    pub(crate) fn new(model: Option<&str>, _url: Option<&str>) -> Result<Self, WrongUsage> {
        match model {
            None => Ok(Self {}),
            Some(_) => Err(WrongUsage(
                "this build has no language model engine: build it with `--features llm`".into(),
            )),
        }
    }

    /// Diagnoses the evidence and reports each step to `progress`. An answer that is not validated
    /// yet is not shown.
    pub(crate) async fn diagnose(
        &self,
        evidence: &Evidence,
        progress: impl FnMut(String) + Send,
    ) -> Explanation {
        #[cfg(feature = "llm")]
        if let Some(model) = &self.model {
            let mut progress = progress;
            let outcome = model
                .diagnose(evidence, |step| progress(step.to_string()))
                .await;
            let mut explained = Explanation::new(evidence, outcome.answer);
            explained
                .summary
                .extend(text::disagreement(&explained.answer, &outcome.offline));
            return explained;
        }
        drop(progress);
        Explanation::new(evidence, offline::diagnose(evidence))
    }
}
