use ratelimiter_store::StoreUrl;
use resp_proxy::{CommandClass, CommandFault, CommandFilter, Rule, RuleSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::guard::PauseGuard;
use crate::probe::{ForeignPause, writes_pass};
use crate::samples::ProbeSamples;
use crate::writes_held::WritesHeld;
use crate::{ChaosError, Reach};

/// The fault of [`RedisPause`](crate::RedisPause), for stores that refuse `CLIENT PAUSE`: proxies
/// between the nodes and the store hold back writes and scripts, and let reads pass.
///
/// Clients that reach the store directly are not concerned. The fault ends with the process that
/// runs the proxies.
#[derive(Clone, Debug)]
pub struct ProxyHold {
    rules: RuleSet,
    url: StoreUrl,
}

impl ProxyHold {
    /// A rule for `rules`. `url` leads through one of their proxies to the store; the fault is
    /// proved and measured there. Opens nothing.
    ///
    /// # Errors
    /// When the proxy is out of reach.
    pub fn new(rules: RuleSet, url: StoreUrl, reach: Reach) -> Result<Self, ChaosError> {
        reach.permit(url.is_loopback(), &url)?;
        Ok(Self { rules, url })
    }

    /// Holds writes back until the guard is dropped, and proves that they are.
    ///
    /// # Errors
    /// When the store cannot be reached, writes are held back already, or pass nevertheless.
    pub async fn inject(&self) -> Result<PauseGuard, ChaosError> {
        if !writes_pass(&self.url).await? {
            let pause = ForeignPause { remaining: None };
            return Err(ChaosError::ForeignPause {
                url: self.url.clone(),
                pause,
            });
        }
        let which = CommandFilter::all()
            .of_class(CommandClass::Write)
            .of_class(CommandClass::Script);
        let rule = self.rules.add(Rule::commands(which, CommandFault::Hold));
        let started = Instant::now();
        let mut samples = ProbeSamples::default();
        if samples.take(&self.url).await? {
            return Err(ChaosError::HoldWithoutEffect {
                url: self.url.clone(),
            });
        }
        Ok(PauseGuard::new(
            self.url.clone(),
            started,
            CancellationToken::new().drop_guard(),
            WritesHeld::Rule(Some(rule)),
            samples,
        ))
    }
}
