//! What a limit would have done to recorded demand. Each key has an exact limiter of its own, which
//! decides a check when it was sent.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use ratelimiter_api::Key;
use ratelimiter_invariants::{Contract, ContractKind, History};

/// Keys that are listed.
const LISTED: usize = 10;

/// Parts of the time that the level is shown for.
const PARTS: usize = 60;

/// The effect of a limit on recorded demand.
#[derive(Clone, Debug, PartialEq)]
pub struct WhatIf {
    /// The limit.
    pub limit: Contract,
    /// All checks, and those that would have been denied.
    pub checks: u64,
    /// Likewise.
    pub denied: u64,
    /// All keys.
    pub keys: usize,
    /// The keys with denials, by their first one.
    pub hit: Vec<KeyHit>,
    /// The key with most denials, or else with most checks.
    pub busiest: Option<BusiestKey>,
    /// The smallest amount, in the same window and form, that would have denied nothing.
    pub least: u32,
}

/// A key that would have been denied.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyHit {
    /// The key.
    pub key: Key,
    /// Its first denial, from the first check of all.
    pub first: Duration,
    /// Its checks, and those denied.
    pub checks: u64,
    /// Likewise.
    pub denied: u64,
}

/// The use of a limit by one key.
#[derive(Clone, Debug, PartialEq)]
pub struct BusiestKey {
    /// The key.
    pub key: Key,
    /// The highest use in each of equal parts of the time, as a share of the limit.
    pub levels: Vec<f64>,
    /// Length of a part.
    pub part: Duration,
}

/// A limit that no demand can be tried on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "what-if plays {played}, and not {0}",
    played = PLAYED.map(ContractKind::as_str).join(", ")
)]
pub struct NotPlayed(ContractKind);

const PLAYED: [ContractKind; 4] = [
    ContractKind::Sliding,
    ContractKind::Fixed,
    ContractKind::Aligned,
    ContractKind::TokenBucket,
];

/// A check: nanoseconds and cost.
type Demand = (u64, u32);

/// Tries a limit on the demand of some keys. Clock windows are those of the time that counts from
/// `origin`.
///
/// # Errors
/// When the limit has a form that is not played.
pub fn what_if(
    histories: &[(Key, History)],
    limit: Contract,
    origin: Duration,
) -> Result<WhatIf, NotPlayed> {
    if !PLAYED.contains(&limit.kind()) {
        return Err(NotPlayed(limit.kind()));
    }
    let start = histories
        .iter()
        .filter_map(|(_, history)| history.start())
        .min();
    let start = nanos(start.unwrap_or_default());
    let mut end = start;
    let mut tried = WhatIf {
        limit,
        checks: 0,
        denied: 0,
        keys: histories.len(),
        hit: Vec::new(),
        busiest: None,
        least: 1,
    };
    let mut busiest: Option<(u64, u64, usize)> = None;
    for (place, (key, history)) in histories.iter().enumerate() {
        let demand = demand(history);
        let mut denials = 0;
        let mut first = None;
        let mut limiter = KeyLimiter::new(&tried.limit, tried.limit.max(), origin);
        for &(at, cost) in &demand {
            if !limiter.admits(at, cost) {
                denials += 1;
                first = first.or(Some(at - start));
            }
        }
        let checks = demand.len() as u64;
        tried.checks += checks;
        tried.denied += denials;
        end = end.max(demand.last().map_or(0, |last| last.0));
        tried.hit.extend(first.map(|first| KeyHit {
            key: key.clone(),
            first: Duration::from_nanos(first),
            checks,
            denied: denials,
        }));
        if busiest.is_none_or(|(most, of, _)| (denials, checks) > (most, of)) {
            busiest = Some((denials, checks, place));
        }
        tried.least = least(&demand, &tried.limit, origin, tried.least);
    }
    tried.hit.sort_by_key(|hit| hit.first);
    tried.busiest = busiest.map(|(.., place)| {
        let (key, history) = &histories[place];
        let part = (end - start) / PARTS as u64 + 1;
        let mut levels = vec![0.0_f64; PARTS];
        let mut limiter = KeyLimiter::new(&tried.limit, tried.limit.max(), origin);
        for (at, cost) in demand(history) {
            limiter.admits(at, cost);
            let level = &mut levels[((at - start) / part) as usize];
            *level = level.max(limiter.level());
        }
        BusiestKey {
            key: key.clone(),
            levels,
            part: Duration::from_nanos(part),
        }
    });
    Ok(tried)
}

