//! `mr measure`.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use mr_metrics::{RecordKind, Short};
use mr_models::data::load;
use serde_json::json;

use crate::console::{Console, Outcome};
use crate::layout::{Listing, plural};
use crate::measure::{self, MeasureConfig};
use crate::output::{Output, draft};
use crate::settings::{Common, DataFlags, RunFlags, Settings};
use crate::subject::{ModelFlags, Subject, json};

/// Measure superposition, effective features, vulnerability and saliency of a network
///
/// Of a toy: superposition in its weights and its vulnerability to the analytic attack. Of a
/// classifier: clean accuracy and the alignment of saliency maps with images. Of each site: effective
/// features by tied dictionaries, effective rank and participation ratio. The [measure] table of a
/// settings file says which, and on how much.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr measure --model runs/toy
  mr measure --model runs/half --site conv1.hook_out --set measure.dictionary.steps=2000
  mr measure --model runs/toy --set 'measure.lambdas=[0.1, 0.01]' --out runs/toy-measured
  mr measure --config measure.toml --model runs/half --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    data: DataFlags,
    /// A site to measure at; may be repeated [default: all hook_out but the last]
    #[arg(long, value_name = "SITE")]
    site: Vec<String>,
    #[command(flatten)]
    running: RunFlags,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let mut layers = arguments.common.layers()?;
    arguments.data.apply(&mut layers)?;
    arguments.running.apply(&mut layers)?;
    let sites = (!arguments.site.is_empty()).then(|| arguments.site.clone());
    layers.flag("--site", "measure.sites", sites)?;
    let (subject, device) = Subject::open(&arguments.model, &mut layers)?;
    subject.undefended("mr measure")?;
    let examples = layers.section::<MeasureConfig>("measure")?.examples;
    layers.beneath("data.limit", examples as i64);
    let settings = Settings::of(layers)?;
    if settings.evaluation.batch_size == 0 {
        bail!("batch_size is 0, must be at least 1");
    }
    let data = load(&settings.data, settings.split)?;
    subject.takes(&data)?;
    let sites = measure::sites(&subject, &settings.measure)?;

    let config = json!({
        "data": json(&settings.data)?,
        "split": settings.split,
        "measure": json(&settings.measure)?,
        "trained": subject.trained,
        "threat": json(&settings.threat)?,
        "attack": json(&settings.attack)?,
        "epsilons": settings.epsilons,
    });
    let seed = settings.seed.unwrap_or(0);
    let name = settings.name.as_deref();
    let mut record = draft(RecordKind::Measure, name, config, seed, &device.name);
    let overwrite = arguments.common.overwrite;
    let output = settings.out.as_ref();
    let output = output
        .map(|out| Output::open(out, &record, overwrite))
        .transpose()?;

    let started = Instant::now();
    measure::measure(&subject, &data, &settings, &sites, &mut record, console)?;
    let seconds = started.elapsed().as_secs_f64();
    if let Some(output) = &output {
        output.write(&record)?;
    }

    let title = format!(
        "{} on {} ({})",
        subject.path,
        data.name(),
        plural(data.len(), "example")
    );
    let mut listing = Listing::new(title);
    for (name, number) in &record.numbers {
        let value = number
            .value
            .map_or("-".into(), |value| Short(value).to_string());
        let ends = match (number.low, number.high) {
            (Some(low), Some(high)) => format!("[{}, {}]", Short(low), Short(high)),
            _ => String::new(),
        };
        listing.row([name.clone(), value, ends]);
    }
    listing.line("time", format!("{seconds:.1} s"));
    console.say(listing);
    for warning in &record.warnings {
        console.warn(warning);
    }
    let mut object = record.to_json();
    object["n"] = data.len().into();
    object["seconds"] = seconds.into();
    if let Some(out) = &settings.out {
        object["out"] = json!(out);
    }
    console.object(&object)?;
    Ok(Outcome::Done)
}
