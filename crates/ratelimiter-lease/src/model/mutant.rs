/// A protocol with a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProtocolMutant {
    /// A settlement may extend its grant's end, and the node spends for a lease after sending it.
    SettlementExtends,
    /// The node counts the lease from the arrival of the answer.
    LeaseFromArrival,
    /// The store forgets a grant at its end, not a window later.
    CountedUntilEnd,
    /// The node goes on spending what it has settled.
    SpendsAfterSettling,
    /// The node trusts its clock to run at the store's rate.
    NoDrift,
    /// A node that restarts begins its names anew.
    NamesReused,
    /// The node settles a request that it gave up, and takes the late answer all the same.
    LateAnswerTaken,
    /// A ledger that was lost begins anew and grants at once.
    LossUnnoticed,
    /// It does so for a node that was restarted, as if the store were new.
    FreshNodeTrusted,
    /// The store dates messages by its own clock, which steps.
    StepFollowed,
    /// A lowered limit is acknowledged while grants of the former one are out.
    AcknowledgedEarly,
    /// The store grants by the limit that the node knows.
    NodesLimit,
}

impl ProtocolMutant {
    pub(super) const ALL: &[Self] = &[
        Self::SettlementExtends,
        Self::LeaseFromArrival,
        Self::CountedUntilEnd,
        Self::SpendsAfterSettling,
        Self::NoDrift,
        Self::NamesReused,
        Self::LateAnswerTaken,
        Self::LossUnnoticed,
        Self::FreshNodeTrusted,
        Self::StepFollowed,
        Self::AcknowledgedEarly,
        Self::NodesLimit,
    ];
}
