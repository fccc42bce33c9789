//! `mr eval`.

use anyhow::{Result, bail};
use burn::tensor::Tensor;
use clap::Args;
use mr_attacks::AttackError;
use mr_metrics::stats::wilson;
use mr_metrics::{RecordKind, Series, Short, Table};
use mr_models::data::{Dataset, Sequences, load, load_sequences};
use mr_models::objective::{CrossEntropy, SquaredError};
use mr_models::{Cache, Idle, Objective, Workers, floats, predictions};
use mr_train::Foretold;
use serde_json::{Value, json};

use super::LEVEL;
use crate::console::{Console, Outcome};
use crate::layout::{Listing, Percent};
use crate::opened::{Examples, Opened, Told};
use crate::settings::{RunFlags, Settings};
use crate::subject::{Subject, SubjectFlags, json};

/// Judge a network on clean data
///
/// Of images and vectors it says the accuracy, of text and tasks of language how well the network foretells the
/// tokens that can be known from what stands before.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr eval --model runs/half
  mr eval --model lenet5/mnist_lenet5_clntrained.safetensors --arch lenet5 --data mnist
  mr eval --model runs/half --split train --limit 1000 --json
  mr eval --model runs/bard --limit 500
  mr eval --model runs/half --defence noise=0.1")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: SubjectFlags,
    #[command(flatten)]
    running: RunFlags,
}

/// What a network is judged on.
enum Known {
    Examples(Dataset),
    Sequences(Sequences),
}

impl Known {
    fn load(settings: &Settings, subject: &Subject) -> Result<Self> {
        if settings.data.is_sequences() {
            return Ok(Self::Sequences(load_sequences(
                &settings.data,
                settings.split,
            )?));
        }
        let data = load(&settings.data, settings.split)?;
        subject.takes(&data)?;
        Ok(Self::Examples(data))
    }
}

impl Examples for Known {
    fn name(&self) -> &str {
        match self {
            Self::Examples(data) => data.name(),
            Self::Sequences(data) => data.name(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Examples(data) => data.len(),
            Self::Sequences(data) => data.len(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let (on, running) = (&arguments.on, &arguments.running);
    let opened = Opened::with(on, running, |_| Ok(()), Known::load)?;
    let (data, opened) = opened.put(());
    match data {
        Known::Examples(data) => of_examples(&opened.put(data).1, console),
        Known::Sequences(data) => of_sequences(&opened.put(data).1, console),
    }
}

/// How well a language model foretells the tokens that can be known.
fn of_sequences(opened: &Opened<Sequences>, console: &Console) -> Result<Outcome> {
    let config = json!({ "evaluation": json(&opened.settings.evaluation)? });
    let mut begun = opened.begin(RecordKind::Eval, config)?;
    let found = Foretold::of(opened.subject.model(), &opened.data)?;
    if !found.bits_per_token.is_finite() {
        bail!(
            "the surprise of a token is {} bits: are all weights finite?",
            found.bits_per_token
        );
    }
    let accuracy = wilson(found.right, found.tokens, LEVEL)?;
    let perplexity = found.bits_per_token.exp2();
    let record = &mut begun.record;
    record.number("token_accuracy", accuracy);
    record.number("tokens", found.tokens as f64);
    record.number("bits_per_token", found.bits_per_token);
    record.number("perplexity", perplexity);
    let mut listing = Listing::new(opened.title());
    listing.line("tokens that can be known", found.tokens);
    listing.line("of these right", Percent(accuracy));
    listing.line("bits per token", Short(found.bits_per_token));
    listing.line("perplexity", Short(perplexity));
    let told = Told {
        listing,
        examples: None,
        object: begun.object(),
    };
    begun.finish(told, console)
}

fn of_examples(opened: &Opened, console: &Console) -> Result<Outcome> {
    let (subject, data, settings) = (&opened.subject, &opened.data, &opened.settings);
    let config = json!({ "evaluation": json(&settings.evaluation)? });
    let mut begun = opened.begin(RecordKind::Eval, config)?;
    let judged = judge(opened, console)?;

    let record = &mut begun.record;
    let mut listing = Listing::new(opened.title());
    let mut object = json!({
        "n": data.len(),
        "defence": json(&subject.defences)?,
        "seed": settings.seed.unwrap_or(0),
        "device": opened.device.name,
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
        let classes = by_class(data, &judged.predicted);
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
    let told = Told {
        listing,
        examples: None,
        object,
    };
    begun.finish(told, console)
}

struct Judged {
    predicted: Vec<usize>,
    /// Mean over examples.
    loss: f64,
}

fn judge(opened: &Opened, console: &Console) -> Result<Judged, AttackError> {
    let (subject, data, settings) = (&opened.subject, &opened.data, &opened.settings);
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
