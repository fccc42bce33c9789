//! `mr bench-attacks`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use mr_attacks::{Attack, AttackConfig, Evaluation, Goal, ThreatModel, Watch, evaluate_with};
use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};
use mr_metrics::stats::{median, wilson};
use mr_metrics::{
    ExperimentRecord, Interval, RecordKind, SecurityCurve, Series, Short, Table, optimality,
};
use mr_models::data::{Dataset, load};
use mr_models::write_atomic;
use serde_json::{Value, json};

use super::LEVEL;
use super::attack::writable;
use super::search::{named, norm};
use crate::console::{Console, Outcome};
use crate::interrupt;
use crate::layout::{Listing, Percent, plural};
use crate::output::{Output, draft};
use crate::report::lines;
use crate::settings::{Common, DataFlags, Layers, RunFlags, Settings};
use crate::subject::{ModelFlags, Subject, json};

/// Name of the plot that lies beside a record.
const PLOT: &str = "attacks.svg";
/// Points of each curve.
const POINTS: usize = 25;

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
    model: ModelFlags,
    #[command(flatten)]
    data: DataFlags,
    /// Norm of the perturbation: linf, l2, l1, l0 [default: linf]
    #[arg(long, value_name = "NORM", help_heading = "Threat")]
    norm: Option<String>,
    /// Largest perturbation, in pixel units of [0, 1]; inf for the smallest that does
    #[arg(
        long,
        value_name = "R",
        allow_negative_numbers = true,
        help_heading = "Threat"
    )]
    epsilon: Option<f64>,
    /// Attacks by name [default: every one that fits norm and epsilon]; [[attack]] tables of a file set
    /// their options
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        help_heading = "Attack"
    )]
    attacks: Vec<String>,
    #[command(flatten)]
    running: RunFlags,
    #[command(flatten)]
    common: Common,
    /// Draw robust accuracy over the size of the perturbation into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
}

impl Arguments {
    fn layers(&self) -> Result<Layers> {
        let mut layers = self.common.layers()?;
        self.data.apply(&mut layers)?;
        self.running.apply(&mut layers)?;
        layers.flag("--norm", "threat.norm", self.norm.as_deref().map(norm))?;
        layers.flag("--epsilon", "threat.epsilon", self.epsilon)?;
        if layers.get("threat").is_some() {
            layers.beneath("threat.norm", "Linf");
        }
        if !self.attacks.is_empty() {
            let list = self.attacks.iter().map(|name| named(name)).collect();
            layers.replace("attack", toml::Value::Array(list), "--attacks")?;
        }
        Ok(layers)
    }
}

/// What one attack did on its own.
struct Line {
    name: String,
    found: Evaluation,
    seconds: f64,
    optimality: f64,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let mut layers = arguments.layers()?;
    let (subject, device) = Subject::open(&arguments.model, &mut layers)?;
    let settings = Settings::of(layers)?;
    let Some(threat) = &settings.threat else {
        bail!("no threat: give --epsilon (and --norm), or a [threat] table");
    };
    if subject.is_autoencoder() {
        bail!("{}: an autoencoder classifies nothing", subject.path);
    }
    let data = load(&settings.data, settings.split)?;
    subject.takes(&data)?;
    let attacks = chosen(&settings, &subject, threat)?;
    if let Some(path) = &arguments.plot {
        writable("--plot", path)?;
    }
    let config = json!({
        "data": json(&settings.data)?,
        "split": settings.split,
        "threat": json(threat)?,
        "attack": json(&attacks)?,
        "evaluation": json(&settings.evaluation)?,
        "trained": subject.trained,
    });
    let seed = settings.seed.unwrap_or(0);
    let name = settings.name.as_deref();
    let mut record = draft(RecordKind::BenchAttacks, name, config, seed, &device.name);
    let overwrite = arguments.common.overwrite;
    let output = settings.out.as_ref();
    let output = output
        .map(|out| Output::open(out, &record, overwrite))
        .transpose()?;

