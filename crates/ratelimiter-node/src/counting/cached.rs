use ratelimiter_api::{DecidedBy, Limit};

use super::Decision;
use crate::admissions::AdmissionLog;
use crate::counter::Others;

/// Decides from what the node knows: its own admissions exactly, the others' as of the last sync.
pub(crate) fn decide(limit: Limit, log: &AdmissionLog, others: &Others, cost: u32, now_us: u64) -> Decision {
    let start_us = now_us.saturating_sub(limit.window_us());
    let others = others.at(now_us, limit);
    let before = log.count(start_us, u64::MAX) + others.count;
    let allowed = before + u64::from(cost) <= u64::from(limit.admissions());
    let oldest_us = [log.oldest_after(start_us), others.oldest_us].into_iter().flatten().min();
    let count = if allowed { before + u64::from(cost) } else { before };
    Decision { allowed, count, oldest_us, now_us, by: DecidedBy::Local }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admissions::Admission;

    const S: u64 = 1_000_000;

    fn others(count: u64, as_of_us: u64) -> Others {
        Others { count, oldest_us: Some(as_of_us), as_of_us }
    }

    #[test]
    fn own_and_others_admissions_fill_one_limit() {
        let limit = Limit::new(10, 60).unwrap();
        let mut log = AdmissionLog::default();
        for sequence in 0..4 {
            log.add_unsynced(Admission { at_us: 100 * S, sequence });
        }
        assert!(decide(limit, &log, &others(5, 100 * S), 1, 101 * S).allowed);
        assert!(!decide(limit, &log, &others(5, 100 * S), 2, 101 * S).allowed);
        assert!(!decide(limit, &log, &others(6, 100 * S), 1, 101 * S).allowed);
    }

    #[test]
    fn what_others_did_a_window_ago_no_longer_counts() {
        let limit = Limit::new(10, 60).unwrap();
        let log = AdmissionLog::default();
        assert!(!decide(limit, &log, &others(10, 100 * S), 1, 159 * S).allowed);
        assert!(decide(limit, &log, &others(10, 100 * S), 1, 160 * S).allowed);
    }
}
