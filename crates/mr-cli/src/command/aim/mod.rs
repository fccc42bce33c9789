//! `mr aim`.

mod result;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_attacks::{EvaluationConfig, aim};
use mr_metrics::RecordKind;
use mr_models::data::load;
use mr_models::{Model, objective};
use mr_sae::{Tied, latent_terms};
use serde_json::json;

use super::attack::writable;
use super::search::{SearchFlags, climber, norm};
use crate::console::{Console, Outcome};
use crate::output::{Output, draft};
use crate::settings::{Common, DataFlags, Layers, RunFlags, Settings};
use crate::subject::{ModelFlags, Subject, json};
use result::Moved;

/// Drive an objective of logits or internals as far as an attack can
///
/// There is no goal to reach: the attack climbs to its end on every example, and the clean example is
/// kept where nothing better was found. Objectives are sums of weighted terms. Of the logits:
/// cross-entropy, margin, dlr, logit-difference(A, B), and kl and squared-error from the clean logits.
/// Of internals: raise(SITE) and lower(SITE) the mean activation, shift(SITE) and stay(SITE) the squared
/// distance from the clean activation, along(SITE, V, ...) and against(SITE, V, ...) the reach along a
/// direction. A site may be followed by [POSITIONS, CHANNELS]: conv2.hook_out[:, 5] is channel 5.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr aim --model runs/half --objective 'raise(conv2.hook_out[:, 5])' --epsilon 0.1
  mr aim --model runs/half --objective 'shift(conv2.hook_out) - 10 kl' --epsilon 0.1 --steps 100
  mr aim --model runs/half --objective 'margin - 0.1 shift(conv1.hook_out)' --norm l2 --epsilon 2
  mr aim --model runs/half --objective margin --place conv1.hook_out --norm l2 --epsilon 1 --json
  mr aim --model runs/half --objective 'lower(linear1.hook_out)' --epsilon 0.1 --save moved.safetensors")]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    data: DataFlags,
    /// What to drive up, such as 'shift(conv2.hook_out) - 10 kl'
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    objective: Option<String>,
    /// A dictionary that `mr-train` fitted: its latents are terms too, raise-latent(SITE, N) and
    /// lower-latent(SITE, N)
    #[arg(long, value_name = "FILE")]
    dictionary: Option<PathBuf>,
    #[command(flatten)]
    threat: ThreatFlags,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    running: RunFlags,
    #[command(flatten)]
    common: Common,
    /// Add what became of each example to the result
    #[arg(long, help_heading = "Output")]
    per_example: bool,
    /// Write the adversarial examples into this file of safetensors: adversarial, clean, index, label
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    save: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Threat")]
struct ThreatFlags {
    /// Norm of the perturbation: linf, l2, l1 [default: linf]
    #[arg(long, value_name = "NORM")]
    norm: Option<String>,
    /// Largest perturbation, in pixel units of [0, 1]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// Where the perturbation lives: input or a site; see `mr models --sites` [default: input]
    #[arg(long, value_name = "SITE")]
    place: Option<String>,
}

impl Arguments {
    fn layers(&self) -> Result<Layers> {
        let mut layers = self.common.layers()?;
        self.data.apply(&mut layers)?;
        self.running.apply(&mut layers)?;
        layers.flag("--objective", "objective", self.objective.clone())?;
        let threat = &self.threat;
        layers.flag("--norm", "threat.norm", threat.norm.as_deref().map(norm))?;
        layers.flag("--epsilon", "threat.epsilon", threat.epsilon)?;
        layers.flag("--place", "threat.place", threat.place.clone())?;
        if layers.get("threat").is_some() {
            layers.beneath("threat.norm", "Linf");
        }
        self.search.apply(&mut layers)?;
        Ok(layers)
    }
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let mut layers = arguments.layers()?;
    let (subject, device) = Subject::open(&arguments.model, &mut layers)?;
    let settings = Settings::of(layers)?;
    let Some(wanted) = &settings.objective else {
        bail!("no objective: give --objective, such as 'raise(SITE)'; see `mr models --sites`");
    };
    let wanted = match &arguments.dictionary {
        None => objective::by_name(wanted)?,
        Some(path) => {
            let (dictionary, _) = Tied::load(path, &device.device).context("--dictionary")?;
            objective::by_name_with(wanted, &latent_terms(Arc::new(dictionary)))?
        }
    };
    let Some(threat) = &settings.threat else {
        bail!("no threat: give --epsilon (and --norm), or a [threat] table");
    };
    let attack = climber(&settings)?;
    let data = load(&settings.data, settings.split)?;
    subject.takes(&data)?;
    let spec = subject.network.spec();
    threat.fits(spec)?;
    attack.fits(spec, threat)?;
    wanted.fits(spec)?;
    if let Some(path) = &arguments.save {
        writable("--save", path)?;
    }

    let config = json!({
        "data": json(&settings.data)?,
        "split": settings.split,
        "objective": wanted.name(),
        "dictionary": arguments.dictionary,
        "threat": json(threat)?,
        "attack": json(&settings.attack)?,
        "evaluation": json(&settings.evaluation)?,
        "trained": subject.trained,
    });
    let seed = settings.seed.unwrap_or(0);
    let name = settings.name.as_deref();
    let mut record = draft(RecordKind::Aim, name, config, seed, &device.name);
    let overwrite = arguments.common.overwrite;
    let output = settings.out.as_ref();
    let output = output
        .map(|out| Output::open(out, &record, overwrite))
        .transpose()?;

    let started = Instant::now();
    let bar = console.bar(&attack.name(), data.len());
    let running = EvaluationConfig {
        keep: arguments.save.is_some(),
        ..settings.evaluation.clone()
    };
    let found = aim(
        subject.model(),
        &data,
        threat,
        attack,
        wanted.as_ref(),
        &running,
        &mut |done| {
            bar.at(done, String::new);
            true
        },
    )?;
    drop(bar);
    let moved = Moved {
        subject: &subject,
        data: &data,
        threat,
        objective: wanted.as_ref(),
        attack: attack.name(),
        found: &found,
        seconds: started.elapsed().as_secs_f64(),
    };
    moved.fill(&mut record)?;
    if let Some(path) = &arguments.save {
        moved.save(path)?;
    }
    if let Some(output) = &output {
        output.write(&record)?;
    }
    console.say(moved.listing()?);
    if arguments.per_example {
        console.say(moved.examples());
    }
    for warning in &record.warnings {
        console.warn(warning);
    }
    if console.is_json() {
        let mut object = record.to_json();
        object["n"] = data.len().into();
        object["objective"] = wanted.name().into();
        object["seconds"] = moved.seconds.into();
        if arguments.per_example {
            object["examples"] = json(&found.examples)?;
        }
        if let Some(out) = &settings.out {
            object["out"] = json!(out);
        }
        console.object(&object)?;
    }
    Ok(Outcome::Done)
}
