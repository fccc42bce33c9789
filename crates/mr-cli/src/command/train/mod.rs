//! `mr train`.

mod source;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_metrics::stats::wilson;
use mr_metrics::{ExperimentRecord, Number, RecordKind, Series, Short};
use mr_models::Network;
use mr_train::{CHECKPOINT, Ending, Foretold, Sighting, Trained, Trainer};
use serde_json::{Map, Value, json};

use self::source::Source;
use super::LEVEL;
use crate::console::{Console, Outcome};
use crate::device;
use crate::interrupt;
use crate::layout::Listing;
use crate::output::{Output, draft};
use crate::preset;
use crate::settings::{Common, DataFlags, Layers, Settings};
use crate::subject::{MODEL_FILE, json};

/// Train a network; a run that was killed goes on where it was
///
/// The folder then holds the network (model.safetensors, which says itself how it was made) and the
/// record of the run (record.json). The same command writes the same bytes, killed or not.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr train --arch mlp --epochs 5 --out runs/mlp
  mr train --config half.toml --seed 1 --out runs/half-1
  mr train --config toy.toml --set data.density=0.1 --set train.loss.rho=0.3 --out runs/toy
  mr train --arch lenet5 --data mnist --set train.loss.type=adversarial \\
           --set train.loss.threat='{norm=\"Linf\", epsilon=0.1}' --out runs/robust
  mr train --arch mlp --set train.loss.type=ibp --epochs 20 --out runs/certified
  mr train --arch transformer --data repeated --layers 2 --set model.d_mlp=0 --out runs/induction
  mr train --arch transformer --data shakespeare --set data.context=128 --steps 2000 --out runs/bard
  mr train --arch mlp --set train.loss.type=trades --set train.weight_perturbation.gamma=0.01 --out runs/awp

Losses (train.loss.type): cross-entropy, adversarial, trades, mart, fast, free, ibp, input-gradient,
reconstruction. Their settings: see `mr_train::LossConfig`; a wrong key is answered with the valid ones.")]
pub(crate) struct Arguments {
    /// Network; see `mr models` [default: the [model] table]
    #[arg(long, value_name = "NAME", help_heading = "Training")]
    arch: Option<String>,
    /// Blocks of a transformer
    #[arg(
        long,
        value_name = "N",
        help_heading = "Training",
        allow_negative_numbers = true
    )]
    layers: Option<i64>,
    /// Passes over the data
    #[arg(
        long,
        value_name = "N",
        help_heading = "Training",
        conflicts_with = "steps",
        allow_negative_numbers = true
    )]
    epochs: Option<i64>,
    /// Steps of the optimizer, instead of epochs
    #[arg(
        long,
        value_name = "N",
        help_heading = "Training",
        allow_negative_numbers = true
    )]
    steps: Option<i64>,
    /// Examples per step
    #[arg(
        long,
        value_name = "N",
        help_heading = "Training",
        allow_negative_numbers = true
    )]
    batch_size: Option<i64>,
    /// Learning rate at the top of its schedule
    #[arg(
        long,
        value_name = "R",
        help_heading = "Training",
        allow_negative_numbers = true
    )]
    lr: Option<f64>,
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    common: Common,
}

