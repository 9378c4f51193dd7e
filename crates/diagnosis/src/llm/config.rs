//! The model, its address, and its bounds.

use std::time::Duration;

use genai::adapter::AdapterKind;
use reqwest::Url;

use super::key::ApiKey;

/// The longest an answer may take, repair turn included.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest an answer may be, in bytes.
pub(super) const ANSWER_CAP: usize = 256 * 1024;
/// Tokens a model may answer with. An answer takes about a thousand, a model that thinks first some
/// more.
const MOST_TOKENS: u32 = 4_096;

/// Reason for which a model cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LlmError {
    /// No model was named.
    #[error("the model has no name")]
    NoModel,
    /// The provider wants a key.
    #[error("model {model:?} needs a key: set {variable}")]
    NoKey {
        /// The model.
        model: String,
        /// The environment variable its key is usually in.
        variable: &'static str,
    },
    /// The address is invalid.
    #[error("model address {url:?}: {why}")]
    Url {
        /// The address, as given.
        url: String,
        /// The reason.
        why: String,
    },
    /// The key would go over the network in clear text.
    #[error("refusing to send the key to {host:?} in clear text: use https, or unset {variable}")]
    KeyInClear {
        /// The host addressed.
        host: String,
        /// The environment variable the key is usually in.
        variable: &'static str,
    },
    /// No client for connections can be made.
    #[error("set up the connection to the model: {0}")]
    Client(String),
}

/// A model and its bounds.
///
/// The provider follows from the name: `gpt-…`, `claude-…`, `gemini-…`; a name may begin with it,
/// as in `anthropic::claude-…`; any other name is taken for a local Ollama model. With an address
/// of its own ([`url`](Self::url)) a server is asked in the OpenAI format, unless the name has a
/// provider.
#[derive(Debug, Clone)]
pub struct LlmConfig {
    /// The name of the model.
    pub model: String,
    /// The address of another server than the provider's, such as `http://127.0.0.1:8080/v1`.
    pub url: Option<String>,
    /// The provider's key.
    pub key: Option<ApiKey>,
    /// The longest time of an answer, repair turn included.
    pub deadline: Duration,
    /// The largest number of tokens the model may answer with in a turn.
    pub max_tokens: u32,
}

impl LlmConfig {
    /// That model, at its provider, within thirty seconds and 256 KiB.
    pub fn new(model: impl Into<String>) -> Self {
        Self {
            model: model.into(),
            url: None,
            key: None,
            deadline: DEADLINE,
            max_tokens: MOST_TOKENS,
        }
    }

    /// Uses the key in the provider's usual environment variable, when there is one.
    #[must_use]
    pub fn key_from_env(mut self) -> Self {
        self.key = self.key_variable().and_then(ApiKey::from_env);
        self
    }

