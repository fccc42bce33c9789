//! `mr sae features`.

mod activity;
mod effect;
mod example;
mod latents;
mod neuronpedia;
mod page;

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_metrics::dictionary::{Fidelity, Firing};
use mr_metrics::{RecordKind, Short, Table};
use mr_models::{Model, floats, write_atomic};
use mr_sae::Dictionary;
use serde_json::{Value, json};

use super::fed::Fed;
use super::held;
use super::placed::{OneFlags, Placed};
use crate::command::words::Words;
use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::opened::{Examples, Opened, Told};
use crate::settings::RunFlags;
use crate::subject::SubjectFlags;
use activity::Activities;
use effect::{Effects, Way};
use example::Names;
use latents::{Latent, Shown};
use neuronpedia::Source;
use page::Heading;

/// Folder of the pages beside a record.
const FOLDER: &str = "features";
/// Name of the first page.
const INDEX: &str = "features/index.html";
/// Name of Neuronpedia's form, as its converter looks for it.
const JSON: &str = "features/neuronpedia/batch-0.json";
/// Examples that effects on logits are averaged over.
const AVERAGED: usize = 64;
/// Latents that a record and a person are told of.
const TOLD: usize = 20;

/// Show the latents of a dictionary: what turns them on, how often, and what they do
///
/// Writes pages that need no network and no script: of each latent the images or texts that it is most active on with the
/// place marked, how often and how much it is active, the classes or tokens whose logits it raises and lowers, and the latents
/// of nearest direction. The same lies beside them in the form that Neuronpedia's converter of dashboards reads.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr sae features --model runs/half --dictionary runs/dictionary --out runs/features
  mr sae features --model runs/bard --dictionary runs/three/top-k-16.safetensors --limit 500 --out runs/bard-features
  mr sae features --model runs/half --dictionary runs/dictionary --latents 3,17 --examples 20 --out runs/two-latents
  mr sae features --model gpt2 --dictionary gpt2-small-res-jb/blocks.8.hook_resid_pre --data text --set data.text=a.txt \\
    --count 200 --out runs/gpt2-features")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: SubjectFlags,
    #[command(flatten)]
    dictionary: OneFlags,
    /// Only these latents, with commas between
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        help_heading = "Features"
    )]
    latents: Vec<usize>,
    /// At most so many latents, those that are on most often
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        help_heading = "Features"
    )]
    count: usize,
    /// Examples of each
    #[arg(long, value_name = "N", default_value_t = 8, help_heading = "Features")]
    examples: usize,
    /// Classes or tokens that it raises most, and that it lowers most
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Features")]
    logits: usize,
    #[command(flatten)]
    running: RunFlags,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::with(&arguments.on, &arguments.running, |_| Ok(()), Fed::load)?;
    opened.subject.undefended("mr sae features")?;
    let Some(out) = &opened.settings.out else {
        bail!("nowhere to write pages: name a folder with --out DIR");
    };
    if arguments.count == 0 || arguments.examples == 0 {
        bail!("--count and --examples must be at least 1");
    }
    let network = &opened.subject.network;
    let placed = arguments.dictionary.place(network)?;
    let latents = placed.sae.d_sae();
    if let Some(latent) = arguments.latents.iter().find(|&&latent| latent >= latents) {
        bail!("--latents {latent}: the dictionary has {latents} latents, counted from 0");
    }
    let config = json!({
        "dictionary": arguments.dictionary.dictionary,
        "sites": placed.reads,
        "features": {
            "latents": arguments.latents,
            "count": arguments.count,
            "examples": arguments.examples,
            "logits": arguments.logits,
        },
    });
    let mut begun = opened.begin(RecordKind::SaeFeatures, config)?;
    let gathered = gather(&placed, &opened.data, arguments.examples, console)?;
    let rows: Vec<usize> = (0..opened.data.count().min(AVERAGED)).collect();
    let effects = Effects::of(&placed, &opened.data.input(&rows, &network.device()))?;
    let chosen = chosen(&gathered.activities, &arguments.latents, arguments.count);
    if chosen.is_empty() {
        bail!(
            "no latent is on in any of {} samples: is the dictionary of this site and of activations like these?",
            gathered.activities.samples
        );
    }
    let shown = Shown {
        classes: arguments.logits,
        nearest: 5,
    };
    let found = latents::latents(
        &placed,
        &opened.data,
        &gathered.activities,
        effects.as_ref(),
        &chosen,
        shown,
    )?;
    let names = Names {
        words: Words::of(None, &opened.subject)?,
        grid: network.spec().site(&placed.reads[0])?.grid,
        data: &opened.data,
    };
    let heading = heading(&opened, &placed, &gathered, effects.as_ref())?;
    let folder = out.join(FOLDER);
    let inner = folder.join("neuronpedia");
    std::fs::create_dir_all(&inner).with_context(|| inner.display().to_string())?;
    begun.keep(
        "index",
        INDEX,
        page::index(&heading, &found, &names).as_bytes(),
    )?;
    for number in 0..found.len().div_ceil(page::LATENTS) {
        write(
            &folder.join(page::file(number)),
            &page::latents(&heading, number, &found, &names),
        )?;
    }
    let source = Source {
        model: &opened.subject.path,
        site: &placed.reads[0],
        dictionary: &placed.name,
        dataset: opened.data.name(),
        examples: [opened.data.count(), gathered.positions],
    };
    let batch = neuronpedia::batch(&found, &source, &names);
    begun.keep("neuronpedia", JSON, &serde_json::to_vec(&batch)?)?;

    let record = &mut begun.record;
    let firing = &gathered.firing;
    record.number("latents", latents as f64);
    record.number("dead", firing.dead() as f64);
    record.number("l0", firing.l0()?);
    record.number("samples", firing.samples() as f64);
    if let Ok(explained) = gathered.fidelity.explained_variance() {
        record.number("explained_variance", explained);
    }
    let mut order: Vec<&Latent> = found.iter().collect();
    order.sort_by(|a, b| {
        b.density
            .total_cmp(&a.density)
            .then(a.number.cmp(&b.number))
    });
    let table = table(&order, &names);
    let mut listing = Listing::new(heading.title.clone());
    for (name, value) in &heading.facts {
        listing.line(name, value);
    }
    listing.line("wrote", out.join(INDEX).display());
    let mut object = begun.object();
    object["latents"] = features_of(&order, &names);
    object["index"] = json!(out.join(INDEX));
    begun.record.tables.insert("latents".into(), table);
    let told = Told {
        listing,
        examples: None,
        object,
    };
    begun.finish(told, console)
}

