//! `mr sae train`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};
use mr_metrics::{ExperimentRecord, RecordKind, Series, Short, Table};
use mr_models::{Model, Network};
use mr_sae::Means;
use mr_train::{
    CHECKPOINT, Fitted, FittedSae, Live, Plan, Shards, Stream, Tap, Taps, fit, on_host,
    write_shards,
};
use serde_json::{Map, Value, json};

use super::fed::Fed;
use super::held::DICTIONARY;
use crate::console::{Console, Outcome};
use crate::interrupt;
use crate::layout::Listing;
use crate::opened::{Begun, Examples, Opened, Told};
use crate::report::lines;
use crate::settings::{Common, DataFlags, Layers};
use crate::subject::{NetworkFlags, digest, json};

/// Name of the plot that lies beside a record.
const PLOT: &str = "fit.svg";

/// Fit sparse dictionaries to what passes a site of a network
///
/// Kinds are relu (l1), gated, top-k, batch-top-k, jump-relu and matryoshka. Several dictionaries, of several --kind, --k or
/// --sparsity, are fitted at once to the same activations. With --writes a dictionary is a transcoder from one site to
/// another; with several --site, or the same site of --other, a crosscoder. A fit that was stopped goes on where it was when
/// the same command is given again. Anything else is set in the tables [sae], [sae.length] and [sae.fit].
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr sae train --model runs/half --site conv2.hook_out --k 8 --width 256 --steps 2000 --out runs/dictionary
  mr sae train --model runs/bard --site blocks.1.hook_resid_post --k 8,16,32 --buffer 20000 --out runs/three
  mr sae train --model runs/half --site conv2.hook_out --kind top-k,relu,jump-relu --out runs/kinds
  mr sae train --model runs/bard --site blocks.0.ln2.hook_normalized --writes blocks.0.hook_mlp_out --out runs/transcoder
  mr sae train --model runs/s0 --other runs/s1 --site conv2.hook_out --out runs/crosscoder
  mr sae train --model runs/bard --site blocks.1.hook_resid_post --shards activations --config sae.toml --out runs/big")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    #[command(flatten)]
    data: DataFlags,
    /// Part of the data: train or test [default: train]
    #[arg(long, value_name = "PART", help_heading = "Data")]
    split: Option<String>,
    /// The site that is read; of a crosscoder several, with commas between
    #[arg(
        long,
        value_name = "SITE",
        alias = "reads",
        alias = "sites",
        value_delimiter = ',',
        help_heading = "Dictionary"
    )]
    site: Vec<String>,
    /// The site that a transcoder writes
    #[arg(long, value_name = "SITE", help_heading = "Dictionary")]
    writes: Option<String>,
    /// Put a linear map beside a transcoder
    #[arg(long, help_heading = "Dictionary")]
    skip: bool,
    /// A second network of the same architecture, whose site a crosscoder reads too
    #[arg(
        long,
        value_name = "FILE|DIR",
        conflicts_with = "writes",
        help_heading = "Dictionary"
    )]
    other: Option<PathBuf>,
    /// Encode with the decoder's transpose
    #[arg(long, help_heading = "Dictionary")]
    tied: bool,
    /// Kinds of dictionaries, with commas between [default: top-k]
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "Dictionary"
    )]
    kind: Vec<String>,
    /// Latents [default: 8 per channel]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Dictionary"
    )]
    width: Option<i64>,
    /// Active latents of top-k, batch-top-k and matryoshka dictionaries, with commas between [default: 32]
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = "Dictionary"
    )]
    k: Vec<f64>,
    /// What activity costs in relu, gated and jump-relu dictionaries, with commas between
    #[arg(
        long,
        value_name = "R",
        value_delimiter = ',',
        allow_negative_numbers = true,
        help_heading = "Dictionary"
    )]
    sparsity: Vec<f64>,
    /// Steps [default: 10000]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Fit"
    )]
    steps: Option<i64>,
    /// Samples per step [default: 4096]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Fit"
    )]
    batch_size: Option<i64>,
    /// Learning rate at the top of its schedule [default: 0.001]
    #[arg(
        long,
        value_name = "R",
        allow_negative_numbers = true,
        help_heading = "Fit"
    )]
    lr: Option<f64>,
    /// Stop when no dictionary's loss has fallen for N reports
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Fit"
    )]
    early_stop: Option<i64>,
    /// Samples that are shuffled together [default: 65536]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Activations"
    )]
    buffer: Option<i64>,
    /// Leave out the first N positions of each example
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Activations"
    )]
    skip_positions: Option<i64>,
    /// Leave out positions of these tokens, with commas between
    #[arg(
        long,
        value_name = "ID",
        value_delimiter = ',',
        help_heading = "Activations"
    )]
    without_tokens: Vec<i64>,
    /// Write the activations into this folder first, a file for each buffer, and read them from there; what is there of an
    /// earlier run is used
    #[arg(long, value_name = "DIR", help_heading = "Activations")]
    shards: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

