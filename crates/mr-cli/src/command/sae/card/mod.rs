//! `mr sae card`.

mod blames;
mod drifts;
mod flips;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use mr_attacks::{Against, CardConfig, Norm, ThreatModel, card};
use mr_metrics::RecordKind;
use mr_metrics::stats::Bootstrap;
use serde_json::json;

use super::placed::PlaceFlags;
use crate::command::search::{SearchFlags, climber};
use crate::command::threat::norm;
use crate::console::{Console, Outcome};
use crate::opened::{Opened, Told};
use crate::output::writable;
use crate::settings::RunFlags;
use crate::subject::{SubjectFlags, json};
use drifts::Drifts;

/// Name of the plot that lies beside a record.
const PLOT: &str = "card.svg";
/// Name of everything that was found, by example.
const CARD: &str = "card.json";

/// Draw up the robustness card of a dictionary: what becomes of its latents under attack
///
/// The input is attacked in five ways, at each radius: up the cross-entropy (output), away from the clean codes (codes), away
/// from them while the output is held (codes-alone), up the margin while the codes are held (output-alone), and by noise of
/// the same length, the control. Of each: how many latents are on, how much variance is unexplained, how far codes move and
/// which of the strongest latents are still the strongest where the prediction is unchanged. Then, for the most active latents
/// one by one, the smallest radius that turns them on or off; and for each adversarial example, which latents carry the change
/// of the logits. Intervals are over examples.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr sae card --model runs/half --dictionary runs/dictionary --limit 100
  mr sae card --model runs/half --dictionary runs/dictionary --limit 200 --out runs/card --plot card.svg
  mr sae card --model runs/half --dictionary runs/dictionary --epsilons 0.5,1,2 --norm l2 --latents 32 --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: SubjectFlags,
    /// The dictionary: a file, or a folder that `mr sae train`, SAELens or sparsify made
    #[arg(long, value_name = "FILE|DIR", help_heading = "Dictionary")]
    dictionary: PathBuf,
    #[command(flatten)]
    place: PlaceFlags,
    /// Norm of perturbations: linf, l2, l1, l0
    #[arg(
        long,
        value_name = "NORM",
        default_value = "linf",
        help_heading = "Card"
    )]
    norm: String,
    /// Radii, in rising order; flips are searched below the last
    #[arg(
        long,
        value_name = "R,...",
        value_delimiter = ',',
        help_heading = "Card"
    )]
    epsilons: Vec<f32>,
    /// How many latents, the most active, are tried one by one
    #[arg(long, value_name = "N", default_value_t = 16, help_heading = "Card")]
    latents: usize,
    /// How often a radius is halved in search of the smallest
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Card")]
    halvings: u32,
    /// How many of the strongest latents are compared and named
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Card")]
    top: usize,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    running: RunFlags,
    /// Write a plot of how far codes move by radius into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        arguments.search.apply(layers)
    })?;
    opened.subject.undefended("mr sae card")?;
    let settings = &opened.settings;
    let attack = climber(settings)?;
    let ball: Norm = norm(&arguments.norm).parse()?;
    let threat = ThreatModel::new(ball, 0.0);
    let mut wanted = CardConfig {
        latents: arguments.latents,
        halvings: arguments.halvings,
        top: arguments.top,
        ..CardConfig::default()
    };
    if !arguments.epsilons.is_empty() {
        wanted.epsilons.clone_from(&arguments.epsilons);
    }
    wanted.check()?;
    let network = &opened.subject.network;
    let placed = arguments.place.place(network, &arguments.dictionary)?;
    if placed.reads.len() > 1 || placed.reads[0] != placed.writes {
        bail!(
            "--dictionary {}: a card is of a dictionary that writes the one site that it reads",
            arguments.dictionary.display()
        );
    }
    writable("--plot", arguments.plot.as_ref())?;
    let config = json!({
        "dictionary": arguments.dictionary,
        "site": placed.writes,
        "norm": json(&ball)?,
        "card": json(&wanted)?,
        "attack": json(&settings.attack)?,
        "evaluation": json(&settings.evaluation)?,
    });
    let mut begun = opened.begin(RecordKind::SaeCard, config)?;
    let attacks = Against::ALL.len() * wanted.epsilons.len()
        + wanted.latents * (1 + wanted.halvings as usize);
    let bar = console.bar("card", attacks);
    let found = card(
        network,
        &opened.data,
        (Arc::new(placed.sae.clone()), &placed.writes),
        &threat,
        attack,
        &wanted,
        &settings.evaluation,
        &mut |done, _| {
            bar.at(done, String::new);
            true
        },
    )?;
    drop(bar);
    let bootstrap = Bootstrap {
        resamples: 2000,
        seed: settings.seed.unwrap_or(0),
        ..Bootstrap::default()
    };
    let drifts = Drifts::of(&found, bootstrap)?;
    let title = format!("{}, {}", opened.title(), placed.title());
    drifts.fill(&mut begun.record)?;
    begun
        .record
        .tables
        .insert("flips".into(), flips::table(&found));
    blames::fill(&found.blames, &mut begun.record)?;
    begun.draw(PLOT, &drifts.plot(&title), arguments.plot.as_ref())?;
    begun.keep("card", CARD, &serde_json::to_vec(&found)?)?;
    let mut listing = drifts.listing(title);
    blames::tell(&found.blames, &mut listing)?;
    let told = Told {
        listing,
        examples: flips::listing(&found),
        object: begun.object(),
    };
    begun.finish(told, console)
}
