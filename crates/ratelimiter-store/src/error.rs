use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::{MIN_VERSION, StoreUrl, StoreVersion};

/// A failure of the store, or of the way to it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The text is not a store's URL.
    #[error(
        "{shown} is not a store URL: {why} (expected redis://[USER:PASSWORD@]HOST[:PORT][/DB], \
         redis+cluster://HOST:PORT,... or redis+sentinel://HOST:PORT,.../SERVICE; rediss for TLS)"
    )]
    Url {
        /// The URL's scheme; the rest may hold a password.
        shown: String,
        /// The reason.
        why: String,
    },
    /// The authorities that are to be trusted are of no use.
    #[error("authorities for the store at {url}: {why}")]
    Authorities {
        /// The store's URL, without its password.
        url: StoreUrl,
        /// The reason.
        why: String,
    },
    /// The store does not answer in TLS, or its certificate is refused.
    #[error("the store at {url} is refused: {why}")]
    Tls {
        /// The store's URL, without its password.
        url: StoreUrl,
        /// The reason.
        why: String,
    },
    /// There is no connection, or it broke.
    #[error("the store at {url} cannot be reached: {why}")]
    Unreachable {
        /// The store's URL, without its password.
        url: StoreUrl,
        /// The reason.
        why: String,
    },
    /// The store did not answer in time. A write may have happened.
    #[error("the store at {url} did not answer within {} ms", .deadline.as_millis())]
    Deadline {
        /// The store's URL, without its password.
        url: StoreUrl,
        /// The time allowed for the use.
        deadline: Duration,
    },
    /// The store refused the user or the password.
    #[error("the store at {url} refused the login: check the user and password in its URL")]
    Login {
        /// The store's URL, without its password.
        url: StoreUrl,
    },
    /// The user may not run the command.
    #[error("the store at {url} does not allow the command: {why}")]
    NotPermitted {
        /// The store's URL, without its password.
        url: StoreUrl,
        /// The text of the store's answer.
        why: String,
    },
    /// The store answered with an error.
    #[error("the store at {url} answered with an error: {why}")]
    Answer {
        /// The store's URL, without its password.
        url: StoreUrl,
        /// The text of the store's answer.
        why: String,
    },
    /// The store is older than [`MIN_VERSION`].
    #[error("the store at {url} is {version}: at least version {}.{} is \
        needed", MIN_VERSION.0, MIN_VERSION.1)]
    TooOld {
        /// The store's URL, without its password.
        url: StoreUrl,
        /// The version in its `INFO`.
        version: StoreVersion,
    },
}

/// The reason that an error gives, without its kind where it has a text of its own.
pub(crate) fn why(error: &RedisError) -> String {
    error
        .detail()
        .map_or_else(|| error.to_string(), ToOwned::to_owned)
}

impl StoreError {
    pub(crate) fn new(url: &StoreUrl, error: &RedisError) -> Self {
        let url = url.clone();
        let why = why(error);
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Login { url },
            ErrorKind::Server(ServerErrorKind::NoPerm) => Self::NotPermitted { url, why },
            _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) => Self::Login { url },
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Answer {
                url,
                why: format!("{} {why}", error.code().unwrap_or_default())
                    .trim()
                    .to_owned(),
            },
            ErrorKind::InvalidClientConfig => Self::Tls { url, why },
            _ => Self::Unreachable { url, why },
        }
    }

    /// Whether it would not even let a client in: neither now nor later.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Login { .. } | Self::Tls { .. })
    }

    /// Whether an entry of the store has another type than the command needs: of another program,
    /// or written by hand.
    pub fn is_wrong_type(&self) -> bool {
        // In the answer of an older store to a script, the code is not the first word.
        matches!(self, Self::Answer { why, .. } if why.contains("WRONGTYPE"))
    }

    /// Whether a later attempt may succeed: the store may come back, while a wrong password stays
    /// wrong.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Deadline { .. })
    }
}
