use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::{StoreError, StoreUrl};

/// A failed attempt on one connection: its error, and whether another one may succeed.
#[derive(Clone, Debug)]
pub(crate) struct AttemptFailure {
    pub(crate) error: StoreError,
    pub(crate) retry: Retry,
}

/// Why a store refused a command that another member, or the same one a moment later, would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// No further attempt.
    GiveUp,
    /// The slot belongs to the member at this address (`MOVED`).
    Moved(String),
    /// The key is on its way to the member at this address (`ASK`).
    Ask(String),
    /// Some keys of the command are on their way (`TRYAGAIN`).
    TryAgain,
    /// The cluster serves nothing at the moment (`CLUSTERDOWN`, `MASTERDOWN`).
    Down,
    /// The store is reading its data (`LOADING`).
    Loading,
    /// It is a replica (`READONLY`).
    ReadOnly,
    /// The connection broke, or did not open. Nothing can have run twice after another attempt.
    Lost,
}

impl AttemptFailure {
    /// `harmless` when the commands may run again after a broken connection.
    pub(crate) fn new(url: &StoreUrl, error: &RedisError, harmless: bool) -> Self {
        let retry = match error.kind() {
            ErrorKind::Server(kind) => of_server(kind, error),
            _ if harmless && (error.is_unrecoverable_error() || error.is_io_error()) => Retry::Lost,
            _ => Retry::GiveUp,
        };
        Self {
            error: StoreError::new(url, error),
            retry,
        }
    }

    pub(crate) fn last(error: StoreError) -> Self {
        Self {
            error,
            retry: Retry::GiveUp,
        }
    }
}

fn of_server(kind: ServerErrorKind, error: &RedisError) -> Retry {
    let address = || {
        let errors = error.clone().into_server_errors()?;
        let details = errors.first()?.1.details()?.to_owned();
        Some(details.split_ascii_whitespace().nth(1)?.to_owned())
    };
    match kind {
        ServerErrorKind::Moved => address().map_or(Retry::Down, Retry::Moved),
        ServerErrorKind::Ask => address().map_or(Retry::TryAgain, Retry::Ask),
        ServerErrorKind::TryAgain => Retry::TryAgain,
        ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown => Retry::Down,
        ServerErrorKind::BusyLoading => Retry::Loading,
        ServerErrorKind::ReadOnly => Retry::ReadOnly,
        _ => Retry::GiveUp,
    }
}
