use crate::StoreTime;

/// Node, life of the node, number of the grant.
pub(super) type GrantId = (u8, u8, u8);

/// A message between a node and the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum WireMessage {
    Ask {
        id: GrantId,
        queued: u32,
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
    /// Only of a mutant.
    Renew {
        node: usize,
    },
}
