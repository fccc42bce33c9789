//! `mr measure`.

use anyhow::{Result, bail};
use clap::Args;
use mr_metrics::{RecordKind, Short};
use serde_json::json;

use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::measure::{self, MeasureConfig};
use crate::opened::{Opened, Told};
use crate::settings::RunFlags;
use crate::subject::{SubjectFlags, json};

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
    on: SubjectFlags,
    /// A site to measure at; may be repeated [default: all hook_out but the last]
    #[arg(long, value_name = "SITE")]
    site: Vec<String>,
    #[command(flatten)]
    running: RunFlags,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        let sites = (!arguments.site.is_empty()).then(|| arguments.site.clone());
        layers.flag("--site", "measure.sites", sites)?;
        let examples = layers.section::<MeasureConfig>("measure")?.examples;
        layers.beneath("data.limit", examples as i64);
        Ok(())
    })?;
    let (subject, settings) = (&opened.subject, &opened.settings);
    subject.undefended("mr measure")?;
    if settings.evaluation.batch_size == 0 {
        bail!("batch_size is 0, must be at least 1");
    }
    let sites = measure::sites(subject, &settings.measure)?;

    let config = json!({
        "measure": json(&settings.measure)?,
        "threat": json(&settings.threat)?,
        "attack": json(&settings.attack)?,
        "epsilons": settings.epsilons,
    });
    let mut begun = opened.begin(RecordKind::Measure, config)?;
    measure::measure(&opened, &sites, &mut begun.record, console)?;
    let mut listing = Listing::new(opened.title());
    for (name, number) in &begun.record.numbers {
        let value = number
            .value
            .map_or("-".into(), |value| Short(value).to_string());
        let ends = match (number.low, number.high) {
            (Some(low), Some(high)) => format!("[{}, {}]", Short(low), Short(high)),
            _ => String::new(),
        };
        listing.row([name.clone(), value, ends]);
    }
    let told = Told {
        listing,
        examples: None,
        object: begun.object(),
    };
    begun.finish(told, console)
}
