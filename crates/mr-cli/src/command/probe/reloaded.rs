//! Judges a saved probe.

use std::path::Path;

use anyhow::{Context, Result, bail};
use mr_circuits::{Origin, SavedProbe};
use mr_metrics::stats::{Bootstrap, bca_mean};
use mr_metrics::{RecordKind, Short};
use mr_models::Model;
use mr_train::read_sites;
use serde_json::json;

use super::data::Probed;
use crate::command::LEVEL;
use crate::console::{Console, Outcome};
use crate::layout::{Listing, Percent};
use crate::opened::{Examples, Opened, Told};

pub(super) fn run(
    opened: &Opened<Probed>,
    path: &Path,
    origin: &Origin,
    console: &Console,
) -> Result<Outcome> {
    let (settings, data) = (&opened.settings.probe, &opened.data);
    let model = &opened.subject.network;
    let saved = SavedProbe::load_for(path, model.spec(), origin).context("--load")?;
    let SavedProbe::Linear(probe) = saved else {
        bail!(
            "--load {}: holds a probe of trees, not of classes",
            path.display()
        );
    };
    let (labels, outputs) = data.task(settings)?;
    if outputs != probe.outputs {
        bail!(
            "--load {}: the probe tells {}, asked for is {}; name its concept with --concept",
            path.display(),
            probe.outputs.join(", "),
            outputs.join(", ")
        );
    }
    let config = json!({ "load": path, "concept": settings.concept });
    let mut begun = opened.begin(RecordKind::Probe, config)?;
    let device = &opened.device.device;
    let bar = console.bar("reading", data.count());
    let sites = [probe.site.clone()];
    let read = read_sites(
        model,
        data.count(),
        &|rows| data.input(rows, device),
        &sites,
        probe.positions,
        &|done| bar.at(done, String::new),
    )?;
    drop(bar);
    let of = &read[0];
    let repeated = labels
        .iter()
        .map(|&label| std::iter::repeat_n(label, of.per_example));
    let labels: Vec<usize> = repeated.flatten().collect();
    let judged = probe.judge(of.samples.values(), &labels);
    let share = |right: &[bool]| {
        let count = right.iter().filter(|&&right| right).count();
        count as f64 / right.len() as f64
    };
    let by_example: Vec<f64> = judged.right.chunks(of.per_example).map(share).collect();
    let bootstrap = Bootstrap {
        resamples: settings.resamples,
        seed: settings.seed,
        level: LEVEL,
    };
    let accuracy = bca_mean(&by_example, bootstrap)?;
    let log_loss = judged.log_loss.iter().sum::<f64>() / judged.log_loss.len() as f64;
    begun
        .record
        .number(&format!("{}.accuracy", probe.site), accuracy);
    begun
        .record
        .number(&format!("{}.log_loss", probe.site), log_loss);
    let title = format!(
        "{}, {} probe at {}",
        opened.title(),
        probe.kind.name(),
        probe.site
    );
    let mut listing = Listing::new(title);
    listing.line("accuracy", Percent(accuracy));
    listing.line("log loss", Short(log_loss));
    let told = Told {
        listing,
        examples: None,
        object: begun.object(),
    };
    begun.finish(told, console)
}
