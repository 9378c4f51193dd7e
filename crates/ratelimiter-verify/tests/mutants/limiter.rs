//! Limiters that decide in this process, right or wrong in one way.

use std::collections::HashMap;
use std::time::Duration;

use ratelimiter_api::StatedTime;

/// One defect of real limiters, each reported of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Windows begin anew at whole multiples of the wall clock.
    ForgetsAtTheEdge,
    /// Each node counts its own admissions.
    CountsOneNodeOnly,
    /// A check of any cost is charged 1.
    IgnoresCost,
    /// Every 1000th check passes although the window is full.
    AdmitsEvery1000thTwice,
    /// The comparison is one off.
    OffByOne,
    /// Seconds are taken for minutes: the window is 60 times shorter.
    WindowTooShort,
    /// Minutes are taken for seconds: the window is 60 times longer.
    WindowTooLong,
    /// A denied check is charged as well.
    ChargesDenied,
    /// All keys share one counter.
    SharesQuota,
    /// The stated remaining quota begins anew with every third check.
    DishonestRemaining,
    /// Retry-After is a tenth of the time needed.
    RetryTooEarly,
    /// Retry-After is in minutes: sixty times the time needed.
    RetryTooLate,
    /// Retry-After is the time since the window began, negative.
    RetryInThePast,
    /// A denial states one less than nothing.
    NegativeRemaining,
    /// The address of a header field is part of the key.
    TrustsAddresses,
    /// The count is read, and written a moment later.
    ReadsThenWrites,
    /// The counter never expires.
    NeverExpires,
    /// The expiry is set with the first admission and never renewed: the whole log goes at once.
    ExpiresWithTheFirst,
    /// The route, here the node, is part of the key.
    CountsByRoute,
    /// Tokens of a bucket grow beyond its size.
    LacksACap,
    /// A node admits its share of the limit only.
    SplitsOverNodes,
    /// The counter expires half a window after its last check.
    ExpiresEarly,
    /// A check that costs more than the limit is admitted.
    AdmitsAboveTheLimit,
}

impl Defect {
    pub(crate) const ALL: [Self; 23] = [
        Self::ForgetsAtTheEdge,
        Self::CountsOneNodeOnly,
        Self::IgnoresCost,
        Self::AdmitsEvery1000thTwice,
        Self::OffByOne,
        Self::WindowTooShort,
        Self::WindowTooLong,
        Self::ChargesDenied,
        Self::SharesQuota,
        Self::DishonestRemaining,
        Self::RetryTooEarly,
        Self::RetryTooLate,
        Self::RetryInThePast,
        Self::NegativeRemaining,
        Self::TrustsAddresses,
        Self::ReadsThenWrites,
        Self::NeverExpires,
        Self::ExpiresWithTheFirst,
        Self::CountsByRoute,
        Self::LacksACap,
        Self::SplitsOverNodes,
        Self::ExpiresEarly,
        Self::AdmitsAboveTheLimit,
    ];
}

/// The form of a limiter without defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sliding,
    /// Windows of the wall clock.
    Fixed,
    /// Windows that begin with a key's first check after the last one ended.
    FirstCheck,
    /// Windows of a timer of each key.
    Timers,
    TokenBucket,
}

/// An answer, with the limiter's own statements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    pub(crate) allowed: bool,
    pub(crate) remaining: i64,
    pub(crate) retry_after: StatedTime,
}

/// A limiter: its state, and all that it knows of time is handed in.
pub(crate) struct Limiter {
    pub(crate) kind: Kind,
    pub(crate) defect: Option<Defect>,
    pub(crate) limit: u64,
    pub(crate) window: Duration,
    /// Time of the wall clock at the limiter's zero, modulo a window.
    pub(crate) wall: Duration,
    logs: HashMap<String, Vec<(Duration, u64)>>,
    /// Starts of windows that began with a check.
    begun: HashMap<String, Duration>,
    checks: u64,
}

