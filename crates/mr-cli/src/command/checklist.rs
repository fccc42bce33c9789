//! `mr checklist`.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_attacks::{Checklist, Examined, Norm, ThreatModel, Verdict, run_checklist};
use mr_metrics::{RecordKind, Table};
use mr_models::data::{Dataset, load};
use mr_models::{Model, Network};
use serde_json::{Value, json};

use crate::console::{Console, Outcome};
use crate::layout::plural;
use crate::output::{Output, draft};
use crate::settings::{Common, DataFlags, Layers, RunFlags, Settings};
use crate::subject::{ModelFlags, Subject, json, load as load_network, locate};

/// Examples that are looked at unless it is said how many: enough to tell shares of a twentieth.
pub(super) const EXAMPLES: i64 = 200;

/// Ask whether a robust accuracy can be believed: the checklist for gradient masking
///
/// Attacks that follow gradients find nothing where a defence hides them. Each item asks for a sign of
/// that (Athalye et al. 2018, Carlini et al. 2019), prints what it measured and judges it. Of a random
/// model values and gradients are averaged over checklist.eot draws (20) by every item but the first,
/// and most of them say whether an example is broken. Exit code 1 if an item fails.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr checklist --model runs/half --epsilon 0.1
  mr checklist --model runs/half --data mnist --norm l2 --epsilon 2 --limit 500 --json
  mr checklist --model runs/half --epsilon 0.1 --transfer runs/other
  mr checklist --model runs/half --epsilon 0.1 --defence quantize=4
  mr checklist --model runs/half --epsilon 0.1 --set checklist.queries=2000 --out runs/half-checked")]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    threat: ThreatFlags,
    #[command(flatten)]
    running: RunFlags,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Threat")]
struct ThreatFlags {
    /// Norm of the perturbation: linf, l2, l1, l0 [default: linf]
    #[arg(long, value_name = "NORM")]
    norm: Option<String>,
    /// Largest perturbation, in pixel units of [0, 1]
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// Where the perturbation lives: input or a site; see `mr models --sites` [default: input]
    #[arg(long, value_name = "SITE")]
    place: Option<String>,
    /// Transfer from this model [default: the one under --defence without its defence]
    #[arg(long, value_name = "FILE|DIR")]
    transfer: Option<std::path::PathBuf>,
}

impl ThreatFlags {
    fn apply(&self, layers: &mut Layers) -> Result<()> {
        // A norm that is none is told with its valid names when the threat is read.
        let norm = self.norm.as_ref().map(|name| match name.parse::<Norm>() {
            Ok(norm) => norm.to_string(),
            Err(_) => name.clone(),
        });
        layers.flag("--norm", "threat.norm", norm)?;
        layers.flag("--epsilon", "threat.epsilon", self.epsilon)?;
        layers.flag("--place", "threat.place", self.place.clone())?;
        if layers.get("threat").is_some() {
            layers.beneath("threat.norm", "Linf");
        }
        Ok(())
    }
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let mut layers = arguments.common.layers()?;
    arguments.data.apply(&mut layers)?;
    arguments.threat.apply(&mut layers)?;
    arguments.running.apply(&mut layers)?;
    let (subject, device) = Subject::open(&arguments.model, &mut layers)?;
    layers.beneath("data.limit", EXAMPLES);
    let settings = Settings::of(layers)?;
    let Some(threat) = &settings.threat else {
        bail!("no threat: give --epsilon (and --norm), or a [threat] table");
    };
    let data = load(&settings.data, settings.split)?;
    let source = match &arguments.threat.transfer {
        Some(path) => {
            let saved = load_network(
                &locate(path)?,
                arguments.model.arch.as_deref(),
                settings.model.as_ref(),
                &device.device,
            );
            Some(saved.context("--transfer")?.network)
        }
        None => None,
    };
    let asked = Asked {
        subject: &subject,
        source,
        data: &data,
        threat,
        settings: &settings,
        device: &device.name,
        overwrite: arguments.common.overwrite,
    };
    asked.run(console)
}

/// What the checklist is asked about.
pub(crate) struct Asked<'a> {
    pub(crate) subject: &'a Subject,
    /// The network to transfer from; where there is none and the subject is defended, the subject
    /// without its defence.
    pub(crate) source: Option<Network>,
    pub(crate) data: &'a Dataset,
    pub(crate) threat: &'a ThreatModel,
    pub(crate) settings: &'a Settings,
    pub(crate) device: &'a str,
    pub(crate) overwrite: bool,
}

