//! `mr sae eval`.

mod judged;
mod parts;
mod plots;
mod probes;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_metrics::{RecordKind, Series, Short, Table};
use mr_models::write_atomic;
use serde_json::{Value, json};

use super::fed::Fed;
use super::placed::ManyFlags;
use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::opened::{Examples, Opened, Told};
use crate::output::writable;
use crate::settings::RunFlags;
use crate::subject::SubjectFlags;
use judged::{Judged, judge};
use probes::Sparse;

/// Name of the picture of densities that lies beside a record.
const DENSITIES: &str = "densities.svg";

/// What is told of each dictionary, and what it is called there.
const COLUMNS: [(&str, &str); 10] = [
    ("l0", "L0"),
    ("explained_variance", "explained"),
    ("loss_recovered", "recovered"),
    ("loss_recovered_mean", "against mean"),
    ("kl", "KL"),
    ("dead_share", "dead"),
    ("bias", "bias"),
    ("norm_ratio", "norm ratio"),
    ("decoder_cosine", "cosine"),
    ("effective_features", "features"),
];

/// Judge dictionaries by what they make of activations, and by what the network makes of that
///
/// L0, explained variance (a ratio of sums) and FVU, dead latents, shrinkage (bias: 1 without; the ratio of norms), the
/// cosine of a latent's direction with the nearest other, effective features; and with reconstructions in the place of the
/// activations: the loss recovered against zero and against mean ablation, and the divergence from the network's own output.
/// Of several dictionaries the trade-off is drawn. Of a crosscoder each activation's explained variance; of one of two
/// networks (--other) or two sites also whose its latents are, by the relative norm of their decoders (Lindsey et al. 2024:
/// below .1 the first's alone, above .9 the second's), and how alike the two directions of shared latents are. An L1 penalty
/// can make a latent look exclusive that is not (Minder et al. 2025); top-k kinds do so less.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr sae eval --model runs/half --dictionary runs/dictionary
  mr sae eval --model runs/half --dictionary runs/kinds --limit 500 --plot pareto.svg --out runs/judged
  mr sae eval --model runs/half --dictionary runs/kinds --limit 500 --probe 1,2,5
  mr sae eval --model runs/bard --dictionary runs/three --limit 200 --json
  mr sae eval --model runs/s0 --other runs/s1 --dictionary runs/crosscoder --plot shared.svg
  mr sae eval --model gpt2 --dictionary gpt2-small-res-jb/blocks.8.hook_resid_pre --data text --set data.text=a.txt")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: SubjectFlags,
    #[command(flatten)]
    dictionary: ManyFlags,
    /// The second network of a crosscoder of two
    #[arg(long, value_name = "FILE|DIR", help_heading = "Dictionary")]
    other: Option<PathBuf>,
    /// Leave the network's loss out: only what is made of activations
    #[arg(long, help_heading = "Dictionary")]
    no_loss: bool,
    /// How well are the labels read from so many latents alone, with commas between (k-sparse probes, Gurnee et al. 2023)
    #[arg(
        long,
        value_name = "K",
        value_delimiter = ',',
        help_heading = "Dictionary"
    )]
    probe: Vec<usize>,
    /// Of several dictionaries, draw explained variance over L0 into this file; of one, how often latents are on, or, of a
    /// crosscoder of two activations, whose they are
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    running: RunFlags,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    writable("--plot", arguments.plot.as_ref())?;
    let opened = Opened::with(&arguments.on, &arguments.running, |_| Ok(()), Fed::load)?;
    opened.subject.undefended("mr sae eval")?;
    let network = &opened.subject.network;
    let other = opened.other("--other", arguments.other.as_ref())?;
    let paths = arguments.dictionary.paths()?;
    let mut all = Vec::with_capacity(paths.len());
    for path in &paths {
        let placed = arguments
            .dictionary
            .place
            .place_in(network, other.as_ref(), path)?;
        let placed = placed.with_context(|| {
            format!(
                "--dictionary {}: a crosscoder of two networks: give the second one with --other",
                path.display()
            )
        })?;
        all.push((path, placed));
    }
    if other.is_some() && all.iter().all(|(_, placed)| placed.other.is_none()) {
        bail!("--other: none of these dictionaries is a crosscoder of two networks");
    }
    let config = json!({
        "other": arguments.other,
        "dictionaries": paths,
        "sites": all.iter().map(|(_, placed)| &placed.reads).collect::<Vec<_>>(),
        "loss": !arguments.no_loss,
        "probe": arguments.probe,
    });
    let mut begun = opened.begin(RecordKind::SaeEval, config)?;
    for (_, placed) in all.iter().filter(|(_, placed)| placed.parts().len() > 1) {
        begun.record.warnings.push(format!(
            "{}: of a crosscoder, which reads several activations, the network's loss is not judged",
            placed.name
        ));
    }
    let behaves = !arguments.no_loss && !opened.subject.is_autoencoder();
    let mut found: Vec<Judged> = Vec::with_capacity(all.len());
    for (path, mut placed) in all {
        // Two of one name are told apart by their files.
        if found.iter().any(|judged| judged.name == placed.name) {
            placed.name = path.display().to_string();
        }
        let mut judged = judge(&placed, &opened.data, behaves, console)?;
        judged.probed = match &opened.data {
            _ if arguments.probe.is_empty() => Vec::new(),
            Fed::Images(data) => {
                let seed = opened.settings.seed.unwrap_or(0);
                probes::probes(&placed, data, &arguments.probe, seed, console)?
            }
            Fed::Sequences(_) | Fed::Stream(_) => {
                bail!("--probe: {} has no labels; images have", opened.data.name())
            }
        };
        found.push(judged);
    }
    let title = opened.title();
    let densities = plots::densities(&title, &found);
    let pareto = plots::pareto(&title, &found, "explained_variance", "explained variance");
    if let Some(path) = &arguments.plot {
        let shared = match found.as_slice() {
            [one] => one
                .parts
                .as_ref()
                .and_then(|parts| parts.plot(&title, &one.name)),
            _ => None,
        };
        let svg = pareto.as_ref().or(shared.as_ref()).unwrap_or(&densities);
        write_atomic(path, svg.as_bytes()).with_context(|| format!("--plot {}", path.display()))?;
    }
    begun.keep("densities", DENSITIES, densities.as_bytes())?;
    if let Some(svg) = &pareto {
        begun.keep("pareto", "pareto.svg", svg.as_bytes())?;
    }
    if let Some(svg) = plots::pareto(&title, &found, "loss_recovered", "loss recovered") {
        begun.keep("pareto-loss", "pareto-loss.svg", svg.as_bytes())?;
    }
    for (number, judged) in found.iter().enumerate() {
        let drawn = judged
            .parts
            .as_ref()
            .and_then(|parts| parts.plot(&title, &judged.name));
        if let Some(svg) = drawn {
            let name = if found.len() == 1 {
                "shared".to_string()
            } else {
                format!("shared-{}", number + 1)
            };
            begun.keep(&name, &format!("{name}.svg"), svg.as_bytes())?;
        }
    }
    let record = &mut begun.record;
    for judged in &found {
        if let Some(parts) = &judged.parts {
            parts.fill(&judged.name, record)?;
        }
        for &(name, value) in &judged.numbers {
            record.number(&format!("{}.{name}", judged.name), value);
        }
        for of in &judged.probed {
            let name = |what: &str| format!("{}.probe.{}.{what}", judged.name, of.k);
            record.number(&name("latents"), of.latents);
            record.number(&name("channels"), of.channels);
        }
        let densities = &judged.densities;
        let begins = densities.edges[..densities.counts.len()].to_vec();
        let counts = densities.counts.iter().map(|&count| count as f64).collect();
        let series = Series::new("log10 density", begins, counts);
        record.curve(&format!("{}.densities", judged.name), series)?;
    }
    record.tables.insert("dictionaries".into(), table(&found));
    let mut object = begun.object();
    object["dictionaries"] = found.iter().map(object_of).collect();
    let told = Told {
        listing: listing(&opened, &found),
        examples: None,
        object,
    };
    begun.finish(told, console)
}

