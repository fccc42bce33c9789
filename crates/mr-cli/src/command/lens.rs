//! `mr lens`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_circuits::{DirectAttribution, Question, Reading, Streams, TunedLens, direct_attribution};
use mr_metrics::{RecordKind, Short, Table};
use mr_models::objective::{AnswerDifference, Last};
use mr_models::{Input, InputKind, Labels, Model, Network, class_tensor};
use mr_train::{TunedLensConfig, fit_tuned_lens};
use serde_json::{Value, json};

use super::words::Words;
use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::opened::{Opened, Told};
use crate::output::writable;
use crate::report::{Heat, heat};
use crate::settings::Common;
use crate::subject::NetworkFlags;

/// Name of the plot that lies beside a record.
const PLOT: &str = "lens.svg";

/// Read what a language model would say if it stopped halfway, and which part makes it say so
///
/// The logit lens reads every layer's residual stream by the network's own head; a tuned lens translates it
/// first. With --right and --wrong, direct attribution says what each head and each MLP adds to the
/// difference of these two tokens' logits at the last position.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr lens --model runs/bard --text 'ROMEO.'
  mr lens --model gpt2 --tokenizer gpt2/tokenizer.json --text 'The Eiffel Tower is in' --plot lens.svg
  mr lens --model runs/bard --fit shakespeare.txt --tuned lens.safetensors --text 'ROMEO.'
  mr lens --model runs/bard --tuned lens.safetensors --text 'ROMEO.' --json
  mr lens --model runs/induction --text '5 2 7 5' --right 2 --wrong 7 --plot direct.svg")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    /// How text becomes tokens: a tokenizer.json [default: that of the text or the task it learned from, or token ids]
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    tokenizer: Option<PathBuf>,
    /// The text, or words of the task that the network learned, or token ids such as "5 2 7"
    #[arg(long, value_name = "TEXT", help_heading = "Lens")]
    text: String,
    /// A tuned lens; with --fit the file that it is written to
    #[arg(long, value_name = "FILE", help_heading = "Lens")]
    tuned: Option<PathBuf>,
    /// Fit the tuned lens to this text
    #[arg(long, value_name = "FILE", requires = "tuned", help_heading = "Lens")]
    fit: Option<PathBuf>,
    /// Steps of the fit
    #[arg(long, value_name = "N", default_value_t = 250, help_heading = "Lens")]
    steps: usize,
    /// The right next token, as text or id
    #[arg(
        long,
        value_name = "TOKEN",
        requires = "wrong",
        help_heading = "Direct attribution"
    )]
    right: Option<String>,
    /// The wrong next token
    #[arg(
        long,
        value_name = "TOKEN",
        requires = "right",
        help_heading = "Direct attribution"
    )]
    wrong: Option<String>,
    /// Tokens to name at each layer
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Output")]
    top: usize,
    /// Write a heat map into this file: layers by positions, or layers by components
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    writable("--plot", arguments.plot.as_ref())?;
    let opened = Opened::network(&arguments.on, &arguments.common, |_| Ok(()), |_, _| Ok(()))?;
    let network = &opened.subject.network;
    if let InputKind::Real { .. } = network.spec().input {
        bail!(
            "{}: it takes images, and a lens reads the residual stream by the head that names tokens; of images \
             `mr probe` reads every site, and `mr circuit patch` asks what a site carries",
            opened.subject.path
        );
    }
    let words = Words::of(arguments.tokenizer.as_deref(), &opened.subject)?;
    let tokens = words.encode(&arguments.text).context("--text")?;
    if tokens.is_empty() {
        bail!("--text {:?}: no token to read", arguments.text);
    }
    let input = Input::of_tokens(std::slice::from_ref(&tokens), &network.device())?;
    network.spec().accepts(&input).context("--text")?;
    let config = json!({ "lens": {
        "text": arguments.text,
        "tokenizer": arguments.tokenizer,
        "tuned": arguments.tuned,
        "fit": arguments.fit,
        "steps": arguments.fit.is_some().then_some(arguments.steps),
        "right": arguments.right,
        "wrong": arguments.wrong,
        "top": arguments.top,
    } });
    let mut begun = opened.begin(RecordKind::Lens, config)?;
    let shown = match (&arguments.right, &arguments.wrong) {
        (Some(right), Some(wrong)) => direct(
            arguments,
            network,
            &words,
            &input,
            [right.as_str(), wrong.as_str()],
        )?,
        _ => read(arguments, network, &words, &tokens, console)?,
    };
    begun.draw(PLOT, &heat(&shown.heat), arguments.plot.as_ref())?;
    for (name, value) in shown.numbers {
        begun.record.number(&name, value);
    }
    begun.record.tables.insert("lens".into(), shown.table);
    let told = Told {
        listing: shown.listing,
        examples: None,
        object: shown.object,
    };
    begun.finish(told, console)
}

/// What came out.
struct Shown {
    listing: Listing,
    heat: Heat,
    /// For a record.
    numbers: Vec<(String, f64)>,
    table: Table,
    object: Value,
}

