//! `mr gain`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use mr_attacks::{Gain, gain};
use mr_metrics::stats::wilson;
use mr_metrics::{ExperimentRecord, Interval, RecordKind, Series, Short, Table};
use mr_models::Model;
use serde_json::{Value, json};

use super::LEVEL;
use super::search::{SearchFlags, climber};
use super::threat::norm;
use crate::console::{Console, Outcome};
use crate::layout::{Listing, Percent};
use crate::opened::{Opened, Told};
use crate::output::writable;
use crate::report::{Row, rows};
use crate::settings::RunFlags;
use crate::spread::Spread;
use crate::subject::{SubjectFlags, json};

/// Name of the plot that lies beside a record.
const PLOT: &str = "gain.svg";

/// Measure how far a perturbation at each site moves the margin
///
/// The gain of a site is the change of the margin per unit perturbation there, to first order and in the
/// worst direction; relative gain is that for a perturbation as long as the activation itself. Then an
/// attack at each site, with a radius of a fraction of the mean length of the activation, shows how much
/// of it is real: by how much the margin rises and how many examples stay right.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr gain --model runs/half --limit 500
  mr gain --model runs/half --norm linf --fraction 0.05 --steps 40
  mr gain --model runs/half --place input --place conv2.hook_out --json
  mr gain --model runs/half --fraction 0 --plot gain.svg
  mr gain --model runs/half --limit 500 --out runs/half-gain")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: SubjectFlags,
    /// Norm of perturbations: linf, l2, l1 [default: l2]
    #[arg(long, value_name = "NORM", help_heading = "Gain")]
    norm: Option<String>,
    /// A place to measure at, input or a site; may be repeated [default: the input and every site]
    #[arg(long, value_name = "SITE", help_heading = "Gain")]
    place: Vec<String>,
    /// Radius of the attack, as a fraction of the mean length of the activation; 0 for no attack
    /// [default: 0.1]
    #[arg(
        long,
        value_name = "R",
        allow_negative_numbers = true,
        help_heading = "Gain"
    )]
    fraction: Option<f64>,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    running: RunFlags,
    /// Write a plot of relative gain by site into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        layers.flag("--norm", "gain.norm", arguments.norm.as_deref().map(norm))?;
        let places = (!arguments.place.is_empty()).then(|| arguments.place.clone());
        layers.flag("--place", "gain.places", places)?;
        layers.flag("--fraction", "gain.fraction", arguments.fraction)?;
        arguments.search.apply(layers)
    })?;
    let (settings, data) = (&opened.settings, &opened.data);
    let attack = climber(settings)?;
    let places = settings.gain.places(opened.subject.network.spec())?;
    writable("--plot", arguments.plot.as_ref())?;

    let config = json!({
        "gain": json(&settings.gain)?,
        "attack": json(&settings.attack)?,
        "evaluation": json(&settings.evaluation)?,
    });
    let mut begun = opened.begin(RecordKind::Gain, config)?;
    let attacks = if settings.gain.fraction > 0.0 {
        places.len()
    } else {
        0
    };
    let bar = console.bar("gain", data.len() * (1 + attacks));
    let (gains, counts) = gain(
        opened.subject.model(),
        data,
        &settings.gain,
        attack,
        &settings.evaluation,
        &mut |done, _| {
            bar.at(done, String::new);
            true
        },
    )?;
    drop(bar);
    let lines = gains.iter().map(Line::of).collect::<Result<Vec<_>>>()?;
    fill(&lines, &mut begun.record)?;
    begun.record.number("forwards", counts.forwards as f64);
    begun.record.number("backwards", counts.backwards as f64);

    let norm = settings.gain.norm;
    let title = format!("{}, gain in {norm}", opened.title());
    begun.draw(PLOT, &plot(&title, &lines), arguments.plot.as_ref())?;
    let mut object = begun.object();
    object["norm"] = json(&norm)?;
    let told = Told {
        listing: listing(title, &lines),
        examples: None,
        object,
    };
    begun.finish(told, console)
}

/// The gain at one place, over examples.
struct Line {
    place: String,
    slope: Spread,
    relative: Spread,
    size: Spread,
    attacked: Option<Struck>,
}

