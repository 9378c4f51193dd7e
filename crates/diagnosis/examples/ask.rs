//! Asks a language model about an incident and shows its answer, or the refusal:
//!
//! ```text
//! cargo run -p diagnosis --example ask -- evidence.json --model NAME [--llm-url http://...]
//! ```
//!
//! The evidence is what `EvidenceBuilder` makes, as JSON; the `rank` example writes it with
//! `--evidence`. The key is read from the provider's usual environment variable. Ends with 0 when
//! the model's answer stands, with 3 when the offline one stands in for it.

use std::{error::Error, fs, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser as _;
use diagnosis::{
    Evidence,
    llm::{AnswerProgress, LlmConfig, LlmEngine},
    text,
};

const STOOD_IN: u8 = 3;

/// Asks a language model about an incident.
#[derive(Debug, clap::Parser)]
#[command(name = "ask")]
struct Flags {
    /// The evidence, as JSON.
    evidence: PathBuf,
    /// The model: `gpt-…`, `claude-…`, `gemini-…`, `provider::name`, or the name of a local one.
    #[arg(long)]
    model: String,
    /// A server of one's own that speaks the OpenAI format.
    #[arg(long, value_name = "URL")]
    llm_url: Option<String>,
    /// Seconds it may take, repair turn included.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    deadline: f64,
    /// Tokens the model may answer with a turn.
    #[arg(long, value_name = "TOKENS", default_value_t = 4_096)]
    max_tokens: u32,
    /// Show why answers were refused as well. This quotes the model.
    #[arg(long)]
    quote: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Flags::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ask: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> Result<ExitCode, Box<dyn Error>> {
    let read = |path: &PathBuf| {
        fs::read_to_string(path).map_err(|e| format!("read {}: {e}", path.display()))
    };
    let evidence: Evidence = serde_json::from_str(&read(&flags.evidence)?)
        .map_err(|e| format!("parse {}: {e}", flags.evidence.display()))?;
    let config = LlmConfig {
        url: flags.llm_url.clone(),
        deadline: Duration::try_from_secs_f64(flags.deadline)?,
        max_tokens: flags.max_tokens,
        ..LlmConfig::new(&flags.model)
    };
    let engine = LlmEngine::new(&config.key_from_env())?;

    let mut last = None;
    let outcome = engine
        .diagnose(&evidence, |progress| {
            // one line a phase; the bytes received would be a line each
            let phase = std::mem::discriminant(&progress);
            if last != Some(phase) && !matches!(progress, AnswerProgress::Receiving(_)) {
                eprintln!("{progress}");
            }
            last = Some(phase);
        })
        .await;
    let other = text::disagreement(&outcome.answer, &outcome.offline);
    for line in text::render(&evidence, &outcome.answer)
        .into_iter()
        .chain(other)
    {
        println!("{line}");
    }
    if flags.quote {
        for rejection in &outcome.refused {
            println!(
                "refused: {}",
                diagnosis::clean_text(&rejection.to_string(), 1_000)
            );
        }
    }
    let stood_in = outcome.answer.engine.fallback_from.is_some();
    Ok(if stood_in {
        ExitCode::from(STOOD_IN)
    } else {
        ExitCode::SUCCESS
    })
}
