//! Asks, checks, repairs once, and falls back.

use std::{
    fmt,
    time::{Duration, Instant},
};

use genai::chat::ChatMessage;
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};

use super::{
    config::{LlmConfig, LlmError},
    exchange::{ModelConnection, ModelText},
    failure::ModelFailure,
    prompt,
    reply::check,
};
use crate::{
    evidence::Evidence,
    offline,
    result::{AnswerCost, AnswerEngine, EngineKind, Fallback},
    validate::{Rejection, Validated},
};

/// Waiting longer than this for a server that asks for it leaves no time for an answer.
const TIME_TO_ANSWER: Duration = Duration::from_secs(1);
/// Times a server may ask to wait.
const WAITS: usize = 2;

/// Progress of an answer, without its text, which is not checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerProgress {
    /// The question is on its way.
    Asking,
    /// The server asked for this waiting time.
    Waiting(Duration),
    /// Number of bytes received so far.
    Receiving(usize),
    /// The answer is complete and being checked.
    Checking,
    /// The answer was refused, and the model is asked to repair it.
    Repairing,
}

impl fmt::Display for AnswerProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asking => f.write_str("asking"),
            Self::Waiting(time) => write!(f, "asked to wait {} s", time.as_secs_f64()),
            Self::Receiving(bytes) => write!(f, "receiving, {bytes} bytes"),
            Self::Checking => f.write_str("checking the answer"),
            Self::Repairing => f.write_str("the answer was refused, asking once more"),
        }
    }
}

/// The outcome of a question to a model.
#[derive(Debug, Clone)]
pub struct ModelAnswer {
    /// The answer that stands: the model's, or the offline one that stands in for it.
    pub answer: Validated,
    /// The offline answer, for comparison.
    pub offline: Validated,
    /// Refusals of the model's answers. They quote the answers, and are not for the screen.
    pub refused: Vec<Rejection>,
}

/// A language model that is asked for a diagnosis.
pub struct LlmEngine {
    line: ModelConnection,
    model: String,
    deadline: Duration,
}

impl fmt::Debug for LlmEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmEngine")
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// The tokens and refusals so far, also of an attempt that fails.
#[derive(Debug, Default)]
struct AttemptCost {
    cost: AnswerCost,
    refused: Vec<Rejection>,
}

impl LlmEngine {
    /// Prepares to ask; nothing is sent yet.
    pub fn new(config: &LlmConfig) -> Result<Self, LlmError> {
        let line = ModelConnection::new(config)?;
        Ok(Self {
            line,
            model: config.model_name().to_owned(),
            deadline: config.deadline,
        })
    }

    /// Asks the model, and returns its answer once it is checked, or the offline one in its place.
    ///
    /// Ends by the deadline in any case. Dropping the future ends it at once.
    pub async fn diagnose(
        &self,
        evidence: &Evidence,
        mut progress: impl FnMut(AnswerProgress) + Send,
    ) -> ModelAnswer {
        let started = Instant::now();
        let offline = offline::diagnose(evidence);
        let mut spent = AttemptCost::default();
        // the client logs answers of servers, which are not checked: its log is dropped
        let attempt = self
            .attempt(evidence, started, &mut spent, &mut progress)
            .with_subscriber(NoSubscriber::new());
        let result = tokio::time::timeout(self.deadline, attempt)
            .await
            .unwrap_or(Err(ModelFailure::Deadline(self.deadline)));
        let cost = AnswerCost {
            ms: AnswerCost::of(started.elapsed()).ms,
            ..spent.cost
        };
        let answer = result.unwrap_or_else(|failure| {
            offline.clone().instead_of(Fallback {
                model: self.model.clone(),
                reason: failure.to_string(),
            })
        });
        ModelAnswer {
            answer: answer.costing(cost),
            offline,
            refused: spent.refused,
        }
    }

    async fn attempt(
        &self,
        evidence: &Evidence,
        started: Instant,
        spent: &mut AttemptCost,
        progress: &mut (dyn FnMut(AnswerProgress) + Send),
    ) -> Result<Validated, ModelFailure> {
        let mut messages = vec![ChatMessage::user(prompt::evidence(evidence))];
        let mut temperature = Some(0.0);
        loop {
            let received = self
                .patiently(&messages, &mut temperature, started, progress)
                .await?;
            spent.cost.tokens_in += received.tokens_in;
            spent.cost.tokens_out += received.tokens_out;
            progress(AnswerProgress::Checking);
            let engine = AnswerEngine {
                kind: EngineKind::Llm,
                name: self.line.provider().as_str().to_owned(),
                model: Some(self.model.clone()),
                fallback_from: None,
            };
            let rejection = match check(&received, evidence, engine) {
                Err(ModelFailure::Refused(rejection)) => rejection,
                other => return other,
            };
            spent.refused.push(rejection.clone());
            if messages.len() > 1 {
                return Err(ModelFailure::Refused(rejection));
            }
            messages.push(ChatMessage::assistant(prompt::echo(&received.text)));
            messages.push(ChatMessage::user(prompt::repair(&rejection)));
            progress(AnswerProgress::Repairing);
        }
    }

    /// Asks once, and again when the server asks to wait for less time than is left, or does not
    /// take a temperature.
    async fn patiently(
        &self,
        messages: &[ChatMessage],
        temperature: &mut Option<f64>,
        started: Instant,
        progress: &mut (dyn FnMut(AnswerProgress) + Send),
    ) -> Result<ModelText, ModelFailure> {
        let system = prompt::system();
        let mut waits = 0;
        loop {
            progress(AnswerProgress::Asking);
            let mut received = |bytes| progress(AnswerProgress::Receiving(bytes));
            match self
                .line
                .ask(&system, messages, *temperature, &mut received)
                .await
            {
                Err(ModelFailure::Status {
                    about_temperature: true,
                    ..
                }) if temperature.is_some() => {
                    *temperature = None;
                }
                Err(ModelFailure::Status {
                    code: 429 | 503 | 529,
                    wait: Some(wait),
                    ..
                }) if waits < WAITS
                    && started.elapsed() + wait + TIME_TO_ANSWER < self.deadline =>
                {
                    waits += 1;
                    progress(AnswerProgress::Waiting(wait));
                    tokio::time::sleep(wait).await;
                }
                other => return other,
            }
        }
    }
}