    let mut all = Vec::new();
    for attack in &attacks {
        all.push(one(attack, &subject, &data, threat, &settings, console)?);
    }
    let distances: Vec<Vec<Option<f64>>> = all
        .iter()
        .map(|line| distances(&line.found, threat))
        .collect();
    let optimality = if threat.is_unbounded() {
        optimality(&distances)?
    } else {
        shares_of_union(&distances)
    };
    for (line, optimality) in all.iter_mut().zip(optimality) {
        line.optimality = optimality;
    }
    let curves = curves(&all, &distances, threat)?;
    fill(&all, &curves, &mut record)?;
    let title = format!(
        "{} on {} ({}), {} {}",
        subject.path,
        data.name(),
        plural(data.len(), "example"),
        threat.norm,
        threat.epsilon
    );
    let drawn = plot(&title, threat, &curves);
    if let Some(path) = &arguments.plot {
        write_atomic(path, drawn.as_bytes())?;
    }
    if let Some(output) = &output {
        write_atomic(&output.path(PLOT), drawn.as_bytes())?;
        record.artifacts.insert("plot".into(), PLOT.into());
        output.write(&record)?;
    }
    console.say(listing(title, &all)?);
    if console.is_json() {
        let mut object = record.to_json();
        object["n"] = data.len().into();
        object["attacks"] = all.iter().map(object_of).collect::<Result<Value>>()?;
        console.object(&object)?;
    }
    Ok(Outcome::Done)
}