fn object_of(judged: &Judged) -> Value {
    let mut object = json!({
        "name": judged.name,
        "kind": judged.kind,
        "samples": judged.samples,
        "densities": {
            "edges": judged.densities.edges,
            "counts": judged.densities.counts,
            "dead": judged.densities.dead,
        },
    });
    for &(name, value) in &judged.numbers {
        object[name] = value.into();
    }
    if !judged.probed.is_empty() {
        let of =
            |of: &Sparse| json!({ "k": of.k, "f1": of.latents, "f1_of_channels": of.channels });
        object["probes"] = judged.probed.iter().map(of).collect();
    }
    if let Some(parts) = &judged.parts {
        for (name, value) in &parts.numbers {
            object[name] = (*value).into();
        }
        object["shared_latents"] = parts.object();
    }
    object
}

fn table(found: &[Judged]) -> Table {
    let mut columns = vec!["dictionary".to_string()];
    columns.extend(COLUMNS.iter().map(|(_, shown)| (*shown).to_string()));
    let row = |judged: &Judged| {
        let mut row: Vec<Value> = vec![judged.name.as_str().into()];
        row.extend(COLUMNS.iter().map(|(name, _)| json!(judged.number(name))));
        row
    };
    Table {
        columns,
        rows: found.iter().map(row).collect(),
    }
}

/// One dictionary line by line, several side by side.
fn listing(opened: &Opened<Fed>, found: &[Judged]) -> Listing {
    let short =
        |value: Option<f64>| value.map_or("-".to_string(), |value| Short(value).to_string());
    if let [judged] = found {
        let mut listing = Listing::new(format!("{}: {}", judged.name, opened.title()));
        listing.line("samples", judged.samples);
        for &(name, value) in &judged.numbers {
            listing.line(name.replace('_', " "), Short(value));
        }
        for of in &judged.probed {
            let (latents, channels) = (Short(of.latents), Short(of.channels));
            let what = format!("F1 of classes by {}", of.k);
            listing.line(what, format!("{latents} (of channels {channels})"));
        }
        for (name, value) in judged.parts.iter().flat_map(|parts| &parts.numbers) {
            listing.line(name.replacen('_', " ", 1), Short(*value));
        }
        return listing;
    }
    let mut listing = Listing::new(opened.title());
    let told: Vec<_> = COLUMNS
        .iter()
        .filter(|(name, _)| found.iter().any(|judged| judged.number(name).is_some()))
        .collect();
    let mut heading = vec!["dictionary".to_string()];
    heading.extend(told.iter().map(|(_, shown)| (*shown).to_string()));
    // All are probed alike.
    let probed = found.first().map_or(&[][..], |first| &first.probed);
    heading.extend(probed.iter().map(|of| format!("F1 by {}", of.k)));
    listing.row(heading);
    for judged in found {
        let mut row = vec![judged.name.clone()];
        row.extend(told.iter().map(|(name, _)| short(judged.number(name))));
        row.extend(judged.probed.iter().map(|of| short(Some(of.latents))));
        listing.row(row);
    }
    listing
}
