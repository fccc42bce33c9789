//! `mr visualize`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_circuits::{Dissected, VisualConfig, concept_images, dissect, visualize};
use mr_metrics::{RecordKind, Short, Table};
use mr_models::{InputKind, Model, ModelSpec, Region, objective, write_atomic};
use serde_json::{Value, json};

use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::opened::{Opened, Told};
use crate::output::writable;
use crate::report::png::encoded;
use crate::settings::Common;
use crate::subject::{NetworkFlags, json};

/// Name of the picture that lies beside a record.
const PICTURE: &str = "visualized.png";
/// Channels that a site is shown with, unless it is said which.
const SHOWN: usize = 16;
/// Images that concepts are looked for in.
const IMAGES: usize = 500;
/// An overlap that Bau et al. call a detector.
const DETECTS: f64 = 0.04;

/// See what excites a channel, a neuron or a class, and which concepts channels mark
///
/// Images are sought that raise an objective: by ascent on the amplitudes of waves, turned, scaled and shifted
/// a little at each step (Olah et al. 2017). One row of the picture for each objective. With --dissect, each
/// channel of a map is held against shapes, stripes, colours and places in images that are drawn for it (Bau
/// et al. 2017).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr visualize --model runs/half --site conv2.hook_out --png conv2.png
  mr visualize --model runs/half --site linear1.hook_pre --channel 3 --channel 7 --images 4 --diversity 1
  mr visualize --model runs/half --class 0 --class 8 --steps 512 --png classes.png --json
  mr visualize --model runs/half --objective 'raise(conv2.hook_out[:, 5]) - 0.1 raise(conv2.hook_out)'
  mr visualize --model runs/half --site conv1.hook_out --dissect")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    /// A site whose channels are shown, the first 16 unless --channel says which
    #[arg(long, value_name = "SITE", help_heading = "What")]
    site: Option<String>,
    /// A channel of the site; may be repeated
    #[arg(long, value_name = "N", requires = "site", help_heading = "What")]
    channel: Vec<usize>,
    /// A class; may be repeated
    #[arg(long, value_name = "N", help_heading = "What")]
    class: Vec<usize>,
    /// An objective as `mr aim` takes it; may be repeated
    #[arg(
        long,
        value_name = "EXPRESSION",
        allow_hyphen_values = true,
        help_heading = "What"
    )]
    objective: Vec<String>,
    /// Hold the channels of the site against concepts instead
    #[arg(long, requires = "site", help_heading = "What")]
    dissect: bool,
    /// Share of all pixels that a channel marks, with --dissect
    #[arg(long, value_name = "P", default_value_t = 0.005, help_heading = "What")]
    share: f64,
    /// Images for each objective
    #[arg(long, value_name = "N", help_heading = "How")]
    images: Option<usize>,
    /// Weight of the images' likeness, which is taken off
    #[arg(long, value_name = "W", help_heading = "How")]
    diversity: Option<f32>,
    /// Steps of ascent
    #[arg(long, value_name = "N", help_heading = "How")]
    steps: Option<usize>,
    /// Length of a step
    #[arg(long, value_name = "R", help_heading = "How")]
    rate: Option<f32>,
    #[command(flatten)]
    common: Common,
    /// Write the picture into this file
    #[arg(long, value_name = "FILE.png", help_heading = "Output")]
    png: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::network(&arguments.on, &arguments.common, |_| Ok(()), |_, _| Ok(()))?;
    writable("--png", arguments.png.as_ref())?;
    if arguments.dissect {
        return dissected(arguments, &opened, console);
    }
    let network = &opened.subject.network;
    let spec = network.spec();
    let InputKind::Real { shape } = spec.input else {
        bail!(
            "{}: takes tokens, which cannot be seen",
            opened.subject.path
        );
    };
    let wanted = wanted(arguments, spec)?;
    let default = VisualConfig::default();
    let config = VisualConfig {
        images: arguments.images.unwrap_or(default.images),
        diversity: arguments.diversity.unwrap_or(default.diversity),
        steps: arguments.steps.unwrap_or(default.steps),
        rate: arguments.rate.unwrap_or(default.rate),
        seed: opened.settings.seed.unwrap_or(0),
        ..default
    };
    let own = json!({ "objectives": wanted, "visualize": json(&config)? });
    let mut begun = opened.begin(RecordKind::Visualize, own)?;
    let bar = console.bar("ascent", wanted.len() * config.steps);
    let mut table = Table {
        columns: ["objective", "image", "before", "after"]
            .map(String::from)
            .into(),
        rows: Vec::new(),
    };
    let mut rows = Vec::new();
    for (at, name) in wanted.iter().enumerate() {
        let climbed = objective::by_name(name)?;
        let found = visualize(network, climbed.as_ref(), &config, &mut |step, of| {
            bar.at(at * of + step, || name.clone());
        })?;
        for (image, (after, before)) in found.values.iter().zip(&found.before).enumerate() {
            let row: [Value; 4] = [
                name.as_str().into(),
                image.into(),
                json(before)?,
                json(after)?,
            ];
            table.rows.push(row.into());
        }
        rows.push(found.images);
    }
    drop(bar);
    let across = if config.images == 1 { 8 } else { config.images };
    let picture = grid(
        &rows.concat(),
        shape,
        across.min(rows.len() * config.images),
    );
    let picture = picture.context("a picture needs 1 or 3 channels")?;
    if let Some(path) = &arguments.png {
        write_atomic(path, &picture).with_context(|| format!("--png {}", path.display()))?;
    }
    begun.keep("picture", PICTURE, &picture)?;
    let mut listing = Listing::new(format!("{}, what excites it", opened.subject.title()));
    listing.row(table.columns.clone());
    for row in &table.rows {
        let short = |value: &Value| Short(value.as_f64().unwrap_or(f64::NAN)).to_string();
        let name = row[0].as_str().unwrap_or_default().to_string();
        listing.row([name, row[1].to_string(), short(&row[2]), short(&row[3])]);
    }
    begun.record.tables.insert("visualized".into(), table);
    let told = Told {
        listing,
        examples: None,
        object: begun.object(),
    };
    begun.finish(told, console)
}

