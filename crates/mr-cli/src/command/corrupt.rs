//! `mr corrupt`.

use anyhow::{Result, bail};
use clap::Args;
use mr_attacks::{
    Corruption, Progress, Spatial, SpatialFamily, Transformation, Transformed,
    evaluate_transformations,
};
use mr_metrics::stats::wilson;
use mr_metrics::{ExperimentRecord, RecordKind, Series, Table, accuracy};
use serde_json::{Value, json};
use toml::Value as Setting;

use super::LEVEL;
use crate::console::{Console, Outcome};
use crate::layout::{Listing, Percent, plural};
use crate::opened::{Opened, Told};
use crate::settings::{Layers, RunFlags};
use crate::subject::{SubjectFlags, json};

/// Judge a network on corrupted, turned and shifted images
///
/// Corruptions are those of CIFAR-10-C that need no pictures of their own, in five severities; their
/// accuracy is that over all examples. Of rotations and translations the worst counts, tried on what the
/// network gets right: every pair of a grid, or so many drawn for each image.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr corrupt --model runs/half
  mr corrupt --model runs/half --kinds fog,gaussian-noise --severities 1,3,5 --limit 1000 --json
  mr corrupt --model runs/half --kinds none --rotation 30 --translation 3
  mr corrupt --model runs/half --rotation 30 --translation 3 --random 10 --out runs/half-corrupted")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: SubjectFlags,
    #[command(flatten)]
    tried: TriedFlags,
    #[command(flatten)]
    running: RunFlags,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Transformations")]
struct TriedFlags {
    /// Corruptions by name, all or none [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    kinds: Option<Vec<String>>,
    /// Severities of each, from 1 to 5 [default: 1,2,3,4,5]
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    severities: Option<Vec<i64>>,
    /// Degrees that images are turned by at most, either way [default: none]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    rotation: Option<f64>,
    /// Pixels that images are shifted by at most, along rows and columns, either way [default: none]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    translation: Option<f64>,
    /// Rotations and translations drawn for each image, instead of a grid of 31 angles and 5 x 5 shifts
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    random: Option<i64>,
}

impl TriedFlags {
    fn apply(&self, layers: &mut Layers) -> Result<()> {
        let kinds = self.kinds.as_ref().map(|kinds| {
            let named = kinds.iter().filter(|kind| *kind != "none");
            Setting::Array(named.map(|kind| kind.as_str().into()).collect())
        });
        layers.flag("--kinds", "corrupt.kinds", kinds)?;
        layers.flag(
            "--severities",
            "corrupt.severities",
            self.severities.clone(),
        )?;
        layers.flag("--rotation", "corrupt.spatial.degrees", self.rotation)?;
        layers.flag("--translation", "corrupt.spatial.pixels", self.translation)?;
        if self.rotation.is_some() || self.translation.is_some() {
            // One flag alone does not bring the other.
            layers.beneath("corrupt.spatial.degrees", 0.0);
            layers.beneath("corrupt.spatial.pixels", 0.0);
        }
        if let Some(count) = self.random {
            if layers.get("corrupt.spatial").is_none() {
                bail!(
                    "--random draws rotations and translations: give --rotation or --translation"
                );
            }
            let mut search = toml::Table::new();
            search.insert("random".into(), count.into());
            layers.put("corrupt.spatial.search", search.into(), "--random")?;
        }
        Ok(())
    }
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        arguments.tried.apply(layers)
    })?;
    opened.classifies()?;
    let settings = &opened.settings;
    let shape = opened.data.shape();
    let corruptions = settings.corrupt.corruptions(shape[0])?;
    let spatial = settings.corrupt.spatial.as_ref();
    let spatial = spatial.map(SpatialFamily::members).transpose()?;
    if corruptions.is_empty() && spatial.is_none() {
        bail!("nothing to try: give --kinds and --severities, --rotation or --translation");
    }
    for corruption in &corruptions {
        corruption.fits(shape)?;
    }

    let config = json!({
        "corrupt": json(&settings.corrupt)?,
        "evaluation": json(&settings.evaluation)?,
    });
    let mut begun = opened.begin(RecordKind::Corrupt, config)?;
    let record = &mut begun.record;
    let mut listing = Listing::new(opened.title());
    if !corruptions.is_empty() {
        let found = tried(&opened, "corruptions", &corruptions, false, console)?;
        clean(&found, record, &mut listing)?;
        corrupted(&corruptions, &found, record, &mut listing)?;
    }
    if let Some(members) = spatial {
        let found = tried(&opened, "rotations", &members, true, console)?;
        if corruptions.is_empty() {
            clean(&found, record, &mut listing)?;
        }
        worst(&members, &found, record, &mut listing)?;
    }
    let told = Told {
        listing,
        examples: None,
        object: begun.object(),
    };
    begun.finish(told, console)
}