fn write(path: &Path, page: &str) -> Result<()> {
    write_atomic(path, page.as_bytes()).with_context(|| path.display().to_string())
}

/// What was seen of a dictionary on all examples.
struct Gathered {
    activities: Activities,
    firing: Firing,
    fidelity: Fidelity,
    /// Positions of an example.
    positions: usize,
}

fn gather(placed: &Placed<'_>, data: &Fed, examples: usize, console: &Console) -> Result<Gathered> {
    let device = placed.network.device();
    let (sae, count) = (&placed.sae, data.count());
    let width = sae.d_sae();
    let positions = placed.positions(&data.input(&[0], &device))?;
    let mut gathered = Gathered {
        activities: Activities::new(width, examples),
        firing: Firing::new(width),
        fidelity: Fidelity::default(),
        positions,
    };
    let bar = console.bar("features", count);
    let rows: Vec<usize> = (0..count).collect();
    for rows in rows.chunks(placed.batch(positions)) {
        let passed = placed.pass(&data.input(rows, &device))?;
        let codes = sae.encode(passed.x.clone());
        let made = sae.decode_at(codes.clone(), &passed.x);
        let codes = floats(codes);
        gathered
            .fidelity
            .add(&floats(passed.target), &floats(made), sae.d_out())?;
        gathered.firing.add(&codes)?;
        for (&example, codes) in rows.iter().zip(codes.chunks(positions * width)) {
            gathered.activities.add(example, codes)?;
        }
        bar.at(rows[rows.len() - 1] + 1, String::new);
    }
    Ok(gathered)
}

