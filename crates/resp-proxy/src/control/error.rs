use hyper::StatusCode;

/// A request that cannot be fulfilled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ControlError {
    pub(super) status: StatusCode,
    pub(super) reason: String,
}

impl ControlError {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { status, reason }
    }

    /// Whether the request is wrong, rather than the machine unable to fulfil it.
    #[cfg(feature = "program")]
    pub(crate) fn is_usage(&self) -> bool {
        self.status.is_client_error()
    }

    pub(super) fn bad(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    pub(super) fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason)
    }

    pub(super) fn not_found(what: &str, name: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("{what} not found: there is no {name:?}"),
        )
    }

    pub(super) fn exists(what: &str, name: &str) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            format!("{what} already exists: {name:?}"),
        )
    }

    /// The error of a request whose body lacks a field.
    pub(super) fn missing(field: &str) -> Self {
        Self::bad(format!("missing required field: {field}"))
    }
}
