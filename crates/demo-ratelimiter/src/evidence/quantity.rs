use diagnosis::{SignalRole, SignalSeries};

/// A quantity measured of a part: its name, unit and role, and the deviation too small to matter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantity {
    pub(crate) name: &'static str,
    unit: &'static str,
    role: SignalRole,
    floor: f64,
}

/// A hiccup of a busy machine, in milliseconds. Checks are slow from 100.
const HICCUP_MS: f64 = 5.0;
/// Half of the default sync interval, in seconds. Nodes and observer keep different clocks: the
/// observed age depends on their phase, and shifts when one of them is late.
const PHASE_S: f64 = 0.1;
/// The longest delay of a round of a busy observer, in seconds.
const LATE_S: f64 = 0.5;
/// Checks that a node answers between two syncs when it has little to do. The observed number
/// depends on the phase too.
const ON_THEIR_WAY: f64 = 2.0;

impl Quantity {
    pub(crate) const SENT: Self = Self::new("checks sent", "per s", SignalRole::Demand);
    pub(crate) const DENIED: Self = Self::new("checks denied", "per s", SignalRole::Other);
    pub(crate) const REACHABLE: Self = Self::new("reachable", "", SignalRole::Availability);
    pub(crate) const OWN: Self =
        Self::new("own admissions in their windows", "", SignalRole::Volume);
    pub(crate) const UNSYNCED: Self = Self::new(
        "admissions not confirmed by the store",
        "",
        SignalRole::Backlog,
    )
    .floor(ON_THEIR_WAY);
    pub(crate) const CHECK_P99: Self =
        Self::new("p99 of checks", "ms", SignalRole::Latency).floor(HICCUP_MS);
    pub(crate) const UPTIME: Self = Self::new("uptime", "s", SignalRole::Uptime).floor(LATE_S);
    pub(crate) const WRITE_AGE: Self = Self::new(
        "age of the last confirmed write",
        "s",
        SignalRole::ProgressAge,
    )
    .floor(PHASE_S);
    pub(crate) const UNANSWERED: Self = Self::new(
        "reads of the store without an answer",
        "",
        SignalRole::Errors,
    );
    pub(crate) const READ_TIME: Self =
        Self::new("read time", "ms", SignalRole::Latency).floor(HICCUP_MS);
    pub(crate) const LOST: Self = Self::new(
        "confirmed admissions that are missing",
        "",
        SignalRole::Lost,
    );
    pub(crate) const UNCONFIRMED: Self = Self::new(
        "admissions held that it has not confirmed",
        "",
        SignalRole::Unconfirmed,
    )
    .floor(ON_THEIR_WAY);
    pub(crate) const HELD: Self =
        Self::new("admissions held in their windows", "", SignalRole::Volume);
    pub(crate) const ACCEPTED_AGE: Self = Self::new(
        "age of the last accepted write",
        "s",
        SignalRole::ProgressAge,
    )
    .floor(PHASE_S);
    pub(crate) const LIMIT: Self = Self::new("limit", "", SignalRole::Setting);
    pub(crate) const WINDOW: Self = Self::new("window", "s", SignalRole::Setting);

    const fn new(name: &'static str, unit: &'static str, role: SignalRole) -> Self {
        Self {
            name,
            unit,
            role,
            floor: 0.0,
        }
    }

    const fn floor(self, floor: f64) -> Self {
        Self { floor, ..self }
    }

    pub(crate) fn of(&self, entity: &str) -> SignalSeries {
        SignalSeries::new(entity, self.name, self.unit, self.role).floor(self.floor)
    }
}