/// What became of every example under these transformations.
fn tried<T: Transformation>(
    opened: &Opened,
    what: &str,
    members: &[T],
    worst_only: bool,
    console: &Console,
) -> Result<Transformed> {
    let data = &opened.data;
    let bar = console.bar(what, data.len() * members.len());
    let members: Vec<&dyn Transformation> =
        members.iter().map(|m| m as &dyn Transformation).collect();
    let found = evaluate_transformations(
        opened.subject.model(),
        data,
        &members,
        worst_only,
        &opened.settings.evaluation,
        &mut |now: Progress<'_>| {
            let what = format!("{}, right under all", now.attack);
            bar.share(now.done, &what, now.robust, now.examples);
            true
        },
    )?;
    Ok(found)
}

fn clean(found: &Transformed, record: &mut ExperimentRecord, listing: &mut Listing) -> Result<()> {
    let right: Vec<bool> = found.examples.iter().map(|e| e.clean == e.label).collect();
    let clean = accuracy(&right, LEVEL)?;
    record.number("clean_accuracy", clean);
    listing.line("clean accuracy", Percent(clean));
    Ok(())
}

/// Accuracy by kind and severity, and its means.
fn corrupted(
    corruptions: &[Corruption],
    found: &Transformed,
    record: &mut ExperimentRecord,
    listing: &mut Listing,
) -> Result<()> {
    let n = found.examples.len();
    let mut table = Table {
        columns: ["kind", "severity", "accuracy"].map(String::from).to_vec(),
        rows: Vec::new(),
    };
    let mut severities: Vec<u8> = corruptions.iter().map(|c| c.severity).collect();
    severities.sort_unstable();
    severities.dedup();
    let mut by_severity = vec![Vec::new(); severities.len()];
    let mut by_kind: Vec<(&str, Vec<f64>)> = Vec::new();
    for (corruption, member) in corruptions.iter().zip(&found.members) {
        let accuracy = wilson(member.right, n, LEVEL)?;
        record.number(&format!("accuracy.{}", member.name), accuracy);
        let (kind, severity) = (corruption.kind.name(), corruption.severity);
        let row: Vec<Value> = vec![kind.into(), severity.into(), accuracy.value.into()];
        table.rows.push(row);
        if let Ok(at) = severities.binary_search(&severity) {
            by_severity[at].push(accuracy.value);
        }
        match by_kind.last_mut() {
            Some((last, values)) if *last == kind => values.push(accuracy.value),
            _ => by_kind.push((kind, vec![accuracy.value])),
        }
    }
    record.tables.insert("corruptions".into(), table);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let percent = |value: f64| format!("{:.2} %", 100.0 * value);
    let x = severities
        .iter()
        .map(|&severity| f64::from(severity))
        .collect();
    let means: Vec<f64> = by_severity.iter().map(|values| mean(values)).collect();
    record.curve(
        "corruption_accuracy",
        Series::new("severity", x, means.clone()),
    )?;
    let whole = found.mean_accuracy().unwrap_or_default();
    record.number("mean_corruption_accuracy", whole);
    let robust = accuracy(&found.robust_mask(), LEVEL)?;
    record.number("worst_corruption_accuracy", robust);

    listing.line("mean corruption accuracy", percent(whole));
    listing.line("right under every corruption", Percent(robust));
    let mut heading = vec!["severity".to_string()];
    heading.extend(
        corruptions
            .iter()
            .take(by_kind[0].1.len())
            .map(|c| c.severity.to_string()),
    );
    heading.push("mean".into());
    listing.row(heading);
    for (kind, values) in by_kind {
        let mut cells = vec![format!("  {kind}")];
        cells.extend(values.iter().map(|&value| percent(value)));
        cells.push(percent(mean(&values)));
        listing.row(cells);
    }
    Ok(())
}

/// Accuracy under the worst rotation and translation of each example.
fn worst(
    members: &[Spatial],
    found: &Transformed,
    record: &mut ExperimentRecord,
    listing: &mut Listing,
) -> Result<()> {
    let robust = accuracy(&found.robust_mask(), LEVEL)?;
    record.number("spatial_accuracy", robust);
    record.number("spatial_forwards", found.counts.forwards as f64);
    listing.line(
        format!(
            "worst of {}",
            plural(members.len(), "rotation and translation")
        ),
        Percent(robust),
    );
    Ok(())
}
