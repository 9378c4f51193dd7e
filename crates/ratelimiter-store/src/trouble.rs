use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::{StoreError, StoreUrl};

/// A failed use of one connection: the error, and what it says about a further attempt.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) error: StoreError,
    pub(crate) hint: Hint,
}

/// Why a store refused a command that another member, or the same one a moment later, would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
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

impl Trouble {
    /// `harmless` when the commands may run again after a broken connection.
    pub(crate) fn new(url: &StoreUrl, error: &RedisError, harmless: bool) -> Self {
        let hint = match error.kind() {
            ErrorKind::Server(kind) => of_server(kind, error),
            _ if harmless && (error.is_unrecoverable_error() || error.is_io_error()) => Hint::Lost,
            _ => Hint::GiveUp,
        };
        Self {
            error: StoreError::new(url, error),
            hint,
        }
    }

    pub(crate) fn last(error: StoreError) -> Self {
        Self {
            error,
            hint: Hint::GiveUp,
        }
    }
}

fn of_server(kind: ServerErrorKind, error: &RedisError) -> Hint {
    let address = || {
        let errors = error.clone().into_server_errors()?;
        let details = errors.first()?.1.details()?.to_owned();
        Some(details.split_ascii_whitespace().nth(1)?.to_owned())
    };
    match kind {
        ServerErrorKind::Moved => address().map_or(Hint::Down, Hint::Moved),
        ServerErrorKind::Ask => address().map_or(Hint::TryAgain, Hint::Ask),
        ServerErrorKind::TryAgain => Hint::TryAgain,
        ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown => Hint::Down,
        ServerErrorKind::BusyLoading => Hint::Loading,
        ServerErrorKind::ReadOnly => Hint::ReadOnly,
        _ => Hint::GiveUp,
    }
}
