//! `mr sae card`.

mod beside;
mod blames;
mod drifts;
mod flips;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use mr_attacks::{Card, CardConfig, EvaluationConfig, Norm, ThreatModel, card};
use mr_metrics::stats::{Bootstrap, wilson};
use mr_metrics::{Interval, RecordKind};
use mr_models::Model;
use mr_sae::Dictionary;
use serde_json::json;

use super::placed::{OneFlags, Placed};
use crate::command::search::{SearchFlags, climber};
use crate::command::threat::{length, norm};
use crate::console::{Console, Outcome};
use crate::opened::{Opened, Told};
use crate::output::writable;
use crate::settings::RunFlags;
use crate::subject::{SubjectFlags, json};
use beside::{Beside, Cards};
use blames::Blames;
use drifts::Drifts;
use flips::Flipped;

/// Name of the plot that lies beside a record.
const PLOT: &str = "card.svg";
/// Name of the picture of what flips latents.
const FLIPS: &str = "flips.svg";
/// Name of the picture of several cards.
const BESIDE: &str = "beside.svg";
/// Name of everything that was found, by example; of several seeds the first.
const CARD: &str = "card.json";

/// Draw up the robustness card of a dictionary: what becomes of its latents under attack
///
/// The input is attacked in five ways, at each radius: up the cross-entropy (output), away from the clean codes (codes), away
/// from them while the output is held (codes-alone), up the margin while the codes are held (output-alone), and by noise of
/// the same length, the control. Of each: how many latents are on, how much variance is unexplained, how far codes move and
/// which of the strongest latents are still the strongest where the prediction is unchanged. Then, for the most active latents
/// one by one, the smallest radius that turns them on or off; and for each adversarial example, which latents carry the change
/// of the logits. Intervals are over examples. With --beside cards of other networks or dictionaries are drawn into the same
/// picture.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr sae card --model runs/half --dictionary runs/dictionary --limit 100
  mr sae card --model runs/half --dictionary runs/dictionary --limit 200 --out runs/card --plot card.svg
  mr sae card --model runs/half --dictionary runs/dictionary --epsilons 0.5,1,2 --norm l2 --count 32 --json
  mr sae card --model runs/half --dictionary runs/dictionary --latents 3,17 --epsilons 0.3 --seeds 5
  mr sae card --model runs/robust --dictionary runs/robust-dictionary --name robust --beside runs/card --out runs/robust-card")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: SubjectFlags,
    #[command(flatten)]
    dictionary: OneFlags,
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
        allow_negative_numbers = true,
        value_parser = length,
        help_heading = "Card"
    )]
    epsilons: Vec<f64>,
    /// Only these latents are tried one by one, with commas between
    #[arg(
        long,
        value_name = "N,...",
        value_delimiter = ',',
        help_heading = "Card"
    )]
    latents: Vec<usize>,
    /// How many latents, the most active, are tried one by one
    #[arg(
        long,
        value_name = "N",
        default_value_t = 16,
        conflicts_with = "latents",
        help_heading = "Card"
    )]
    count: usize,
    /// How often a radius is halved in search of the smallest
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Card")]
    halvings: u32,
    /// How many of the strongest latents are compared and named
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Card")]
    top: usize,
    /// Seeds that the attacks draw their starts from, beginning with --seed: drifts are means over them, and radii the smallest
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=1000),
        help_heading = "Card"
    )]
    seeds: u64,
    /// The folder of another run of `mr sae card`, which is drawn into the same pictures; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "Card")]
    beside: Vec<PathBuf>,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    running: RunFlags,
    /// Write a plot of how far codes move by radius into this file; with --beside the picture of all cards
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let beside = arguments.beside.iter().map(|folder| Beside::read(folder));
    let beside: Vec<Beside> = beside.collect::<Result<_>>()?;
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        arguments.search.apply(layers)
    })?;
    opened.subject.undefended("mr sae card")?;
    opened.classifies()?;
    let settings = &opened.settings;
    let ball: Norm = norm(&arguments.norm).parse()?;
    let wanted = arguments.wanted()?;
    let network = &opened.subject.network;
    let placed = arguments.dictionary.place(network)?;
    placed.at_one_site(&arguments.dictionary.dictionary, "a card")?;
    climber(settings)?.fits(network.spec(), &ThreatModel::new(ball, wanted.epsilons[0]))?;
    writable("--plot", arguments.plot.as_ref())?;
    let config = json!({
        "dictionary": arguments.dictionary.dictionary,
        "site": placed.writes,
        "norm": json(&ball)?,
        "card": json(&wanted)?,
        "seeds": arguments.seeds,
        "beside": arguments.beside,
        "attack": json(&settings.attack)?,
        "evaluation": json(&settings.evaluation)?,
    });
    let mut begun = opened.begin(RecordKind::SaeCard, config)?;
    for other in &beside {
        let differs = other.compare(&begun.record.config)?;
        begun.record.warnings.extend(differs);
    }
    let cards = drawn_up(&opened, &placed, ball, &wanted, arguments.seeds, console)?;

    let bootstrap = Bootstrap {
        resamples: 2000,
        seed: settings.seed.unwrap_or(0),
        ..Bootstrap::default()
    };
    let title = format!("{}, {}", opened.title(), placed.title());
    let drifts = Drifts::of(&cards, bootstrap)?;
    let largest = wanted.epsilons[wanted.epsilons.len() - 1];
    let flips = Flipped::of(&cards, largest, wanted.halvings);
    let blames = Blames::of(&cards, bootstrap)?;
    drifts.fill(&mut begun.record)?;
    flips.fill(&mut begun.record, bootstrap)?;
    blames.fill(&mut begun.record);
    let all = Cards::new(&beside, &begun.record, settings.out.as_deref());
    let together = all.title(ball, &title);
    let (flipped, together) = (all.flips(&together), all.drifts(&together));
    let drawn = drifts.plot(&title);
    if beside.is_empty() {
        begun.draw(PLOT, &drawn, arguments.plot.as_ref())?;
    } else {
        begun.keep("card_plot", PLOT, drawn.as_bytes())?;
        begun.draw(BESIDE, &together, arguments.plot.as_ref())?;
    }
    if let Some(svg) = flipped {
        begun.keep("flips", FLIPS, svg.as_bytes())?;
    }
    begun.keep("card", CARD, &serde_json::to_vec(&cards[0].1)?)?;
    let mut listing = drifts.listing(title);
    blames.tell(&mut listing);
    let told = Told {
        listing,
        examples: flips.listing()?,
        object: begun.object(),
    };
    begun.finish(told, console)
}

