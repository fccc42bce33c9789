//! `mr bench-attacks`.

mod result;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use mr_attacks::{Attack, AttackConfig, Goal, ThreatModel, Watch, evaluate_with};
use mr_metrics::RecordKind;
use serde_json::json;

use super::search::choose;
use super::threat::ThreatFlags;
use crate::console::{Console, Outcome};
use crate::layout::numbered;
use crate::opened::{Opened, Told};
use crate::output::writable;
use crate::progress::Bars;
use crate::settings::RunFlags;
use crate::subject::{SubjectFlags, json};
use result::{Compared, Line};

/// Name of the plot that lies beside a record.
const PLOT: &str = "attacks.svg";

/// Compare attacks on one network: success, norm, passes and time
///
/// Each attack is given every example that is right when clean. Optimality is 1 for an attack that is the
/// best on every example: under --epsilon inf, where only attacks that look for the smallest perturbation
/// take part, by the size of what it finds (AttackBench, 2024), else by how much it breaks of what any
/// does.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr bench-attacks --model runs/half --epsilon 0.1 --limit 200
  mr bench-attacks --model runs/half --norm l2 --epsilon inf --attacks fmn,ddn,deepfool --json
  mr bench-attacks --model runs/half --epsilon 0.1 --attacks pgd,apgd,square --plot attacks.svg
  mr bench-attacks --config attacks.toml --model runs/half --out runs/half-bench")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: SubjectFlags,
    #[command(flatten)]
    threat: ThreatFlags,
    /// Attacks by name [default: every one that fits the threat]; [[attack]] tables of a file set their
    /// options
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        help_heading = "Attack"
    )]
    attacks: Vec<String>,
    #[command(flatten)]
    running: RunFlags,
    /// Draw robust accuracy over the size of the perturbation into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        arguments.threat.apply(layers)?;
        choose("--attacks", &arguments.attacks, layers)
    })?;
    let threat = opened.threat()?;
    opened.classifies()?;
    let attacks = chosen(&opened, threat)?;
    writable("--plot", arguments.plot.as_ref())?;
    let config = json!({
        "threat": json(threat)?,
        "attack": json(&attacks)?,
        "evaluation": json(&opened.settings.evaluation)?,
    });
    let mut begun = opened.begin(RecordKind::BenchAttacks, config)?;

    let names: Vec<String> = attacks.iter().map(|one| one.attack().name()).collect();
    let names = numbered(names.iter().map(String::as_str));
    let lines = attacks
        .iter()
        .zip(names)
        .map(|(attack, name)| one(attack, name, &opened, threat, console));
    let compared = Compared::of(lines.collect::<Result<_>>()?, threat)?;
    compared.fill(&mut begun.record)?;
    let title = opened.title_under(threat);
    let drawn = compared.plot(&title, threat);
    begun.draw(PLOT, &drawn, arguments.plot.as_ref())?;
    let mut object = begun.object();
    object["attacks"] = compared.object()?;
    let told = Told {
        listing: compared.listing(title)?,
        examples: None,
        object,
    };
    begun.finish(told, console)
}

/// The attacks that were asked for, each of which has to fit, or all that fit.
fn chosen(opened: &Opened, threat: &ThreatModel) -> Result<Vec<AttackConfig>> {
    let spec = opened.subject.model().spec();
    threat.fits(spec)?;
    let asked = &opened.settings.attack;
    if !asked.is_empty() {
        for attack in asked {
            attack.attack().fits(spec, threat)?;
        }
        return Ok(asked.clone());
    }
    let all = AttackConfig::NAMES
        .iter()
        .map(|name| AttackConfig::by_name(name));
    let all = all.collect::<Result<Vec<_>, _>>()?;
    let fits = |attack: &AttackConfig| attack.attack().fits(spec, threat).is_ok();
    let fitting: Vec<AttackConfig> = all.into_iter().filter(fits).collect();
    if fitting.is_empty() {
        bail!(
            "no attack knows {} with epsilon {}",
            threat.norm,
            threat.epsilon
        );
    }
    Ok(fitting)
}

/// One attack on its own.
fn one(
    config: &AttackConfig,
    name: String,
    opened: &Opened,
    threat: &ThreatModel,
    console: &Console,
) -> Result<Line> {
    let members = config.members(threat.norm);
    let attacks: Vec<&dyn Attack> = members.iter().map(AttackConfig::attack).collect();
    let mut bars = Bars::new(console, name.clone());
    let started = Instant::now();
    let found = evaluate_with(
        opened.subject.model(),
        &opened.data,
        threat,
        &Goal::Untargeted,
        &attacks,
        &opened.settings.evaluation,
        Watch {
            journal: None,
            progress: &mut |now| {
                bars.at(now);
                true
            },
        },
    )?;
    Ok(Line {
        name,
        found,
        seconds: started.elapsed().as_secs_f64(),
    })
}