/// The objectives, as expressions.
fn wanted(arguments: &Arguments, spec: &ModelSpec) -> Result<Vec<String>> {
    let mut wanted = arguments.objective.clone();
    if let Some(site) = &arguments.site {
        let site = spec.resolve(site)?;
        let channels = if arguments.channel.is_empty() {
            (0..site.channels.min(SHOWN)).collect()
        } else {
            arguments.channel.clone()
        };
        let of = |channel| format!("raise({}{})", site.name, Region::channel(channel));
        wanted.extend(channels.into_iter().map(of));
    }
    let logits = spec.sites.last().context("the network has no sites")?;
    let of = |&class: &usize| format!("raise({}{})", logits.name, Region::channel(class));
    wanted.extend(arguments.class.iter().map(of));
    if wanted.is_empty() {
        bail!("nothing to see: give --site, --class or --objective; see `mr models --sites`");
    }
    Ok(wanted)
}

/// Images side by side, so many in a row, with a line of one pixel between them.
fn grid(
    images: &[Vec<f32>],
    [channels, height, width]: [usize; 3],
    across: usize,
) -> Option<Vec<u8>> {
    let across = across.max(1);
    let (down, tall, wide) = (images.len().div_ceil(across), height + 1, width + 1);
    let size = [channels, down * tall + 1, across * wide + 1];
    let mut all = vec![1.0; size.iter().product()];
    for (at, image) in images.iter().enumerate() {
        let (top, left) = (at / across * tall + 1, at % across * wide + 1);
        for (pixel, &value) in image.iter().enumerate() {
            let channel = pixel / (height * width);
            let (y, x) = (pixel / width % height, pixel % width);
            all[(channel * size[1] + top + y) * size[2] + left + x] = value;
        }
    }
    encoded(&all, size)
}

fn dissected(arguments: &Arguments, opened: &Opened<()>, console: &Console) -> Result<Outcome> {
    let network = &opened.subject.network;
    let spec = network.spec();
    let InputKind::Real { shape } = spec.input else {
        bail!(
            "{}: takes tokens, which cannot be seen",
            opened.subject.path
        );
    };
    if shape[1].min(shape[2]) < 8 {
        bail!(
            "images of {}x{} pixels show no shapes: 8x8 at least",
            shape[1],
            shape[2]
        );
    }
    let site = spec.resolve(arguments.site.as_deref().unwrap_or_default())?;
    let seed = opened.settings.seed.unwrap_or(0);
    let own =
        json!({ "dissect": { "site": site.name, "share": arguments.share, "images": IMAGES } });
    let mut begun = opened.begin(RecordKind::Visualize, own)?;
    let seen = concept_images(shape, IMAGES, seed, &opened.device.device);
    let bar = console.bar("dissection", site.channels);
    let found = dissect(
        network,
        &site.name,
        &seen,
        arguments.share,
        &mut |done, _| {
            bar.at(done, String::new);
        },
    )?;
    drop(bar);
    let mut table = Table {
        columns: ["channel", "concept", "overlap"].map(String::from).into(),
        rows: Vec::new(),
    };
    let best = |channel: &Dissected| {
        let best = channel
            .best
            .map(|at| (seen.concepts[at].name, channel.overlaps[at]));
        best.unwrap_or(("none", 0.0))
    };
    let mut order: Vec<&Dissected> = found.iter().collect();
    order.sort_by(|a, b| best(b).1.total_cmp(&best(a).1));
    let mut listing = Listing::new(format!("{}, {}", opened.subject.title(), site.name));
    listing.row(table.columns.clone());
    for channel in order {
        let (name, overlap) = best(channel);
        table
            .rows
            .push(vec![channel.channel.into(), name.into(), overlap.into()]);
        listing.row([
            channel.channel.to_string(),
            name.into(),
            Short(overlap).to_string(),
        ]);
    }
    let detectors = found.iter().filter(|channel| best(channel).1 > DETECTS);
    let count = detectors.clone().count();
    let mut names: Vec<&str> = detectors.map(|channel| best(channel).0).collect();
    names.sort_unstable();
    names.dedup();
    listing.line(
        "detectors",
        format!("{count} of {}, of {} concepts", found.len(), names.len()),
    );
    begun.record.number("detectors", count as f64);
    begun.record.number("concepts", names.len() as f64);
    begun.record.tables.insert("dissected".into(), table);
    let told = Told {
        listing,
        examples: None,
        object: begun.object(),
    };
    begun.finish(told, console)
}
