//! `mr generate`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_models::data::{DataConfig, tokenizer};
use mr_train::generate;
use serde_json::{Value, json};

use crate::console::{Console, Outcome};
use crate::device;
use crate::subject;

/// Go on with a text, by a language model that `mr train` made of one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr generate --model runs/bard --prompt \"ROMEO.\"
  mr generate --model runs/bard --prompt \"To be\" --tokens 50 --temperature 0 --json")]
pub(crate) struct Arguments {
    /// Weights as safetensors, or a folder that `mr train` made
    #[arg(long, value_name = "FILE|DIR")]
    model: PathBuf,
    /// What it goes on with
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// Tokens to write
    #[arg(long, value_name = "N", default_value_t = 200)]
    tokens: usize,
    /// How even the draws are: 1 for the model's probabilities, 0 for the likeliest token
    #[arg(
        long,
        value_name = "R",
        default_value_t = 0.8,
        allow_negative_numbers = true
    )]
    temperature: f64,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Compute on this device; see `mr devices`
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let device = device::open(arguments.device.as_deref())?;
    let path = subject::locate(&arguments.model)?;
    let saved = subject::load(&path, None, None, &device.device)?;
    let Some(data) = saved.about.get("data") else {
        bail!(
            "{}: the file does not say which text it learned from",
            path.display()
        );
    };
    let data: DataConfig = serde_json::from_value(data.clone())
        .with_context(|| format!("{}: what it was trained on", path.display()))?;
    let tokenizer = tokenizer(&data)?;
    let prompt = tokenizer.encode(&arguments.prompt).context("--prompt")?;
    let bar = console.bar("generate", arguments.tokens);
    let written = generate(
        &saved.network,
        &prompt,
        arguments.tokens,
        arguments.temperature,
        arguments.seed,
        &mut |done, _| bar.at(done, String::new),
    )?;
    drop(bar);
    let text = tokenizer.decode(&written)?;
    console.say(format!("{}{text}", arguments.prompt));
    console.object(&json!({
        "prompt": arguments.prompt,
        "text": text,
        "tokens": Value::from(written),
        "temperature": arguments.temperature,
        "seed": arguments.seed,
        "device": device.name,
    }))?;
    Ok(Outcome::Done)
}