impl Arguments {
    fn layers(&self) -> Result<Layers> {
        let mut layers = self.common.layers()?;
        self.data.apply(&mut layers)?;
        if let Some(name) = &self.arch {
            let mut table = toml::Table::try_from(preset::named(name)?).context("--arch")?;
            // These are the data's to say.
            for key in ["input", "features", "classes", "causal"] {
                table.remove(key);
            }
            layers.replace("model", table.into(), "--arch")?;
        }
        layers.flag("--layers", "model.layers", self.layers)?;
        for (given, other) in [(self.epochs, "train.steps"), (self.steps, "train.epochs")] {
            if given.is_some() {
                layers.remove(other);
            }
        }
        layers.flag("--epochs", "train.epochs", self.epochs)?;
        layers.flag("--steps", "train.steps", self.steps)?;
        layers.flag("--batch-size", "train.batch_size", self.batch_size)?;
        if self.lr.is_some() {
            layers.beneath("train.optimizer.type", "adamw");
        }
        layers.flag("--lr", "train.optimizer.lr", self.lr)?;
        Ok(layers)
    }
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let mut layers = arguments.layers()?;
    let device = device::open(layers.text("device"))?;
    let source = Source::of(&layers)?;
    source.fit(&mut layers);
    let settings = Settings::of(layers)?;
    let Some(architecture) = settings.model.clone() else {
        bail!(
            "no model: name one with --arch ({}) or a [model] table",
            preset::names().collect::<Vec<_>>().join(", ")
        );
    };
    let Some(out) = &settings.out else {
        bail!("no folder to train into: name one with --out DIR");
    };
    let seed = settings.seed.unwrap_or(settings.train.seed);
    let config = json!({
        "model": json(&architecture)?,
        "data": json(&settings.data)?,
        "train": json(&settings.train)?,
    });
    let name = settings.name.as_deref();
    let mut record = draft(RecordKind::Train, name, config, seed, &device.name);
    let network = Network::init(architecture, seed, &device.device)?;
    record.number("parameters", network.weights().parameters() as f64);
    let trainer = Trainer::new(settings.train.clone(), network, source.data())?;
    let output = Output::open(out, &record, arguments.common.overwrite)?;
    if let Some(done) = finished(&output, arguments.common.overwrite)? {
        console.note(format!("{}: already trained", out.display()));
        return report(&done, out, None, console);
    }