impl Asked<'_> {
    /// Runs the checklist, prints it, and writes the record where there is a folder for it.
    pub(crate) fn run(self, console: &Console) -> Result<Outcome> {
        let (subject, settings, threat) = (self.subject, self.settings, self.threat);
        if subject.is_autoencoder() {
            bail!("{}: an autoencoder classifies nothing", subject.path);
        }
        subject.takes(self.data)?;
        let mut checklist = settings.checklist.clone();
        checklist.batch_size = settings.evaluation.batch_size;
        checklist.threads = settings.evaluation.threads;
        let config = json!({
            "data": json(&settings.data)?,
            "split": settings.split,
            "threat": json(threat)?,
            "checklist": json(&checklist)?,
            "trained": subject.trained,
        });
        let seed = settings.seed.unwrap_or(0);
        let name = settings.name.as_deref();
        let mut record = draft(RecordKind::Checklist, name, config, seed, self.device);
        let output = settings.out.as_ref();
        let output = output
            .map(|out| Output::open(out, &record, self.overwrite))
            .transpose()?;

        let started = Instant::now();
        let bare = || subject.network.clone();
        let source = self
            .source
            .or_else(|| (!subject.defences.is_empty()).then(bare));
        let source = source.map(|network| Arc::new(network) as Arc<dyn Model>);
        let examined = Examined {
            model: subject.model(),
            source: source.as_ref(),
            data: self.data,
            threat,
        };
        let mut bar = None;
        let found = run_checklist(examined, &checklist, &mut |now| {
            let bar = bar.get_or_insert_with(|| console.bar("checklist", now.total));
            bar.at(now.done, || now.item.into());
            true
        })?;
        drop(bar);
        let seconds = started.elapsed().as_secs_f64();

        for item in &found.items {
            let place = item.name.replace(' ', "_");
            for (name, &value) in &item.evidence {
                record.number(&format!("{place}.{name}"), value);
            }
            if item.verdict >= Verdict::Suspicious {
                let sentence = &item.sentence;
                record
                    .warnings
                    .push(format!("{} ({}): {sentence}", item.name, item.verdict));
            }
        }
        record.tables.insert("items".into(), table(&found));
        let what = format!(
            "{} on {} ({}, {} of them right), {} {} at the {}",
            subject.title(),
            self.data.name(),
            plural(found.examples, "example"),
            found.right,
            threat.norm,
            threat.epsilon,
            threat.place
        );
        console.say(what);
        print(&found, console);
        console.say(format!("  time {seconds:.1} s"));
        let mut object = json!({
            "verdict": found.verdict,
            "n": found.examples,
            "right": found.right,
            "items": json(&found.items)?,
            "norm": threat.norm,
            "epsilon": json(&threat.epsilon)?,
            "place": threat.place,
            "data": self.data.name(),
            "model": subject.path,
            "defence": json(&subject.defences)?,
            "seed": checklist.seed,
            "device": self.device,
            "seconds": seconds,
        });
        if let Some(output) = &output {
            output.write(&record)?;
            object["out"] = json!(settings.out);
        }
        console.object(&object)?;
        Ok(match found.verdict {
            Verdict::Fail => Outcome::CheckFailed,
            _ => Outcome::Done,
        })
    }
}

fn table(found: &Checklist) -> Table {
    let rows = found.items.iter().map(|item| {
        let texts = [&item.name, &item.question, &item.sentence];
        let mut row: Vec<Value> = texts.into_iter().map(|text| json!(text)).collect();
        row.insert(1, json!(item.verdict));
        row
    });
    Table {
        columns: ["item", "verdict", "question", "answer"]
            .map(String::from)
            .to_vec(),
        rows: rows.collect(),
    }
}

/// Each item with its question and its answer, for a person.
fn print(found: &Checklist, console: &Console) {
    for item in &found.items {
        let verdict = item.verdict.to_string();
        console.say(format!("  {verdict:<14}  {}: {}", item.name, item.question));
        console.say(format!("  {:<14}  {}", "", item.sentence));
    }
    let said = match found.verdict {
        Verdict::Pass => "pass: no sign of masked gradients",
        Verdict::Suspicious => "suspicious: look at the items that are",
        Verdict::Fail => "fail: the gradients are masked, and what follows them proves nothing",
        Verdict::NotApplicable => "not applicable: there was nothing to judge",
    };
    console.say(format!("  {said}"));
}