impl Arguments {
    fn apply(&self, layers: &mut Layers) -> Result<()> {
        self.data.apply(layers)?;
        layers.flag("--split", "split", self.split.clone())?;
        layers.beneath("split", "train");
        for (flag, path, list) in [
            ("--site", "sae.reads", texts(&self.site)),
            ("--kind", "sae.kind", texts(&self.kind)),
            ("--k", "sae.k", floats(&self.k)),
            ("--sparsity", "sae.sparsity", floats(&self.sparsity)),
            (
                "--without-tokens",
                "sae.positions.without_tokens",
                self.without_tokens.iter().map(|&id| id.into()).collect(),
            ),
        ] {
            let list = Some(list).filter(|list: &Vec<toml::Value>| !list.is_empty());
            layers.flag(flag, path, list)?;
        }
        layers.flag("--writes", "sae.writes", self.writes.clone())?;
        layers.flag("--skip", "sae.skip", self.skip.then_some(true))?;
        layers.flag("--tied", "sae.tied", self.tied.then_some(true))?;
        layers.flag("--width", "sae.width", self.width)?;
        layers.flag("--steps", "sae.length.steps", self.steps)?;
        layers.flag("--batch-size", "sae.length.batch_size", self.batch_size)?;
        layers.flag("--lr", "sae.fit.lr", self.lr)?;
        layers.flag(
            "--early-stop",
            "sae.length.early_stop.patience",
            self.early_stop,
        )?;
        layers.flag("--buffer", "sae.buffer", self.buffer)?;
        layers.flag(
            "--skip-positions",
            "sae.positions.skip",
            self.skip_positions,
        )
    }
}

fn texts(list: &[String]) -> Vec<toml::Value> {
    list.iter().map(|text| text.as_str().into()).collect()
}

fn floats(list: &[f64]) -> Vec<toml::Value> {
    list.iter().map(|&number| number.into()).collect()
}