impl Limiter {
    pub(crate) fn new(
        kind: Kind,
        defect: Option<Defect>,
        limit: u32,
        window: Duration,
        wall: Duration,
    ) -> Self {
        Self {
            kind,
            defect,
            limit: limit.into(),
            window,
            wall,
            logs: HashMap::new(),
            begun: HashMap::new(),
            checks: 0,
        }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// The counter of a check.
    pub(crate) fn scope(&self, node: usize, key: &str, address: Option<u32>) -> String {
        match self.defect {
            Some(Defect::TrustsAddresses) => format!("{address:?}/{key}"),
            Some(Defect::CountsOneNodeOnly | Defect::CountsByRoute | Defect::SplitsOverNodes) => {
                format!("{node}/{key}")
            }
            Some(Defect::SharesQuota) => String::new(),
            _ => key.to_owned(),
        }
    }

    fn charge(&self, cost: u64) -> u64 {
        if self.has(Defect::IgnoresCost) {
            1
        } else {
            cost
        }
    }

    fn window(&self) -> Duration {
        match self.defect {
            Some(Defect::WindowTooShort) => self.window / 60,
            Some(Defect::WindowTooLong) => self.window * 60,
            _ => self.window,
        }
    }

    /// The start of the window of a key.
    fn start(&mut self, scope: &str, now: Duration) -> Duration {
        let window = self.window();
        let zero = match self.kind {
            Kind::FirstCheck => {
                let begun = self.begun.entry(scope.to_owned()).or_insert(now);
                if *begun + window <= now {
                    *begun = now;
                }
                return *begun;
            }
            // Each key has its own.
            Kind::Timers => window.mul_f64(scope.bytes().map(f64::from).sum::<f64>() % 97.0 / 97.0),
            _ => Duration::ZERO,
        };
        let into = (self.wall + zero + now).as_nanos() % window.as_nanos();
        now.saturating_sub(Duration::from_nanos(into as u64))
    }

    /// Decides without charging.
    pub(crate) fn read(&mut self, scope: &str, cost: u64, now: Duration) -> Decision {
        let (window, edge) = (self.window(), self.start(scope, now));
        let (kind, defect) = (self.kind, self.defect);
        let log = self.logs.entry(scope.to_owned()).or_default();
        match defect {
            Some(Defect::NeverExpires) => {}
            Some(Defect::ExpiresEarly) => {
                if log.last().is_some_and(|last| last.0 + window / 2 <= now) {
                    log.clear();
                }
                log.retain(|(at, _)| *at + window > now);
            }
            Some(Defect::ExpiresWithTheFirst) => {
                if log.first().is_some_and(|first| first.0 + window <= now) {
                    log.clear();
                }
            }
            _ if matches!(kind, Kind::Fixed | Kind::FirstCheck | Kind::Timers)
                || defect == Some(Defect::ForgetsAtTheEdge) =>
            {
                // Half-open: an admission at the edge is in the window that begins there.
                log.retain(|(at, _)| *at >= edge || edge.is_zero());
            }
            _ if kind == Kind::TokenBucket => {}
            _ => log.retain(|(at, _)| *at + window > now),
        }
        let used = match kind {
            Kind::TokenBucket => {
                let least = if defect == Some(Defect::LacksACap) {
                    -1e9
                } else {
                    0.0
                };
                bucket_use(log, self.limit, window, now, least)
            }
            _ => log.iter().map(|(_, cost)| *cost as f64).sum(),
        };
        let limit = match defect {
            Some(Defect::OffByOne) => self.limit + 1,
            Some(Defect::SplitsOverNodes) => self.limit / 3,
            Some(Defect::AdmitsAboveTheLimit) if cost > self.limit => cost * 9,
            _ => self.limit,
        };
        let cost = if defect == Some(Defect::IgnoresCost) {
            1
        } else {
            cost
        };
        self.checks += 1;
        let fits = used + cost as f64 <= limit as f64;
        let luck =
            defect == Some(Defect::AdmitsEvery1000thTwice) && self.checks.is_multiple_of(1000);
        let left = (limit as f64 - used).floor() as i64 - if fits { cost as i64 } else { 0 };
        let remaining = match defect {
            Some(Defect::DishonestRemaining) if self.checks.is_multiple_of(3) => self.limit as i64,
            Some(Defect::NegativeRemaining) if !fits => -1,
            _ => left.max(0),
        };
        let back = match kind {
            Kind::TokenBucket => {
                window.mul_f64((used + cost as f64 - limit as f64).max(0.0) / limit as f64)
            }
            Kind::Fixed | Kind::FirstCheck | Kind::Timers => (edge + window).saturating_sub(now),
            Kind::Sliding => frees(log, used as u64 + cost, limit, window).saturating_sub(now),
        };
        // A whole millisecond later at the earliest, since clocks round.
        let retry_after = back.as_millis() as f64 / 1e3 + 0.001;
        let retry_after = match defect {
            Some(Defect::RetryTooEarly) => retry_after / 10.0,
            Some(Defect::RetryTooLate) => retry_after * 60.0,
            Some(Defect::RetryInThePast) => -retry_after,
            _ => retry_after,
        };
        Decision {
            allowed: fits || luck,
            remaining,
            retry_after: StatedTime::seconds(retry_after).unwrap(),
        }
    }

    /// Charges a check, if it was allowed.
    pub(crate) fn write(&mut self, scope: &str, cost: u64, now: Duration, decision: Decision) {
        if decision.allowed || self.has(Defect::ChargesDenied) {
            let charge = self.charge(cost);
            let log = self.logs.entry(scope.to_owned()).or_default();
            log.push((now, charge));
        }
    }
}

/// Tokens taken out of a full bucket and not yet refilled.
fn bucket_use(
    log: &[(Duration, u64)],
    limit: u64,
    window: Duration,
    now: Duration,
    least: f64,
) -> f64 {
    let (mut used, mut last) = (0.0_f64, Duration::ZERO);
    let refilled = |from: Duration, to: Duration| {
        limit as f64 * (to - from).as_secs_f64() / window.as_secs_f64()
    };
    for (at, cost) in log {
        // A bucket is full when its key is new.
        let floor = if last.is_zero() { 0.0 } else { least };
        used = (used - refilled(last, *at)).max(floor) + *cost as f64;
        last = *at;
    }
    (used - refilled(last, now)).max(if last.is_zero() { 0.0 } else { least })
}

/// When enough admissions have left the window for `wanted` to be within the limit.
fn frees(log: &[(Duration, u64)], wanted: u64, limit: u64, window: Duration) -> Duration {
    let mut over = wanted.saturating_sub(limit);
    for (at, cost) in log {
        if over == 0 {
            break;
        }
        over = over.saturating_sub(*cost);
        if over == 0 {
            return *at + window;
        }
    }
    Duration::ZERO
}
