//! `mr aim`.

mod result;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_attacks::{EvaluationConfig, aim};
use mr_metrics::RecordKind;
use mr_models::{Model, objective};
use mr_sae::latent_terms;
use serde_json::json;

use super::attack::save;
use super::sae;
use super::search::{SearchFlags, climber};
use super::threat::ThreatFlags;
use crate::console::{Console, Outcome};
use crate::opened::{Opened, Told};
use crate::output::writable;
use crate::settings::RunFlags;
use crate::subject::{SubjectFlags, json};
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
    on: SubjectFlags,
    /// What to drive up, such as 'shift(conv2.hook_out) - 10 kl'
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    objective: Option<String>,
    /// A dictionary, of `mr sae train`, SAELens or sparsify: its latents are terms too, raise-latent(SITE, N)
    /// and lower-latent(SITE, N)
    #[arg(long, value_name = "FILE|DIR")]
    dictionary: Option<PathBuf>,
    #[command(flatten)]
    threat: ThreatFlags,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    running: RunFlags,
    /// Add what became of each example to the result
    #[arg(long, help_heading = "Output")]
    per_example: bool,
    /// Write the adversarial examples into this file of safetensors: adversarial, clean, index, label
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    save: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        layers.flag("--objective", "objective", arguments.objective.clone())?;
        arguments.threat.apply(layers)?;
        arguments.search.apply(layers)
    })?;
    let (settings, data) = (&opened.settings, &opened.data);
    let Some(wanted) = &settings.objective else {
        bail!("no objective: give --objective, such as 'raise(SITE)'; see `mr models --sites`");
    };
    let wanted = match &arguments.dictionary {
        None => objective::by_name(wanted)?,
        Some(path) => {
            let device = &opened.device.device;
            let dictionary = sae::open(path, device).context("--dictionary")?.sae;
            objective::by_name_with(wanted, &latent_terms(Arc::new(dictionary)))?
        }
    };
    let threat = opened.threat()?;
    let attack = climber(settings)?;
    let spec = opened.subject.network.spec();
    threat.fits(spec)?;
    attack.fits(spec, threat)?;
    wanted.fits(spec)?;
    writable("--save", arguments.save.as_ref())?;

    let config = json!({
        "objective": wanted.name(),
        "dictionary": arguments.dictionary,
        "threat": json(threat)?,
        "attack": json(&settings.attack)?,
        "evaluation": json(&settings.evaluation)?,
    });
    let mut begun = opened.begin(RecordKind::Aim, config)?;
    let bar = console.bar(&attack.name(), data.len());
    let running = EvaluationConfig {
        keep: arguments.save.is_some(),
        ..settings.evaluation.clone()
    };
    let found = aim(
        opened.subject.model(),
        data,
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
        opened: &opened,
        threat,
        objective: wanted.as_ref(),
        attack: attack.name(),
        found: &found,
    };
    moved.fill(&mut begun.record)?;
    if let Some(path) = &arguments.save {
        save(path, &opened, threat, found.points.as_deref())?;
    }
    let mut object = begun.object();
    object["objective"] = wanted.name().into();
    if arguments.per_example {
        object["examples"] = json(&found.examples)?;
    }
    let told = Told {
        listing: moved.listing()?,
        examples: arguments.per_example.then(|| moved.examples()),
        object,
    };
    begun.finish(told, console)
}