/// The latents to show, in the order of their numbers.
fn chosen(activities: &Activities, named: &[usize], count: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = if named.is_empty() {
        let alive = |latent: &usize| activities.latents[*latent].on > 0;
        (0..activities.latents.len()).filter(alive).collect()
    } else {
        named.to_vec()
    };
    chosen.sort_by_key(|&latent| (std::cmp::Reverse(activities.latents[latent].on), latent));
    chosen.truncate(count);
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

fn heading(
    opened: &Opened<Fed>,
    placed: &Placed<'_>,
    gathered: &Gathered,
    effects: Option<&Effects>,
) -> Result<Heading> {
    let firing = &gathered.firing;
    let densities = firing.densities(4)?;
    let explained = gathered.fidelity.explained_variance();
    let share = 100.0 * firing.dead_share()?;
    let mut facts = vec![
        ("dictionary".to_string(), held::title(&placed.sae)),
        ("network".into(), opened.title()),
        ("samples".into(), firing.samples().to_string()),
        (
            "active latents of a sample".into(),
            Short(firing.l0()?).to_string(),
        ),
        (
            "latents never on".into(),
            format!("{} ({} %)", firing.dead(), Short(share)),
        ),
    ];
    if let Ok(explained) = explained {
        facts.push((
            "explained variance".into(),
            format!("{:.1} %", 100.0 * explained),
        ));
    }
    let counts = densities.counts.iter().map(|&count| count as u64);
    Ok(Heading {
        title: placed.title(),
        facts,
        effects: match effects.map(|effects| effects.way) {
            Some(Way::Direct) => {
                "Raises and lowers: what one unit of the latent adds to logits directly, through the last norm and the \
                 unembedding. Examples: the texts it is most active on, the darker the more, with the most active token framed."
            }
            Some(Way::Gradient) => {
                "Raises and lowers: what one unit of the latent adds to logits to first order, the mean over examples and \
                 positions. Examples: the inputs it is most active on, coloured where it is, with the most active position framed."
            }
            None => {
                "Examples are those that the latent is most active on. Effects on so many logits are not computed at this site."
            }
        },
        densities: densities.edges.iter().copied().zip(counts).collect(),
    })
}

/// The most frequent latents, for a record.
fn table(order: &[&Latent], names: &Names<'_>) -> Table {
    let row = |latent: &&Latent| {
        let class = |list: &[(usize, f32)]| list.first().map(|one| names.class(one.0));
        vec![
            latent.number.into(),
            latent.density.into(),
            latent.largest.into(),
            json!(class(&latent.raises)),
            json!(class(&latent.lowers)),
        ]
    };
    Table {
        columns: ["latent", "density", "largest", "raises", "lowers"]
            .map(String::from)
            .into(),
        rows: order.iter().take(TOLD).map(row).collect(),
    }
}

fn features_of(order: &[&Latent], names: &Names<'_>) -> Value {
    let one = |latent: &&Latent| {
        let classes = |list: &[(usize, f32)]| -> Vec<Value> {
            list.iter()
                .map(|&(class, effect)| json!({ "class": names.class(class), "effect": effect }))
                .collect()
        };
        let example = |one: &latents::Example| {
            json!({
                "example": one.peak.example,
                "position": one.peak.position,
                "value": one.peak.value,
            })
        };
        json!({
            "latent": latent.number,
            "density": latent.density,
            "mean": latent.mean,
            "largest": latent.largest,
            "raises": classes(&latent.raises),
            "lowers": classes(&latent.lowers),
            "nearest": latent.nearest,
            "examples": latent.examples.iter().map(example).collect::<Vec<_>>(),
        })
    };
    order.iter().map(one).collect()
}