    /// The environment variable the provider's key is usually in, such as `OPENAI_API_KEY`.
    pub fn key_variable(&self) -> Option<&'static str> {
        self.provider().default_key_env_name()
    }

    /// The provider whose format is used.
    pub(super) fn provider(&self) -> AdapterKind {
        let named = self
            .model
            .split_once("::")
            .and_then(|(space, _)| AdapterKind::from_lower_str(space));
        match (named, &self.url) {
            (Some(kind), _) => kind,
            (None, Some(_)) => AdapterKind::OpenAI,
            (None, None) => AdapterKind::from_model(&self.model).unwrap_or(AdapterKind::OpenAI),
        }
    }

    /// The model's name without the provider's.
    pub(super) fn model_name(&self) -> &str {
        match self.model.split_once("::") {
            Some((space, name)) if AdapterKind::from_lower_str(space).is_some() => name,
            _ => &self.model,
        }
    }

    /// The address with the slash at its end that paths are appended to, checked.
    pub(super) fn checked_url(&self) -> Result<Option<Url>, LlmError> {
        let Some(given) = &self.url else {
            return Ok(None);
        };
        // an address may hold a password, and is not repeated when it does
        let refused = |why: &str, url: &str| LlmError::Url {
            url: url.to_owned(),
            why: why.to_owned(),
        };
        let mut url: Url = given.parse().map_err(|e| refused(&format!("{e}"), given))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(
                "credentials do not belong in an address",
                url.host_str().unwrap_or_default(),
            ));
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        if !matches!(url.scheme(), "http" | "https") || host.is_empty() {
            return Err(refused("it has to begin with http:// or https://", given));
        }
        if url.scheme() == "http"
            && self.key.is_some()
            && !is_loopback(&url)
            && let Some(variable) = self.key_variable()
        {
            return Err(LlmError::KeyInClear { host, variable });
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Some(url))
    }

    /// The key to send. A server of one's own may do without; it gets a placeholder, since the
    /// format wants one.
    pub(super) fn checked_key(&self) -> Result<String, LlmError> {
        match (&self.key, self.key_variable()) {
            (Some(key), _) => Ok(key.reveal().to_owned()),
            (None, Some(variable)) if self.url.is_none() => Err(LlmError::NoKey {
                model: self.model.clone(),
                variable,
            }),
            (None, _) => Ok("none".to_owned()),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> LlmConfig {
        LlmConfig {
            url: Some(url.to_owned()),
            ..LlmConfig::new("m")
        }
    }

    #[test]
    fn provider_follows_from_name_and_address() {
        let provider = |model: &str, url: Option<&str>| {
            let mut config = LlmConfig::new(model);
            config.url = url.map(str::to_owned);
            config.provider()
        };
        assert_eq!(provider("gpt-4o-mini", None), AdapterKind::OpenAI);
        assert_eq!(provider("claude-sonnet-4-5", None), AdapterKind::Anthropic);
        assert_eq!(provider("gemini-2.5-flash", None), AdapterKind::Gemini);
        assert_eq!(provider("qwen3:8b", None), AdapterKind::Ollama);
        assert_eq!(
            provider("claude-sonnet-4-5", Some("http://localhost/v1")),
            AdapterKind::OpenAI
        );
        assert_eq!(
            provider("anthropic::x", Some("http://localhost/v1")),
            AdapterKind::Anthropic
        );
        assert_eq!(
            LlmConfig::new("gpt-4o").key_variable(),
            Some("OPENAI_API_KEY")
        );
        assert_eq!(
            LlmConfig::new("anthropic::x").key_variable(),
            Some("ANTHROPIC_API_KEY")
        );
        assert_eq!(LlmConfig::new("anthropic::x").model_name(), "x");
        assert_eq!(LlmConfig::new("a::b").model_name(), "a::b");
    }

    #[test]
    fn addresses_are_checked() {
        let checked = |url: &str| at(url).checked_url();
        let ok = |url: &str| {
            checked(url)
                .expect("an address")
                .expect("given")
                .to_string()
        };
        assert_eq!(ok("http://127.0.0.1:8080/v1"), "http://127.0.0.1:8080/v1/");
        assert_eq!(
            ok("https://models.example/v1/"),
            "https://models.example/v1/"
        );
        assert!(checked("ftp://x/").is_err());
        assert!(checked("not an address").is_err());
        let with_password = checked("http://me:secret@localhost/")
            .expect_err("credentials")
            .to_string();
        assert!(!with_password.contains("secret"), "{with_password}");
    }

    #[test]
    fn keys_are_not_sent_in_clear_text() {
        let checked = |url: &str| {
            let key = Some(ApiKey::new("k"));
            LlmConfig { key, ..at(url) }.checked_url()
        };
        for local in [
            "http://localhost:1/",
            "http://127.0.0.1:1/",
            "http://[::1]:1/",
            "https://far.example/",
        ] {
            assert!(checked(local).is_ok(), "{local}");
        }
        let far = checked("http://far.example/v1").expect_err("in clear text");
        assert_eq!(
            far,
            LlmError::KeyInClear {
                host: "far.example".into(),
                variable: "OPENAI_API_KEY"
            }
        );
        assert!(at("http://far.example/v1").checked_url().is_ok());
    }

    #[test]
    fn providers_need_keys_and_own_servers_none() {
        let error = LlmConfig::new("gpt-4o")
            .checked_key()
            .expect_err("no key")
            .to_string();
        assert_eq!(error, "model \"gpt-4o\" needs a key: set OPENAI_API_KEY");
        assert!(at("http://localhost/").checked_key().is_ok());
        assert!(LlmConfig::new("qwen3:8b").checked_key().is_ok());
    }
}