/// What the attack there did.
struct Struck {
    epsilon: f32,
    rise: Spread,
    robust: Interval,
}

impl Line {
    fn of(gain: &Gain) -> Result<Self> {
        let struck = gain.attacked.as_ref().map(|attacked| {
            let all = &attacked.examples;
            let right = all.iter().filter(|aim| aim.adversarial == aim.label);
            anyhow::Ok(Struck {
                epsilon: attacked.epsilon,
                rise: Spread::of(all.iter().map(mr_attacks::Aim::rise))?,
                robust: wilson(right.count(), all.len(), LEVEL)?,
            })
        });
        Ok(Self {
            place: gain.place.to_string(),
            slope: Spread::of(gain.slopes.iter().copied())?,
            relative: Spread::of(gain.relative())?,
            size: Spread::of(gain.sizes.iter().copied())?,
            attacked: struck.transpose()?,
        })
    }
}

fn fill(lines: &[Line], record: &mut ExperimentRecord) -> Result<()> {
    let mut table = Table::default();
    let columns = |name: &str| Spread::NAMES.map(|what| format!("{name}.{what}"));
    table.columns = vec!["place".into()];
    for name in ["slope", "relative", "size", "rise"] {
        table.columns.extend(columns(name));
    }
    let last = ["epsilon", "robust_accuracy"];
    table.columns.extend(last.map(String::from));
    for line in lines {
        let name = |what: &str| format!("{}.{what}", line.place);
        line.slope.record(record, &name("slope"));
        line.relative.record(record, &name("relative"));
        let mut row: Vec<Value> = vec![line.place.as_str().into()];
        for spread in [line.slope, line.relative, line.size] {
            row.extend(spread.values());
        }
        match &line.attacked {
            Some(struck) => {
                struck.rise.record(record, &name("rise"));
                record.number(&name("robust_accuracy"), struck.robust);
                row.extend(struck.rise.values());
                row.extend([json(&struck.epsilon)?, struck.robust.value.into()]);
            }
            None => row.extend(std::iter::repeat_n(Value::Null, 6)),
        }
        table.rows.push(row);
    }
    record.tables.insert("gain".into(), table);
    // A report draws curves: the places are numbered in the order of the table.
    let x: Vec<f64> = (0..lines.len()).map(|at| at as f64).collect();
    let of = |value: fn(&Spread) -> f64| lines.iter().map(move |line| value(&line.relative));
    let mut curve = Series::new(
        "place, as numbered in the table of gain",
        x,
        of(|s| s.median).collect(),
    );
    curve.low = Some(of(|s| s.q1).map(Some).collect());
    curve.high = Some(of(|s| s.q3).map(Some).collect());
    record.curve("relative_gain", curve)?;
    Ok(())
}

fn plot(title: &str, lines: &[Line]) -> String {
    let drawn: Vec<Row> = lines
        .iter()
        .map(|line| Row {
            name: line.place.clone(),
            low: line.relative.q1,
            middle: line.relative.median,
            high: line.relative.q3,
            series: 0,
        })
        .collect();
    let about =
        "change of the margin per perturbation as long as the activation; median and quartiles";
    rows(title, about, &drawn)
}

fn listing(title: String, lines: &[Line]) -> Listing {
    let mut listing = Listing::new(title);
    let headings = [
        "place",
        "gain: median",
        "q1",
        "q3",
        "mean",
        "relative: median",
        "q1",
        "q3",
        "epsilon",
        "margin rises by",
        "right when attacked",
    ];
    let attacked = lines.iter().any(|line| line.attacked.is_some());
    let shown = if attacked { headings.len() } else { 8 };
    listing.row(headings[..shown].iter().map(ToString::to_string));
    let short = |value: f64| Short(value).to_string();
    for line in lines {
        let (slope, relative) = (&line.slope, &line.relative);
        let mut cells = vec![line.place.clone()];
        cells.extend([slope.median, slope.q1, slope.q3, slope.mean].map(short));
        cells.extend([relative.median, relative.q1, relative.q3].map(short));
        if let Some(struck) = &line.attacked {
            cells.push(short(f64::from(struck.epsilon)));
            cells.push(short(struck.rise.median));
            cells.push(Percent(struck.robust).to_string());
        }
        listing.row(cells);
    }
    listing
}
