use crate::StoreTime;

/// Node, life of the node, number of the grant.
pub(super) type GrantId = (u8, u8, u8);

/// A message between a node and the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum WireMessage {
    Ask {
        id: GrantId,
        queued: u32,
        /// When it left, on the common clock.
        sent: StoreTime,
    },
    Reply {
        id: GrantId,
        charge: u32,
        given: StoreTime,
    },
    Refusal {
        id: GrantId,
    },
    Settle {
        id: GrantId,
        spent: u32,
        /// When it left, on the common clock.
        sent: StoreTime,
    },
    /// Only of a mutant.
    Renew {
        id: GrantId,
    },
}

impl WireMessage {
    pub(super) fn id(&self) -> GrantId {
        match self {
            Self::Ask { id, .. }
            | Self::Reply { id, .. }
            | Self::Refusal { id }
            | Self::Settle { id, .. }
            | Self::Renew { id } => *id,
        }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub(super) enum ModelEvent {
    Tick,
    Ask {
        node: usize,
        queued: u32,
    },
    Admit {
        node: usize,
    },
    GiveBack {
        node: usize,
    },
    GiveUp {
        node: usize,
    },
    Crash {
        node: usize,
    },
    Arrive(WireMessage),
    /// The store loses the ledger, or a part of it.
    Lose,
    /// The store's clock steps forward, and stays there.
    Step,
    /// The limit is lowered in the store.
    Lower,
    /// That is acknowledged.
    Acknowledge,
    /// Only of a mutant.
    Renew {
        node: usize,
    },
}