fn title(arguments: &Arguments, about: &str) -> String {
    format!("{}, {about}", arguments.on.model.display())
}

fn read(
    arguments: &Arguments,
    network: &Network,
    words: &Words,
    tokens: &[usize],
    console: &Console,
) -> Result<Shown> {
    let input = Input::of_tokens(&[tokens.to_vec()], &network.device())?;
    let streams = Streams::of(network, &input)?;
    let tuned = tuned(arguments, network, words, &streams, console)?;
    let lens = if tuned.is_some() {
        "tuned lens"
    } else {
        "logit lens"
    };
    let mut layers: Vec<Vec<Reading>> = Vec::new();
    for (layer, stream) in streams.values().iter().enumerate() {
        let stream = match &tuned {
            Some(lens) => lens.translated(layer, stream.clone()),
            None => stream.clone(),
        };
        let logits = streams.unembedded(stream);
        layers.extend(streams.read(&logits, arguments.top.max(1)));
    }
    // What is no number counts for nothing in an entropy.
    let is_finite = |reading: &Reading| reading.top.iter().all(|(_, p)| p.is_finite());
    if let Some(layer) = layers.iter().position(|row| !row.iter().all(is_finite)) {
        bail!("the reading before layer {layer} is not finite: are all activations?");
    }
    let title = title(arguments, &format!("{lens} of {:?}", arguments.text));
    let last = layers.len() - 1;
    let names: Vec<String> = (0..layers.len())
        .map(|layer| {
            if layer == last {
                "output".into()
            } else {
                format!("layer {layer}")
            }
        })
        .collect();
    let mut listing = Listing::new(format!("{title}, at the last position"));
    let headings = ["before", "likeliest next", "entropy", "KL from the output"];
    listing.row(headings.map(String::from));
    let mut table = Table {
        columns: headings.map(String::from).into(),
        rows: Vec::new(),
    };
    let mut numbers = Vec::new();
    for (name, positions) in names.iter().zip(&layers) {
        let Some(reading) = positions.last() else {
            continue;
        };
        let top = reading.top.iter();
        let top = top.map(|&(token, p)| format!("{} {:.0} %", words.word(token), 100.0 * p));
        let top: Vec<String> = top.collect();
        let short = |value: f32| Short(f64::from(value)).to_string();
        let top = top.join(", ");
        let numbered = [reading.entropy, reading.divergence];
        table.rows.push(vec![
            name.as_str().into(),
            top.as_str().into(),
            numbered[0].into(),
            numbered[1].into(),
        ]);
        let divergence = f64::from(reading.divergence);
        numbers.push((format!("{name}.divergence"), divergence));
        listing.row([name.clone(), top, short(numbered[0]), short(numbered[1])]);
    }
    let cells = |of: &dyn Fn(&Reading) -> Value| -> Value {
        layers
            .iter()
            .map(|row| row.iter().map(of).collect::<Vec<_>>())
            .collect()
    };
    let word = |token: usize| words.word(token);
    let object = json!({
        "title": title,
        "lens": lens,
        "tokens": tokens,
        "layers": names,
        "top": cells(&|r| r.top.iter().map(|&(token, p)| json!({
            "token": token, "text": word(token), "probability": p,
        })).collect()),
        "entropy": cells(&|r| json!(r.entropy)),
        "divergence": cells(&|r| json!(r.divergence)),
    });
    // The output on top, as a network is drawn.
    let rows = || layers.iter().rev();
    let heat = Heat {
        title,
        about: "probability of the likeliest next token, by position".into(),
        rows: names.into_iter().rev().collect(),
        columns: tokens.iter().map(|&token| word(token)).collect(),
        values: rows()
            .map(|row| row.iter().map(|r| r.top[0].1).collect())
            .collect(),
        labels: rows()
            .map(|row| row.iter().map(|r| word(r.top[0].0)).collect())
            .collect(),
    };
    Ok(Shown {
        listing,
        heat,
        numbers,
        table,
        object,
    })
}

/// The tuned lens that is asked for, fitted or read.
fn tuned(
    arguments: &Arguments,
    network: &Network,
    words: &Words,
    streams: &Streams<'_>,
    console: &Console,
) -> Result<Option<TunedLens>> {
    let Some(path) = &arguments.tuned else {
        return Ok(None);
    };
    let Some(file) = &arguments.fit else {
        return Ok(Some(TunedLens::load(path, streams)?));
    };
    writable("--tuned", Some(path))?;
    let text =
        std::fs::read_to_string(file).with_context(|| format!("--fit {}", file.display()))?;
    let tokens = words.encode(&text).context("--fit")?;
    let InputKind::Tokens { positions, .. } = network.spec().input else {
        bail!("a lens reads text");
    };
    let sequences: Vec<Vec<usize>> = tokens
        .chunks_exact(positions)
        .map(<[usize]>::to_vec)
        .collect();
    if sequences.is_empty() {
        bail!(
            "--fit {}: {} tokens are not one sequence of {positions}",
            file.display(),
            tokens.len()
        );
    }
    let input = Input::of_tokens(&sequences, &network.device())?;
    let config = TunedLensConfig {
        steps: arguments.steps,
        ..TunedLensConfig::default()
    };
    let bar = console.bar("tuned lens", arguments.steps);
    let lens = fit_tuned_lens(network, &input, &config, &mut |done, _| {
        bar.at(done, String::new);
    })?;
    let about = serde_json::to_string(&config)?;
    lens.save(&[("config", &about)], path)?;
    Ok(Some(lens))
}

