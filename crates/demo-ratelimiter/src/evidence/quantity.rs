use diagnosis::{Role, SignalSeries};

/// What is measured of a part: its name, unit and role, and the deviation nobody would look twice
/// at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantity {
    pub(crate) name: &'static str,
    unit: &'static str,
    role: Role,
    floor: f64,
}

/// A hiccup of a busy machine, in milliseconds. Checks are slow from 100.
const HICCUP_MS: f64 = 5.0;
/// Half a sync interval as it is by default, in seconds. Whoever syncs and whoever observes keep to
/// clocks of their own: what is seen of an age depends on how these stand to each other, and shifts
/// when one of them is late.
const PHASE_S: f64 = 0.1;
/// How late a round of a busy observer may be, in seconds.
const LATE_S: f64 = 0.5;
/// Checks a node answers between two syncs when it has little to do. How many of them are seen
/// depends on the phase too.
const ON_THEIR_WAY: f64 = 2.0;

impl Quantity {
    pub(crate) const SENT: Self = Self::new("checks sent", "per s", Role::Demand);
    pub(crate) const DENIED: Self = Self::new("checks denied", "per s", Role::Other);
    pub(crate) const REACHABLE: Self = Self::new("reachable", "", Role::Availability);
    pub(crate) const OWN: Self = Self::new("own admissions in their windows", "", Role::Volume);
    pub(crate) const UNSYNCED: Self =
        Self::new("admissions not confirmed by the store", "", Role::Backlog).floor(ON_THEIR_WAY);
    pub(crate) const CHECK_P99: Self =
        Self::new("p99 of checks", "ms", Role::Latency).floor(HICCUP_MS);
    pub(crate) const UPTIME: Self = Self::new("uptime", "s", Role::Uptime).floor(LATE_S);
    pub(crate) const WRITE_AGE: Self =
        Self::new("age of the last confirmed write", "s", Role::ProgressAge).floor(PHASE_S);
    pub(crate) const UNANSWERED: Self =
        Self::new("reads of the store without an answer", "", Role::Errors);
    pub(crate) const READ_TIME: Self = Self::new("read time", "ms", Role::Latency).floor(HICCUP_MS);
    pub(crate) const LOST: Self =
        Self::new("confirmed admissions that are missing", "", Role::Lost);
    pub(crate) const UNCONFIRMED: Self = Self::new(
        "admissions held that it has not confirmed",
        "",
        Role::Unconfirmed,
    )
    .floor(ON_THEIR_WAY);
    pub(crate) const HELD: Self = Self::new("admissions held in their windows", "", Role::Volume);
    pub(crate) const ACCEPTED_AGE: Self =
        Self::new("age of the last accepted write", "s", Role::ProgressAge).floor(PHASE_S);
    pub(crate) const LIMIT: Self = Self::new("limit", "", Role::Setting);
    pub(crate) const WINDOW: Self = Self::new("window", "s", Role::Setting);

    const fn new(name: &'static str, unit: &'static str, role: Role) -> Self {
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