    let parameters = record.numbers["parameters"].value.unwrap_or_default();
    tracing::info!(
        "{parameters} parameters on `{}`, {}, {} steps",
        settings.data.name,
        device.name,
        trainer.steps()
    );
    let trainer = trainer.resume_or_start(out)?;
    if trainer.step() > 0 {
        let (step, steps) = (trainer.step(), trainer.steps());
        console.note(format!(
            "{}: goes on at step {step} of {steps}",
            out.display()
        ));
    }
    interrupt::catch();
    let started = Instant::now();
    let steps = trainer.steps();
    let bar = console.bar("train", steps);
    let mut reached = trainer.step();
    let trained = trainer.run(&mut |now| {
        reached = now.step;
        bar.at(now.step, || match now.history.losses.last() {
            Some(last) => format!("loss {}", Short(f64::from(last.loss))),
            None => String::new(),
        });
        if interrupt::asked() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    drop(bar);
    if trained.ending == Ending::Stopped {
        console.note(format!(
            "stopped at step {reached} of {steps}, which is kept in {}: the same command goes on \
             from there: {}",
            out.display(),
            record.command.join(" ")
        ));
        return Ok(Outcome::Interrupted);
    }
    fill(&mut record, &trained)?;
    if let Some(test) = source.test() {
        let found = Foretold::of(&trained.network, test)?;
        let accuracy = wilson(found.right, found.tokens, LEVEL)?;
        record.number("test.accuracy", accuracy);
        record.number("test.bits_per_token", found.bits_per_token);
    }
    let about = about(&record, trained.step);
    mr_models::save(&trained.network, &about, &output.path(MODEL_FILE))
        .context("the network is not written, its checkpoint is kept")?;
    record.artifacts.insert("model".into(), MODEL_FILE.into());
    output.write(&record)?;
    let checkpoint = output.path(CHECKPOINT);
    std::fs::remove_file(&checkpoint).with_context(|| checkpoint.display().to_string())?;
    report(&record, out, Some(started.elapsed().as_secs_f64()), console)
}

/// The record of this very run, if it came to its end before.
fn finished(output: &Output, overwrite: bool) -> Result<Option<ExperimentRecord>> {
    let model = output.path(MODEL_FILE);
    let begun = output.path(CHECKPOINT).exists();
    match &output.before {
        _ if begun || overwrite || !model.exists() => Ok(None),
        Some(record) => Ok(Some(record.clone())),
        None => bail!(
            "{} is there and no record says of which run: name another folder with --out, or \
             replace it with --overwrite",
            model.display()
        ),
    }
}

/// What the network's file says of how it was made.
fn about(record: &ExperimentRecord, step: usize) -> Map<String, Value> {
    let mut about = Map::new();
    about.insert("name".into(), record.name.clone().into());
    about.insert("seed".into(), record.seed.into());
    about.insert("step".into(), step.into());
    for table in ["data", "train"] {
        about.insert(table.into(), record.config[table].clone());
    }
    about
}

fn fill(record: &mut ExperimentRecord, trained: &Trained) -> Result<()> {
    record.number("steps", trained.step as f64);
    let losses = &trained.history.losses;
    if let Some(last) = losses.last() {
        record.number("loss", f64::from(last.loss));
        let steps = losses.iter().map(|mean| mean.step as f64).collect();
        let values = losses.iter().map(|mean| f64::from(mean.loss)).collect();
        record.curve("loss", Series::new("step", steps, values))?;
    }
    let (mut clean, mut robust) = (Vec::new(), Vec::new());
    for judgement in &trained.history.judgements {
        let step = judgement.step as f64;
        let share = |right| wilson(right, judgement.examples, LEVEL);
        clean.push((step, share(judgement.clean)?));
        if let Some(right) = judgement.robust {
            robust.push((step, share(right)?));
        }
    }
    for (name, points) in [("clean", clean), ("robust", robust)] {
        let kept = points.iter().find(|(step, _)| *step == trained.step as f64);
        if let Some((_, accuracy)) = kept {
            record.number(
                &format!("validation.{name}_accuracy"),
                Number::from(*accuracy),
            );
            let series = Series::of_intervals("step", &points);
            record.curve(&format!("validation.{name}_accuracy"), series)?;
        }
    }
    let judgements = trained.history.judgements.iter();
    let bits: Vec<(f64, f64)> = judgements
        .filter_map(|judged| Some((judged.step as f64, judged.bits_per_token?)))
        .collect();
    if let Some((_, kept)) = bits.iter().find(|(step, _)| *step == trained.step as f64) {
        record.number("validation.bits_per_token", *kept);
        let (steps, bits) = bits.iter().copied().unzip();
        record.curve(
            "validation.bits_per_token",
            Series::new("step", steps, bits),
        )?;
    }
    overfitting(record, trained)?;
    let overfitted = trained
        .history
        .sightings
        .last()
        .is_some_and(|s| s.overfitted);
    if trained.ending == Ending::Early && !overfitted {
        record.notes.push(
            "training stopped early: its validation found nothing better for as long as its \
             patience lasted"
                .into(),
        );
    }
    Ok(())
}

/// What the canary of fast adversarial training saw.
fn overfitting(record: &mut ExperimentRecord, trained: &Trained) -> Result<()> {
    let sightings = &trained.history.sightings;
    let share = |right, seen: &Sighting| wilson(right, seen.examples, LEVEL);
    for (name, right) in [
        (
            "one_step",
            (|s: &Sighting| s.one_step) as fn(&Sighting) -> usize,
        ),
        ("many_steps", |s: &Sighting| s.many_steps),
    ] {
        let points = sightings
            .iter()
            .map(|seen| Ok((seen.step as f64, share(right(seen), seen)?)))
            .collect::<Result<Vec<_>>>()?;
        if !points.is_empty() {
            let series = Series::of_intervals("step", &points);
            record.curve(&format!("canary.{name}_accuracy"), series)?;
        }
    }
    if let Some(seen) = sightings.iter().find(|seen| seen.overfitted) {
        let after = match trained.ending {
            Ending::Early => format!(
                "training stopped, and the state of step {} is kept",
                trained.step
            ),
            _ => "more steps or a smaller step would help; loss.canary.then = \"stop\" stops there"
                .into(),
        };
        record.warnings.push(format!(
            "the network overfitted to one step: at step {} {} of {} held-out examples withstand it, \
             {} withstand PGD; {after}",
            seen.step, seen.one_step, seen.examples, seen.many_steps
        ));
    }
    Ok(())
}

fn report(
    record: &ExperimentRecord,
    out: &Path,
    seconds: Option<f64>,
    console: &Console,
) -> Result<Outcome> {
    let mut listing = Listing::new(out.join(MODEL_FILE).display().to_string());
    for (name, number) in &record.numbers {
        let value = number.value.unwrap_or(f64::NAN);
        listing.line(name.replace('_', " "), Short(value));
    }
    if let Some(seconds) = seconds {
        listing.line("time", format!("{seconds:.1} s"));
    }
    for note in &record.notes {
        listing.line("note", note);
    }
    console.say(listing);
    for warning in &record.warnings {
        console.warn(warning);
    }
    let mut object = record.to_json();
    object["seconds"] = json!(seconds);
    object["out"] = json!(out);
    console.object(&object)?;
    Ok(Outcome::Done)
}