fn direct(
    arguments: &Arguments,
    network: &Network,
    words: &Words,
    input: &Input,
    answers: [&str; 2],
) -> Result<Shown> {
    let classes = network.spec().classes;
    let answer = |flag: &str, text: &str| -> Result<usize> {
        let tokens = words.encode(text).with_context(|| flag.to_string())?;
        let [token] = tokens.as_slice() else {
            bail!("{flag} {text:?}: {} tokens, must be one", tokens.len());
        };
        if *token >= classes {
            bail!("{flag} {text}: the vocabulary is 0 to {}", classes - 1);
        }
        Ok(*token)
    };
    let (right, wrong) = (
        answer("--right", answers[0])?,
        answer("--wrong", answers[1])?,
    );
    let device = network.device();
    let labels = Labels::of_classes(&[right], &device).with_target(class_tensor(&[wrong], &device));
    let objective = Last {
        of: std::sync::Arc::new(AnswerDifference),
    };
    let found = direct_attribution(Question::new(network, &objective, &labels), input)?;
    let about = format!(
        "direct attribution of {} - {} after {:?}",
        words.word(right),
        words.word(wrong),
        arguments.text
    );
    let title = title(arguments, &about);
    let values = found.means();
    let parts = values.iter().chain(&found.total).chain(&found.constant);
    if let Some(value) = parts.copied().find(|value| !value.is_finite()) {
        bail!("a component adds {value} to the logits: are all activations finite?");
    }
    let mut listing = Listing::new(title.clone());
    listing.row(["component", "logit difference"].map(String::from));
    for (name, value) in found.components.iter().zip(&values) {
        listing.row([name.clone(), Short(f64::from(*value)).to_string()]);
    }
    for (name, value) in [
        ("terms", found.constant[0]),
        ("sum", found.total[0]),
        ("missed", found.completeness_error()),
    ] {
        listing.row([name.to_string(), Short(f64::from(value)).to_string()]);
    }
    let parts: Vec<Value> = (found.components.iter().zip(&values))
        .map(|(name, value)| json!({ "component": name, "value": value }))
        .collect();
    let table = Table {
        columns: ["component", "logit difference"].map(String::from).into(),
        rows: (found.components.iter().zip(&values))
            .map(|(name, &value)| vec![name.as_str().into(), value.into()])
            .collect(),
    };
    let numbers = [
        ("total", found.total[0]),
        ("constant", found.constant[0]),
        ("completeness_error", found.completeness_error()),
    ];
    let object = json!({
        "title": title,
        "right": right,
        "wrong": wrong,
        "total": found.total[0],
        "constant": found.constant[0],
        "completeness_error": found.completeness_error(),
        "components": parts,
    });
    Ok(Shown {
        listing,
        heat: by_layer(title, &found, &values),
        numbers: numbers
            .map(|(name, value)| (name.to_string(), f64::from(value)))
            .into(),
        table,
        object,
    })
}

/// Layers by heads and MLP, the last layer on top.
fn by_layer(title: String, found: &DirectAttribution, values: &[f32]) -> Heat {
    let mut rows: Vec<(String, Vec<(String, f32)>)> = Vec::new();
    for (name, &value) in found.components.iter().zip(values) {
        let (block, head) = name.split_once('.').unwrap_or((name, "MLP"));
        let Some(layer) = block
            .get(1..)
            .filter(|layer| layer.parse::<usize>().is_ok())
        else {
            continue;
        };
        let row = format!("layer {layer}");
        let column = match head.strip_prefix('h') {
            Some(number) => format!("head {number}"),
            None => head.to_string(),
        };
        match rows.last_mut() {
            Some((last, cells)) if *last == row => cells.push((column, value)),
            _ => rows.push((row, vec![(column, value)])),
        }
    }
    let columns: Vec<String> = rows.first().map_or(Vec::new(), |(_, cells)| {
        cells.iter().map(|(column, _)| column.clone()).collect()
    });
    let values = rows.iter().rev();
    let values = values.map(|(_, cells)| cells.iter().map(|(_, value)| *value).collect());
    Heat {
        title,
        about: "added to the logit difference".into(),
        values: values.collect(),
        rows: rows.iter().rev().map(|(row, _)| row.clone()).collect(),
        columns,
        labels: Vec::new(),
    }
}
