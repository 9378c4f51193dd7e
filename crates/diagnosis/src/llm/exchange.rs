//! One question, one streamed reply.

use std::time::Duration;

use futures_util::StreamExt as _;
use genai::{
    Client, ModelIden, ServiceTarget,
    adapter::AdapterKind,
    chat::{ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent},
    resolver::{AuthData, Endpoint},
};
use reqwest::{header::RETRY_AFTER, redirect::Policy};

use super::{
    config::{ANSWER_CAP, LlmConfig, LlmError},
    failure::ModelFailure,
};

/// A model that can be asked.
pub(super) struct ModelConnection {
    client: Client,
    model: ModelIden,
    max_tokens: u32,
}

/// A reply as it came.
#[derive(Default)]
pub(super) struct ModelText {
    pub(super) text: String,
    /// Whether the stream said that it was complete.
    pub(super) complete: bool,
    pub(super) tokens_in: u64,
    pub(super) tokens_out: u64,
}

impl ModelConnection {
    pub(super) fn new(config: &LlmConfig) -> Result<Self, LlmError> {
        if config.model_name().is_empty() {
            return Err(LlmError::NoModel);
        }
        let url = config.checked_url()?;
        let key = config.checked_key()?;

        // ring builds in a fraction of the time the default takes; a provider that was chosen
        // before stays
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            // a redirect could carry the key elsewhere
            .redirect(Policy::none())
            // the bytes that are counted are those on the wire
            .gzip(false);
        if url.as_ref().is_some_and(|url| url.scheme() == "http") {
            // no certificates are needed, so it does not matter whether the system has any
            http = http.tls_certs_only([]);
        }
        let http = http
            .build()
            .map_err(|e| LlmError::Client(e.without_url().to_string()))?;
        let client = Client::builder()
            .with_reqwest(http)
            .with_auth_resolver_fn(move |_: ModelIden| Ok(Some(AuthData::from_single(key.clone()))))
            .with_service_target_resolver_fn(move |mut target: ServiceTarget| {
                if let Some(url) = &url {
                    target.endpoint = Endpoint::from_owned(url.as_str());
                }
                Ok(target)
            })
            .build()
            .map_err(|_| LlmError::Client("the client cannot be built".to_owned()))?;
        let model = ModelIden::new(config.provider(), config.model_name());
        Ok(Self {
            client,
            model,
            max_tokens: config.max_tokens,
        })
    }

    /// Whose format is spoken.
    pub(super) fn provider(&self) -> AdapterKind {
        self.model.adapter_kind
    }

    /// Asks, and reads the reply to its end. `received` gets the number of bytes so far.
    ///
    /// The cap holds for the sum of the stream's events. A single event is put together by the
    /// client library, at a cost that grows with the square of its size; one without end is ended
    /// by the caller's deadline.
    pub(super) async fn ask(
        &self,
        system: &str,
        messages: &[ChatMessage],
        temperature: Option<f64>,
        received: &mut (dyn FnMut(usize) + Send),
    ) -> Result<ModelText, ModelFailure> {
        let options = ChatOptions {
            temperature,
            max_tokens: Some(self.max_tokens),
            capture_usage: Some(true),
            ..ChatOptions::default()
        };
        let request = ChatRequest::new(messages.to_vec()).with_system(system);
        let reply = self
            .client
            .exec_chat_stream(self.model.clone(), request, Some(&options))
            .await
            .map_err(|e| failure(&e))?;

        let mut stream = reply.stream;
        let mut whole = ModelText::default();
        let mut bytes = 0;
        while let Some(event) = stream.next().await {
            match event.map_err(|e| failure(&e))? {
                ChatStreamEvent::Chunk(chunk) => {
                    bytes += chunk.content.len();
                    if bytes <= ANSWER_CAP {
                        whole.text.push_str(&chunk.content);
                    }
                }
                ChatStreamEvent::ReasoningChunk(chunk) => bytes += chunk.content.len(),
                ChatStreamEvent::End(end) => {
                    whole.complete = true;
                    if let Some(usage) = end.captured_usage {
                        let count =
                            |n: Option<i32>| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
                        whole.tokens_in = count(usage.prompt_tokens);
                        whole.tokens_out = count(usage.completion_tokens);
                    }
                }
                _ => {}
            }
            if bytes > ANSWER_CAP {
                return Err(ModelFailure::TooLong(ANSWER_CAP));
            }
            received(bytes);
        }
        Ok(whole)
    }
}

/// The kind of an error alone: its text may repeat the server's.
fn failure(error: &genai::Error) -> ModelFailure {
    if let genai::Error::HttpError {
        status,
        headers,
        body,
        ..
    } = error
    {
        let wait = headers
            .get(RETRY_AFTER)
            .and_then(|v| v.to_str().ok()?.trim().parse::<f64>().ok());
        return ModelFailure::Status {
            code: status.as_u16(),
            wait: wait.and_then(|s| Duration::try_from_secs_f64(s).ok()),
            about_temperature: status.as_u16() == 400 && body.contains("temperature"),
        };
    }
    if let genai::Error::WebStream { error, .. } = error {
        if let Some(inner) = error.downcast_ref::<genai::Error>() {
            return failure(inner);
        }
        return match error.downcast_ref::<reqwest::Error>() {
            Some(e) if e.is_connect() || e.is_timeout() => ModelFailure::Unreachable,
            Some(_) => ModelFailure::Cut,
            None => ModelFailure::Unreadable,
        };
    }
    ModelFailure::Unreadable
}