/// A share over examples: where it is 0 or 1 no resample differs, and the interval is Wilson's of as many examples.
fn share(found: Interval) -> Result<Interval> {
    let successes = match found.value {
        0.0 => 0,
        1.0 => found.n,
        _ => return Ok(found),
    };
    Ok(wilson(successes, found.n, found.level)?)
}

impl Arguments {
    /// What the card is to hold.
    fn wanted(&self) -> Result<CardConfig> {
        let mut wanted = CardConfig {
            count: self.count,
            latents: self.latents.clone(),
            halvings: self.halvings,
            top: self.top,
            ..CardConfig::default()
        };
        if !self.epsilons.is_empty() {
            wanted.epsilons = self.epsilons.iter().map(|&radius| radius as f32).collect();
        }
        wanted.check()?;
        Ok(wanted)
    }
}

/// A card for each seed.
fn drawn_up(
    opened: &Opened,
    placed: &Placed<'_>,
    ball: Norm,
    wanted: &CardConfig,
    seeds: u64,
    console: &Console,
) -> Result<Vec<(u64, Card)>> {
    let settings = &opened.settings;
    let attack = climber(settings)?;
    let dictionary = Arc::new(placed.sae.clone());
    let attacks = wanted.attacks(dictionary.d_sae());
    let bar = console.bar("card", attacks * seeds as usize);
    let first = settings.evaluation.seed;
    let one = |number: u64| {
        let running = EvaluationConfig {
            seed: first.wrapping_add(number),
            ..settings.evaluation.clone()
        };
        let before = attacks * number as usize;
        let found = card(
            &opened.subject.network,
            &opened.data,
            (dictionary.clone(), &placed.writes),
            &ThreatModel::new(ball, 0.0),
            attack,
            wanted,
            &running,
            &mut |done, _| {
                bar.at(before + done, String::new);
                true
            },
        )?;
        Ok((running.seed, found))
    };
    (0..seeds).map(one).collect()
}
