//! `mr sae train`.

mod flags;
mod told;

use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mr_metrics::{ExperimentRecord, RecordKind};
use mr_models::{Model, Network};
use mr_sae::Means;
use mr_train::{CHECKPOINT, Live, Plan, Shards, Stream, Tap, Taps, fit, on_host, write_shards};
use serde_json::json;

pub(super) use flags::Arguments;

use super::fed::Fed;
use super::held::DICTIONARY;
use crate::console::{Console, Outcome};
use crate::interrupt;
use crate::layout::Listing;
use crate::opened::{Begun, Opened, Told};
use crate::settings::Layers;
use crate::subject::json;
use told::{about, dictionaries, drawn, fill, live_metrics, summary};

/// Name of the plot that lies beside a record.
const PLOT: &str = "fit.svg";

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