fn demand(history: &History) -> Vec<Demand> {
    let checks = history.iter().map(|op| (nanos(op.invoke), op.cost));
    let mut demand: Vec<Demand> = checks.collect();
    demand.sort_unstable();
    demand
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The smallest amount from `from` on that denies nothing: doubled until it is enough, then halved.
fn least(demand: &[Demand], limit: &Contract, origin: Duration, from: u32) -> u32 {
    let enough = |max| {
        let mut limiter = KeyLimiter::new(limit, max, origin);
        demand.iter().all(|&(at, cost)| limiter.admits(at, cost))
    };
    let (mut least, mut most) = (from, from);
    while !enough(most) && most < u32::MAX {
        least = most + 1;
        most = most.saturating_mul(2);
    }
    while least < most {
        let middle = least + (most - least) / 2;
        if enough(middle) {
            most = middle;
        } else {
            least = middle + 1;
        }
    }
    most
}

/// An exact limiter of one key.
struct KeyLimiter {
    kind: ContractKind,
    max: u64,
    window: u64,
    origin: u64,
    /// Admissions in a sliding window.
    admitted: VecDeque<Demand>,
    /// The begin of a fixed window or its number, or the last instant of a bucket.
    since: Option<u64>,
    /// Cost in the window; of a bucket, cost times the window.
    used: u128,
}

impl KeyLimiter {
    fn new(limit: &Contract, max: u32, origin: Duration) -> Self {
        Self {
            kind: limit.kind(),
            max: max.into(),
            window: nanos(limit.window()),
            origin: nanos(origin),
            admitted: VecDeque::new(),
            since: None,
            used: 0,
        }
    }

    fn admits(&mut self, at: u64, cost: u32) -> bool {
        self.pass(at);
        let (cost, full) = match self.kind {
            ContractKind::TokenBucket => (u128::from(cost) * u128::from(self.window), self.full()),
            _ => (cost.into(), self.full()),
        };
        let admits = self.used + cost <= full;
        if admits {
            self.used += cost;
            if self.kind == ContractKind::Sliding {
                self.admitted.push_back((at, cost as u32));
            }
        }
        admits
    }

    /// Gives back what an instant frees.
    fn pass(&mut self, at: u64) {
        match self.kind {
            ContractKind::TokenBucket => {
                let passed = at - self.since.replace(at).unwrap_or(at);
                let refilled = u128::from(passed) * u128::from(self.max);
                self.used = self.used.saturating_sub(refilled);
            }
            ContractKind::Sliding => {
                while let Some((first, cost)) = self.admitted.front()
                    && at - first >= self.window
                {
                    self.used -= u128::from(*cost);
                    self.admitted.pop_front();
                }
            }
            ContractKind::Aligned => {
                let number = (at + self.origin) / self.window;
                if self.since != Some(number) {
                    (self.since, self.used) = (Some(number), 0);
                }
            }
            // Windows that begin with the first check after the last one ended.
            _ => {
                if self.since.is_none_or(|since| at - since >= self.window) {
                    (self.since, self.used) = (Some(at), 0);
                }
            }
        }
    }

    fn full(&self) -> u128 {
        match self.kind {
            ContractKind::TokenBucket => u128::from(self.max) * u128::from(self.window),
            _ => self.max.into(),
        }
    }

    fn level(&self) -> f64 {
        self.used as f64 / self.full() as f64
    }
}

impl fmt::Display for WhatIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = 100.0 * self.denied as f64 / self.checks.max(1) as f64;
        writeln!(
            f,
            "{} would have denied {} of {} checks ({share:.2} %), of {} of {} keys.",
            self.limit,
            self.denied,
            self.checks,
            self.hit.len(),
            self.keys
        )?;
        for (n, hit) in self.hit.iter().take(LISTED).enumerate() {
            if n == 0 {
                writeln!(f, "\nHit first:")?;
            }
            writeln!(
                f,
                "  at {:>12.3} s  {} of {} checks denied  {}",
                hit.first.as_secs_f64(),
                hit.denied,
                hit.checks,
                hit.key
            )?;
        }
        if let Some(busiest) = &self.busiest {
            let bars = busiest.levels.iter().map(|level| bar(*level));
            writeln!(
                f,
                "\nLevel of the busiest key, {}, in parts of {:.3} s, from empty to full:\n  {}",
                busiest.key,
                busiest.part.as_secs_f64(),
                String::from_iter(bars)
            )?;
        }
        let least = Contract::new(self.least, self.limit.window());
        if let Ok(least) = least.map(|least| least.of_kind(self.limit.kind())) {
            writeln!(
                f,
                "\nThe smallest that would have denied nothing: --limit '{least}'"
            )?;
        }
        write!(
            f,
            "Callers who are denied behave differently: they retry, wait or leave, which a record \
             of the past does not show."
        )
    }
}

fn bar(level: f64) -> char {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    BARS[(level * 8.0).ceil().clamp(0.0, 8.0) as usize]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratelimiter_api::{NodeId, Operation, Outcome};

    use super::*;

    fn history(demand: &[(u64, u32)]) -> Vec<(Key, History)> {
        let mut history = History::default();
        let key = Key::new("k").unwrap();
        for &(at, cost) in demand {
            let at = Duration::from_millis(at);
            let op = Operation::new(key.clone(), NodeId::new("n"), at, at, Outcome::Denied);
            history.push(op.costing(cost)).unwrap();
        }
        vec![(key, history)]
    }

    fn tried(limit: &str, demand: &[(u64, u32)]) -> WhatIf {
        let limit = limit.parse().unwrap();
        what_if(&history(demand), limit, Duration::from_millis(500)).unwrap()
    }

    #[test]
    fn each_form_denies_by_its_own_windows() {
        let checks = [
            (0, 1),
            (600, 1),
            (700, 1),
            (1_000, 1),
            (1_600, 1),
            (1_650, 1),
        ];
        for (limit, denied, least) in [
            ("2/1s", 2, 4),
            ("2/1s fixed", 2, 3),
            // The clock's windows begin at 500 ms and 1,500 ms of this time.
            ("2/1s fixed aligned", 1, 3),
            ("2/1s token-bucket", 1, 3),
        ] {
            let tried = tried(limit, &checks);
            assert_eq!(
                (tried.denied, tried.least),
                (denied, least),
                "{limit}: {tried}"
            );
        }
    }

    #[test]
    fn smallest_amount_denies_nothing_and_less_denies() {
        let demand = prop::collection::vec((0..5_000_u64, 1..4_u32), 1..60);
        let forms = prop::sample::select(vec!["", " fixed", " fixed aligned", " token-bucket"]);
        proptest!(|(demand in demand, form in forms)| {
            let least = tried(&format!("1/1s{form}"), &demand).least;
            let with = |max: u32| tried(&format!("{max}/1s{form}"), &demand).denied;
            prop_assert_eq!(with(least), 0);
            prop_assert!(least == 1 || with(least - 1) > 0);
        });
    }
}
