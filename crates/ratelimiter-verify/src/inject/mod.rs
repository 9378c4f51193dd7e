mod failover;
mod redis_pause;

use clap::Subcommand;
use resp_proxy::program::ProxyArgs;

use failover::FailoverArgs;
use redis_pause::PauseArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum InjectCommand {
    /// Pause the store's writes (CLIENT PAUSE ... WRITE); the pause is a lease that ends with this
    /// process
    #[command(after_help = cli_support::exit_help(&[]))]
    RedisPause(PauseArgs),
    /// Fail over to a replica that lacks the last writes, and so lose them
    #[command(after_help = failover::help())]
    Failover(FailoverArgs),
    /// Put a proxy with faults between an application and its store: lost replies, errors, resets,
    /// delays, silence
    ///
    /// Point the application at --listen instead of its store. The faults end with this process
    #[command(after_help = resp_proxy::program::help("ratelimiter-verify inject resp"))]
    Resp(ProxyArgs),
}

/// Injects one fault until its end or a signal.
pub(crate) async fn inject(command: InjectCommand) -> anyhow::Result<cli_support::Exit> {
    match command {
        InjectCommand::RedisPause(args) => redis_pause::redis_pause(args).await,
        InjectCommand::Failover(args) => failover::failover(args).await,
        InjectCommand::Resp(args) => args.serve().await,
    }
}