/// The sites that make a sample, in the order of its channels.
fn sites(opened: &Opened<Fed>) -> Result<Vec<String>> {
    let (sae, spec) = (&opened.settings.sae, opened.subject.network.spec());
    if sae.reads.is_empty() {
        bail!("no site: name one with --site; `mr models --sites` lists them");
    }
    let named = sae.reads.iter().chain(&sae.writes);
    let resolved = named.map(|name| Ok(spec.resolve(name)?.name.clone()));
    resolved.collect()
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let own = |layers: &mut Layers| arguments.apply(layers);
    let opened = Opened::network(&arguments.on, &arguments.common, own, Fed::stream)?;
    let sites = sites(&opened)?;
    let other = opened.other("--other", arguments.other.as_ref())?;
    let (network, sae) = (&opened.subject.network, &opened.settings.sae);
    let models: Vec<&Network> = std::iter::once(network).chain(&other).collect();
    let data = opened.data.data();
    let mut taps = Vec::new();
    for &model in &models {
        taps.extend(sites.iter().map(|site| Tap { model, site }));
    }
    let taps = Taps::new(taps, &data, sae.positions.clone())?;
    let plans = sae.plans(taps.widths())?;
    let Some(out) = &opened.settings.out else {
        bail!("no folder to fit into: name one with --out DIR");
    };
    let config = json!({ "sae": json(sae)?, "sites": sites, "other": arguments.other });
    let mut begun = opened.begin(RecordKind::SaeTrain, config)?;
    let files = files(&plans);
    if let Some(record) = done(&begun, &files, arguments.common.overwrite)? {
        begun.record = record;
        console.note(format!("{}: already fitted", out.display()));
        console.say(summary(
            &begun.record.name,
            &begun.record.tables["dictionaries"],
        ));
        console.object(&begun.object())?;
        return Ok(Outcome::Done);
    }
    let live = Live::new(taps, data, sae.buffer, sae.seed)?;
    interrupt::catch();
    let on_disk = match &arguments.shards {
        Some(folder) => {
            let steps = sae.length.steps * sae.length.batch_size;
            let loads = live.loads_per_epoch();
            let loads = loads.unwrap_or_else(|| steps.div_ceil(sae.buffer).max(1));
            let bar = console.bar("activations", loads);
            write_shards(&live, folder, loads, &mut |done, _| {
                bar.at(done, String::new);
            })
            .context("--shards")?;
            Some(Shards::open(folder, sae.seed).context("--shards")?)
        }
        None => None,
    };
    let stream: &dyn Stream = match &on_disk {
        Some(shards) => shards,
        None => &live,
    };
    let means = match opened.device.name.as_str() {
        "flex" | "ndarray" => on_host(),
        _ => Means::Device,
    };
    let started = Instant::now();
    let bar = console.bar("fit", sae.length.steps);
    let device = &opened.device.device;
    let mut first = None;
    let fitted = fit(
        &plans,
        &sae.length,
        stream,
        Some(out),
        means,
        device,
        &mut |now| {
            if *first.get_or_insert(now.step) == now.step && now.step > 1 {
                let done = now.step - 1;
                console.note(format!(
                    "{}: goes on at step {done} of {}",
                    out.display(),
                    now.steps
                ));
            }
            bar.at(now.step, || live_metrics(now.reports));
            if interrupt::asked() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    )?;
    drop(bar);
    if fitted.interrupted {
        console.note(format!(
            "stopped at step {} of {}, which is kept in {}: the same command goes on from there: {}",
            fitted.steps,
            sae.length.steps,
            out.display(),
            begun.record.command.join(" ")
        ));
        return Ok(Outcome::Interrupted);
    }
    tracing::info!("fitted in {:.1} s", started.elapsed().as_secs_f64());
    for (one, file) in fitted.dictionaries.iter().zip(&files) {
        let about = about(&opened, &sites, other.as_ref(), &fitted, one)?;
        begun
            .keep_by(&one.plan.name, file, |path| {
                Ok(one.sae.save(&about, path)?)
            })
            .context("the dictionary is not written, the fit's checkpoint is kept")?;
    }
    fill(&mut begun, &fitted)?;
    if fitted.steps < sae.length.steps {
        begun.record.notes.push(format!(
            "stopped early at step {} of {}: no dictionary's loss fell any more",
            fitted.steps, sae.length.steps
        ));
    }
    begun.draw(PLOT, &drawn(&opened.title(), &fitted), None)?;
    let table = &begun.record.tables["dictionaries"];
    let listing = summary(&format!("{}: {}", sites.join(", "), opened.title()), table);
    for note in &begun.record.notes {
        console.note(note);
    }
    let mut wrote = Listing::new("wrote");
    for file in &files {
        wrote.row([out.join(file).display().to_string()]);
    }
    let mut object = begun.object();
    object["dictionaries"] = dictionaries(&fitted, &files)?;
    let checkpoint = out.join(CHECKPOINT);
    let told = Told {
        listing,
        examples: Some(wrote),
        object,
    };
    let outcome = begun.finish(told, console)?;
    std::fs::remove_file(&checkpoint).with_context(|| checkpoint.display().to_string())?;
    Ok(outcome)
}

/// One dictionary has the name that every command looks for; several have their own.
fn files(plans: &[Plan]) -> Vec<String> {
    match plans {
        [_] => vec![DICTIONARY.into()],
        plans => plans
            .iter()
            .map(|plan| format!("{}.safetensors", plan.name))
            .collect(),
    }
}

/// The record of this very fit, if it came to its end before.
fn done(begun: &Begun<'_>, files: &[String], overwrite: bool) -> Result<Option<ExperimentRecord>> {
    let Some(output) = &begun.output else {
        return Ok(None);
    };
    let checkpoint = output.path(CHECKPOINT);
    if overwrite && checkpoint.exists() {
        // What another fit left is not to be gone on from.
        std::fs::remove_file(&checkpoint).with_context(|| checkpoint.display().to_string())?;
    }
    let all = files.iter().all(|file| output.path(file).is_file());
    let is_done = all && !overwrite && !checkpoint.exists();
    Ok(output.before.clone().filter(|_| is_done))
}

/// `top-k-32: L0 32, explained 91.2 %`, of the first dictionaries.
fn live_metrics(reports: &[(String, Option<mr_train::Report>)]) -> String {
    let shown = reports.iter().filter_map(|(name, report)| {
        let report = report.as_ref()?;
        let explained = 100.0 * report.explained;
        Some(format!(
            "{name}: L0 {:.1}, explained {explained:.1} %, {} dead",
            report.l0, report.dead
        ))
    });
    shown.take(3).collect::<Vec<_>>().join("; ")
}

/// What a dictionary's file says of how it was made.
fn about(
    opened: &Opened<Fed>,
    sites: &[String],
    other: Option<&Network>,
    fitted: &Fitted,
    one: &FittedSae,
) -> Result<Map<String, Value>> {
    let settings = &opened.settings;
    let mut about = Map::new();
    let mut say = |key: &str, value: Value| about.insert(key.into(), value);
    say("name", one.plan.name.as_str().into());
    say("site", sites[0].as_str().into());
    if settings.sae.writes.is_some() {
        say("writes", sites[1].as_str().into());
    } else if sites.len() > 1 {
        say("sites", json!(sites));
    }
    say("model_name", opened.subject.path.as_str().into());
    say("weights", digest(&opened.subject.network).into());
    if let Some(other) = other {
        say("other_weights", digest(other).into());
    }
    say("data", opened.data.name().into());
    say("seed", settings.sae.seed.into());
    say("steps", fitted.steps.into());
    say(
        "samples",
        (fitted.steps * settings.sae.length.batch_size).into(),
    );
    say("fit", json(&one.plan.fit)?);
    Ok(about)
}

const COLUMNS: [&str; 6] = [
    "dictionary",
    "L0",
    "explained",
    "squared error",
    "dead",
    "loss",
];

fn fill(begun: &mut Begun<'_>, fitted: &Fitted) -> Result<()> {
    let record = &mut begun.record;
    record.number("steps", fitted.steps as f64);
    let mut rows = Vec::new();
    for one in &fitted.dictionaries {
        let (name, reports) = (&one.plan.name, &one.reports);
        let Some(last) = reports.last() else { continue };
        for (what, value) in [
            ("l0", last.l0),
            ("explained", last.explained),
            ("squared_error", last.squared_error),
            ("dead", last.dead as f64),
            ("loss", last.loss),
        ] {
            record.number(&format!("{name}.{what}"), value);
        }
        rows.push(vec![
            name.as_str().into(),
            last.l0.into(),
            last.explained.into(),
            last.squared_error.into(),
            last.dead.into(),
            last.loss.into(),
        ]);
        let curve = |of: fn(&mr_train::Report) -> f64| {
            let steps = reports.iter().map(|report| report.step as f64).collect();
            Series::new("step", steps, reports.iter().map(of).collect())
        };
        record.curve(&format!("{name}.loss"), curve(|report| report.loss))?;
        record.curve(&format!("{name}.l0"), curve(|report| report.l0))?;
    }
    let columns = COLUMNS.map(String::from).into();
    record
        .tables
        .insert("dictionaries".into(), Table { columns, rows });
    Ok(())
}

fn summary(title: &str, table: &Table) -> Listing {
    let mut listing = Listing::new(title);
    listing.row(table.columns.iter().cloned());
    for row in &table.rows {
        listing.row(row.iter().map(|cell| match cell {
            Value::String(text) => text.clone(),
            other => Short(other.as_f64().unwrap_or(f64::NAN)).to_string(),
        }));
    }
    listing
}

fn dictionaries(fitted: &Fitted, files: &[String]) -> Result<Value> {
    let one = |(one, file): (&FittedSae, &String)| {
        Ok(json!({
            "name": one.plan.name,
            "file": file,
            "dictionary": json(one.sae.config())?,
            "last": json(&one.reports.last())?,
        }))
    };
    let all = fitted.dictionaries.iter().zip(files).map(one);
    Ok(Value::Array(all.collect::<Result<_>>()?))
}

/// Explained variance by step, a line for each dictionary.
fn drawn(title: &str, fitted: &Fitted) -> String {
    let group = |one: &FittedSae| {
        let reports = one
            .reports
            .iter()
            .filter(|report| report.explained.is_finite());
        let (x, y): (Vec<f64>, Vec<f64>) = reports
            .map(|report| (report.step as f64, report.explained))
            .unzip();
        let none = vec![None; x.len()];
        PlotGroup {
            name: one.plan.name.clone(),
            n: vec![1; x.len()],
            low: none.clone(),
            high: none,
            x,
            y,
        }
    };
    lines(PlotData {
        title: title.into(),
        kind: PlotKind::Line,
        x_scale: Scale::Linear,
        x_label: "step".into(),
        y_label: "explained variance".into(),
        groups: fitted.dictionaries.iter().map(group).collect(),
    })
}
