//! The sentences that a verdict begins or ends with.

use std::time::Duration;

use ratelimiter_invariants::ContractKind;
use ratelimiter_verify::{PlanDepth, PlanSettings, RunStatus, table};

use crate::double::{Double, Network};
use crate::limiter::{Defect, Kind};
use crate::{NODES, settings, verify};

const WINDOW: Duration = Duration::from_secs(60);

/// The printed verdict on a limiter of so many a minute that promises 100.
async fn printed(limit: u32, defect: Option<Defect>, depth: PlanDepth) -> (RunStatus, String) {
    let network = Network { delay: 3, lost: 0 };
    let limit = (limit, WINDOW);
    let target = Double::new(Kind::Sliding, defect, limit, NODES, network, 7);
    let settings = PlanSettings {
        depth,
        ..settings(100, WINDOW, ContractKind::Sliding)
    };
    let verdict = verify(&target, &settings).await;
    (verdict.status, table(&verdict))
}

#[track_caller]
fn assert_has(text: &str, words: &[&str]) {
    for words in words {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_finding_has_its_headline() {
    for (defect, headline) in [
        (
            Defect::CountsOneNodeOnly,
            "Violated: more than 100/1m sliding was admitted in",
        ),
        (
            Defect::SharesQuota,
            "Violated: stricter than 100/1m sliding: checks were denied without cause in",
        ),
        (
            Defect::DishonestRemaining,
            "Violated: the limiter's statements contradict its answers in",
        ),
    ] {
        let (_, text) = printed(100, Some(defect), PlanDepth::Thorough).await;
        let headlines = text.lines().filter(|line| line.starts_with("Violated"));
        let headlines = Vec::from_iter(headlines);
        assert!(headlines.len() == 1, "{defect:?}: {headlines:?}");
        assert_has(headlines[0], &[headline]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_names_what_it_could_have_missed() {
    let (status, text) = printed(100, None, PlanDepth::Quick).await;
    assert_eq!(status, RunStatus::Passed);
    assert_has(
        &text,
        &[
            "Passed what was played: 100/1m sliding was kept in",
            "Not played: return, silent, again, overload, first-edge, edge, steady.",
            "6 bursts, each sent within",
            "half of all bursts would have been missed with a probability of 2 %, \
             one that shows in a tenth with 53 %",
        ],
    );
    let (_, text) = printed(100, None, PlanDepth::Thorough).await;
    assert_has(&text, &["Passed: 100/1m sliding was kept in"]);
}

#[tokio::test(start_paused = true)]
async fn a_pass_names_admissions_beyond_its_resolution() {
    let second = Duration::from_secs(1);
    let network = Network { delay: 6, lost: 0 };
    let target = Double::new(Kind::TokenBucket, None, (200, second), NODES, network, 7);
    let settings = settings(200, second, ContractKind::TokenBucket);
    let verdict = verify(&target, &settings).await;
    assert_eq!(verdict.status, RunStatus::Passed);
    assert!(
        verdict
            .judged
            .iter()
            .any(|one| one.resolution.admissions > 0)
    );
    assert_has(
        &table(&verdict),
        &[
            "for a bucket larger by",
            "the burst outlasted the return of tokens",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn doubts_come_before_everything_else() {
    for (limit, defect, doubt) in [
        (1_000_000, None, "Nothing was ever denied: all"),
        (0, None, "Nothing was ever allowed: all"),
        (
            100,
            Some(Defect::SharesQuota),
            "The keys seem to share one quota: new keys were denied from their first check",
        ),
    ] {
        let (status, text) = printed(limit, defect, PlanDepth::Quick).await;
        assert!(status >= RunStatus::Undecided, "{status:?}: {text}");
        assert!(text.starts_with(doubt), "{text}");
    }
}