/// The attacks that were asked for, each of which has to fit, or all that fit.
fn chosen(
    settings: &Settings,
    subject: &Subject,
    threat: &ThreatModel,
) -> Result<Vec<AttackConfig>> {
    let spec = subject.model().spec();
    threat.fits(spec)?;
    if !settings.attack.is_empty() {
        for attack in &settings.attack {
            attack.attack().fits(spec, threat)?;
        }
        return Ok(settings.attack.clone());
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

fn one(
    config: &AttackConfig,
    subject: &Subject,
    data: &Dataset,
    threat: &ThreatModel,
    settings: &Settings,
    console: &Console,
) -> Result<Line> {
    let members = config.members(threat.norm);
    let attacks: Vec<&dyn Attack> = members.iter().map(AttackConfig::attack).collect();
    let name = config.attack().name();
    let bar = console.bar(&name, data.len());
    let started = Instant::now();
    let found = evaluate_with(
        subject.model(),
        data,
        threat,
        &Goal::Untargeted,
        &attacks,
        &settings.evaluation,
        Watch {
            journal: None,
            progress: &mut |now| {
                bar.at(now.done, || {
                    let share = 100.0 * now.robust as f64 / now.examples as f64;
                    format!("robust {share:.1} %")
                });
                !interrupt::asked()
            },
        },
    )?;
    Ok(Line {
        name,
        found,
        seconds: started.elapsed().as_secs_f64(),
        optimality: 0.0,
    })
}

/// At which distance each example breaks, which rounding may carry past the radius; 0 where it is wrong
/// when clean.
fn distances(found: &Evaluation, threat: &ThreatModel) -> Vec<Option<f64>> {
    let of = |one: &mr_attacks::Judged| {
        let distance = one.distance?;
        Some(f64::from(distance.min(threat.epsilon)))
    };
    found.examples.iter().map(of).collect()
}

/// Of the examples that any attack breaks, the share that each does: inside a ball all perturbations are
/// about as large as the ball, and say nothing of an attack.
fn shares_of_union(distances: &[Vec<Option<f64>>]) -> Vec<f64> {
    let count = distances.first().map_or(0, Vec::len);
    let breaks = |attack: &[Option<f64>], example: usize| {
        attack[example].is_some_and(|distance| distance > 0.0)
    };
    let any = (0..count).filter(|&i| distances.iter().any(|attack| breaks(attack, i)));
    let any: Vec<usize> = any.collect();
    let share = |attack: &Vec<Option<f64>>| {
        let broken = any.iter().filter(|&&i| breaks(attack, i)).count();
        if any.is_empty() {
            1.0
        } else {
            broken as f64 / any.len() as f64
        }
    };
    distances.iter().map(share).collect()
}

impl Line {
    fn robust(&self) -> Result<Interval> {
        let robust = self.found.robust_mask();
        let count = robust.iter().filter(|&&robust| robust).count();
        Ok(wilson(count, robust.len(), LEVEL)?)
    }

    /// Of the examples that are right when clean, the share that it broke.
    fn success(&self) -> Option<f64> {
        let right = self
            .found
            .clean_mask()
            .iter()
            .filter(|&&right| right)
            .count();
        let robust = self
            .found
            .robust_mask()
            .iter()
            .filter(|&&robust| robust)
            .count();
        (right > 0).then(|| 1.0 - robust as f64 / right as f64)
    }

    fn distance(&self) -> Option<f64> {
        let found = self
            .found
            .examples
            .iter()
            .filter(|one| one.attack.is_some());
        let found: Vec<f64> = found
            .filter_map(|one| one.distance)
            .map(f64::from)
            .collect();
        median(&found).ok()
    }

    /// Forward and backward passes per example.
    fn passes(&self) -> [f64; 2] {
        let count = self.found.examples.len().max(1) as f64;
        let counts = self.found.counts;
        [counts.forwards, counts.backwards].map(|passes| passes as f64 / count)
    }
}

/// Robust accuracy over the size of the perturbation, by attack.
fn curves(
    all: &[Line],
    distances: &[Vec<Option<f64>>],
    threat: &ThreatModel,
) -> Result<Vec<(String, SecurityCurve)>> {
    let largest = distances
        .iter()
        .flatten()
        .flatten()
        .copied()
        .fold(0.0, f64::max);
    let end = if threat.is_unbounded() {
        largest
    } else {
        f64::from(threat.epsilon)
    };
    // Where nothing moves, the curve is a point.
    let points = if end > 0.0 { POINTS } else { 1 };
    let epsilons: Vec<f64> = (0..points)
        .map(|i| end * i as f64 / (points.max(2) - 1) as f64)
        .collect();
    let named = all.iter().zip(distances);
    named
        .map(|(line, distances)| {
            let curve = SecurityCurve::from_distances(distances, &epsilons, LEVEL)?;
            Ok((line.name.clone(), curve))
        })
        .collect()
}

fn fill(
    all: &[Line],
    curves: &[(String, SecurityCurve)],
    record: &mut ExperimentRecord,
) -> Result<()> {
    let columns = [
        "attack",
        "robust_accuracy",
        "success_rate",
        "median_distance",
        "optimality",
        "forwards_per_example",
        "backwards_per_example",
    ];
    let mut table = Table {
        columns: columns.map(String::from).into(),
        ..Table::default()
    };
    for line in all {
        let robust = line.robust()?;
        record.number(&format!("robust_accuracy.{}", line.name), robust);
        record.number(&format!("optimality.{}", line.name), line.optimality);
        let [forwards, backwards] = line.passes();
        table.rows.push(vec![
            json!(line.name),
            json!(robust.value),
            json!(line.success()),
            json!(line.distance()),
            json!(line.optimality),
            json!(forwards),
            json!(backwards),
        ]);
    }
    record.tables.insert("attacks".into(), table);
    for (name, curve) in curves {
        let points: Vec<(f64, Interval)> = curve
            .points
            .iter()
            .map(|point| (point.epsilon, point.robust))
            .collect();
        record.curve(
            &format!("robust.{name}"),
            Series::of_intervals("epsilon", &points),
        )?;
    }
    Ok(())
}

fn plot(title: &str, threat: &ThreatModel, curves: &[(String, SecurityCurve)]) -> String {
    let groups = curves.iter().map(|(name, curve)| PlotGroup {
        name: name.clone(),
        x: curve.points.iter().map(|point| point.epsilon).collect(),
        y: curve
            .points
            .iter()
            .map(|point| point.robust.value)
            .collect(),
        ..PlotGroup::default()
    });
    lines(PlotData {
        title: title.into(),
        kind: PlotKind::Line,
        x_scale: Scale::Linear,
        x_label: format!("size of the perturbation ({})", threat.norm),
        y_label: "robust accuracy".into(),
        groups: groups.collect(),
    })
}

fn listing(title: String, all: &[Line]) -> Result<Listing> {
    let mut listing = Listing::new(title);
    let headings = [
        "attack",
        "robust",
        "success",
        "median distance",
        "optimality",
        "forwards",
        "backwards",
        "seconds",
    ];
    listing.row(headings.map(String::from));
    let or_dash = |value: Option<f64>| value.map_or("-".into(), |value| Short(value).to_string());
    for line in all {
        let [forwards, backwards] = line.passes();
        listing.row([
            line.name.clone(),
            Percent(line.robust()?).to_string(),
            line.success()
                .map_or("-".into(), |share| format!("{:.1} %", 100.0 * share)),
            or_dash(line.distance()),
            format!("{:.3}", line.optimality),
            format!("{forwards:.1}"),
            format!("{backwards:.1}"),
            format!("{:.1}", line.seconds),
        ]);
    }
    Ok(listing)
}

/// One attack for a program.
fn object_of(line: &Line) -> Result<Value> {
    let [forwards, backwards] = line.passes();
    let robust = line.robust()?;
    Ok(json!({
        "attack": line.name,
        "robust_accuracy": robust.value,
        "robust_interval": robust.ends(),
        "success_rate": line.success(),
        "median_distance": line.distance(),
        "optimality": line.optimality,
        "forwards_per_example": forwards,
        "backwards_per_example": backwards,
        "seconds": line.seconds,
    }))
}
