use clap::ValueEnum;
use ratelimiter_chaos::{ChaosError, PauseGuard, PauseReport, ProxyHold, RedisPause};

/// The means that hold the store's writes back in the first act.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FaultMeans {
    /// CLIENT PAUSE in the store
    #[default]
    Pause,
    /// A proxy between the nodes and the store, for stores that refuse CLIENT PAUSE
    Proxy,
}

/// The fault of the first act, ready to be injected.
#[derive(Clone, Debug)]
pub(crate) enum WriteFault {
    Pause(RedisPause),
    Proxy(ProxyHold),
}

impl WriteFault {
    pub(crate) async fn inject(&self) -> Result<PauseGuard, ChaosError> {
        match self {
            Self::Pause(pause) => pause.inject().await,
            Self::Proxy(hold) => hold.inject().await,
        }
    }

    /// The fault in a sentence, for the audience.
    pub(crate) fn described(&self, seconds: f64) -> String {
        match self {
            Self::Pause(_) => {
                format!(
                    "The store stops taking writes for {seconds} s (CLIENT PAUSE WRITE); reads \
                     still pass."
                )
            }
            Self::Proxy(_) => format!(
                "A proxy between the nodes and the store holds their writes back for {seconds} s; \
                 reads still pass."
            ),
        }
    }

    /// The measurements of the fault, in a phrase.
    pub(crate) fn measured(report: &PauseReport) -> String {
        let means = match report.held_commands {
            Some(commands) => format!("{commands} commands held back"),
            None => format!("{} renewals", report.renewals),
        };
        format!(
            "{} of {} test writes passed, {means}",
            report.passed, report.probes
        )
    }
}
