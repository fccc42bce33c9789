//! `mr eval`.

use std::time::Instant;

use anyhow::Result;
use burn::tensor::Tensor;
use clap::Args;
use mr_attacks::{AttackError, Workers};
use mr_metrics::stats::wilson;
use mr_metrics::{RecordKind, Series, Short, Table};
use mr_models::data::{Dataset, load};
use mr_models::objective::{CrossEntropy, SquaredError};
use mr_models::{Cache, Idle, Objective, floats, predictions};
use serde_json::{Value, json};

use super::LEVEL;
use crate::console::{Console, Outcome};
use crate::layout::{Listing, Percent, plural};
use crate::output::{Output, draft};
use crate::settings::{Common, DataFlags, RunFlags, Settings};
use crate::subject::{ModelFlags, Subject, json};

/// Judge a network on clean data
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr eval --model runs/half
  mr eval --model lenet5/mnist_lenet5_clntrained.safetensors --arch lenet5 --data mnist
  mr eval --model runs/half --split train --limit 1000 --json
  mr eval --model runs/half --defence noise=0.1")]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    running: RunFlags,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let mut layers = arguments.common.layers()?;
    arguments.data.apply(&mut layers)?;
    arguments.running.apply(&mut layers)?;
    let (subject, device) = Subject::open(&arguments.model, &mut layers)?;
    let settings = Settings::of(layers)?;
    let data = load(&settings.data, settings.split)?;
    subject.takes(&data)?;

    let config = json!({
        "data": json(&settings.data)?,
        "split": settings.split,
        "evaluation": json(&settings.evaluation)?,
        "trained": subject.trained,
    });
    let seed = settings.seed.unwrap_or(0);
    let name = settings.name.as_deref();
    let mut record = draft(RecordKind::Eval, name, config, seed, &device.name);
    let overwrite = arguments.common.overwrite;
    let output = settings.out.as_ref();
    let output = output
        .map(|out| Output::open(out, &record, overwrite))
        .transpose()?;

    let started = Instant::now();
    let judged = judge(&subject, &data, &settings, console)?;
    let seconds = started.elapsed().as_secs_f64();

    let title = format!(
        "{} on {} ({})",
        subject.title(),
        data.name(),
        plural(data.len(), "example")
    );
    let mut listing = Listing::new(title);
    let mut object = json!({
        "n": data.len(),
        "defence": json(&subject.defences)?,
        "seed": seed,
        "device": device.name,
    });
    if subject.is_autoencoder() {
        record.number("reconstruction_error", judged.loss);
        object["reconstruction_error"] = judged.loss.into();
        listing.line("reconstruction error", Short(judged.loss));
    } else {
        let right = judged.predicted.iter().zip(data.labels());
        let right = right
            .filter(|(predicted, label)| predicted == label)
            .count();
        let accuracy = wilson(right, data.len(), LEVEL)?;
        record.number("clean_accuracy", accuracy);
        record.number("loss", judged.loss);
        object["clean_accuracy"] = accuracy.value.into();
        object["clean_interval"] = json!(accuracy.ends());
        object["loss"] = judged.loss.into();
        listing.line("clean accuracy", Percent(accuracy));
        listing.line("cross-entropy", Short(judged.loss));
        let classes = by_class(&data, &judged.predicted);
        let shares = classes.rows.iter().filter_map(|row| row[3].as_f64());
        let shares: Vec<f64> = shares.collect();
        let numbers = (0..shares.len()).map(|class| class as f64).collect();
        record.curve("class_accuracy", Series::new("class", numbers, shares))?;
        object["classes"] = json!(
            classes
                .rows
                .iter()
                .map(|row| json!({ "class": row[0], "n": row[1], "right": row[2] }))
                .collect::<Vec<Value>>()
        );
        for row in &classes.rows {
            let name = row[0].as_str().unwrap_or_default();
            let share = row[3].as_f64();
            let share = share.map_or("-".into(), |share| format!("{:.2} %", 100.0 * share));
            listing.line(format!("  {name}"), share);
        }
        record.tables.insert("classes".into(), classes);
    }
    listing.line("time", format!("{seconds:.1} s"));
    object["seconds"] = seconds.into();
    if let Some(output) = &output {
        output.write(&record)?;
        object["out"] = json!(settings.out);
    }
    console.say(listing);
    console.object(&object)?;
    Ok(Outcome::Done)
}

struct Judged {
    predicted: Vec<usize>,
    /// Mean over examples.
    loss: f64,
}

fn judge(
    subject: &Subject,
    data: &Dataset,
    settings: &Settings,
    console: &Console,
) -> Result<Judged, AttackError> {
    let size = settings.evaluation.batch_size;
    if size == 0 {
        return Err(AttackError::Setting {
            what: "batch_size",
            value: "0".into(),
            valid: "at least 1".into(),
        });
    }
    let bar = console.bar("eval", data.len());
    let batches = data.len().div_ceil(size);
    let done = std::sync::atomic::AtomicUsize::new(0);
    let model = subject.model();
    let device = model.device();
    let seed = settings.evaluation.seed;
    let parts = Workers::new(settings.evaluation.threads).map(batches, |batch| {
        let rows: Vec<usize> = (batch * size..data.len().min((batch + 1) * size)).collect();
        let input = data.input(&rows, &device);
        let mut labels = data.labels_of(&rows, &device);
        // What is random in a defence is drawn for each example, whatever its batch.
        let own = rows
            .iter()
            .map(|&row| seed ^ (data.number(row) + 1).rotate_left(32));
        let keys: Vec<u64> = own.collect();
        let logits = model.run_drawn(&input, &keys, &mut Idle);
        let [count, positions, classes] = logits.dims();
        let values = floats(logits.clone());
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(AttackError::NotFinite {
                example: rows[at / (positions * classes)],
                value: values[at],
            });
        }
        let losses: Tensor<1> = if subject.is_autoencoder() {
            let reference = input.real().reshape([count, positions, classes]);
            labels = labels.with_reference(reference);
            SquaredError::default().value(&logits, &Cache::default(), &labels)
        } else {
            CrossEntropy.value(&logits, &Cache::default(), &labels)
        };
        let predicted: Vec<usize> = predictions(&logits).iter().map(|row| row[0]).collect();
        let before = done.fetch_add(rows.len(), std::sync::atomic::Ordering::Relaxed);
        bar.at(before + rows.len(), String::new);
        Ok((predicted, floats(losses)))
    })?;
    let (predicted, losses): (Vec<Vec<usize>>, Vec<Vec<f32>>) = parts.into_iter().unzip();
    let total: f64 = losses.iter().flatten().map(|&loss| f64::from(loss)).sum();
    Ok(Judged {
        predicted: predicted.concat(),
        loss: total / data.len() as f64,
    })
}

/// Class, examples, right ones and their share.
fn by_class(data: &Dataset, predicted: &[usize]) -> Table {
    let mut counts = vec![(0_usize, 0_usize); data.classes()];
    for (&label, &predicted) in data.labels().iter().zip(predicted) {
        counts[label].0 += 1;
        counts[label].1 += usize::from(label == predicted);
    }
    let rows = data
        .class_names()
        .iter()
        .zip(counts)
        .map(|(name, (n, right))| {
            let share = if n == 0 {
                Value::Null
            } else {
                (right as f64 / n as f64).into()
            };
            vec![name.as_str().into(), n.into(), right.into(), share]
        });
    Table {
        columns: ["class", "n", "right", "accuracy"]
            .map(String::from)
            .to_vec(),
        rows: rows.collect(),
    }
}
