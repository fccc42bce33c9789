//! `mr checklist`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use mr_attacks::{
    AttackError, Checklist, ChecklistConfig, Examined, Item, Journal, Verdict, run_checklist,
};
use mr_metrics::{RecordKind, Table};
use mr_models::{Model, Network};
use serde_json::{Value, json};

use super::attack::states;
use super::threat::ThreatFlags;
use crate::console::{Console, Outcome};
use crate::interrupt;
use crate::layout::Listing;
use crate::opened::{Opened, Told};
use crate::settings::RunFlags;
use crate::subject::{SubjectFlags, digest, json};

/// Examples that are looked at unless it is said how many: enough to tell shares of a twentieth.
pub(super) const EXAMPLES: i64 = 200;

/// Name of the file that finished items lie in.
const STATE: &str = "checklist.json";

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
    on: SubjectFlags,
    #[command(flatten)]
    threat: ThreatFlags,
    /// Transfer from this model [default: the one under --defence without its defence]
    #[arg(long, value_name = "FILE|DIR", help_heading = "Threat")]
    transfer: Option<PathBuf>,
    #[command(flatten)]
    running: RunFlags,
    /// Keep the items that are finished in this folder, and go on from what lies there [default:
    /// DIR/states of --out, removed at the end]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    state: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let opened = Opened::of(&arguments.on, &arguments.running, |layers| {
        arguments.threat.apply(layers)?;
        layers.beneath("data.limit", EXAMPLES);
        Ok(())
    })?;
    let from = arguments.transfer.as_ref();
    let source = opened.other("--transfer", from)?;
    ask(&opened, source, from, arguments.state.as_ref(), console)
}

/// Runs the checklist, prints it, and writes the record where there is a folder for it. Examples are
/// transferred from `source`, which was read `from` a file; where there is none and the network is
/// defended, from the network without its defence. What is finished is kept in the folder `state`, or
/// else beside the record.
pub(super) fn ask(
    opened: &Opened,
    source: Option<Network>,
    from: Option<&PathBuf>,
    state: Option<&PathBuf>,
    console: &Console,
) -> Result<Outcome> {
    let (subject, settings) = (&opened.subject, &opened.settings);
    let threat = opened.threat()?;
    opened.classifies()?;
    let mut checklist = settings.checklist.clone();
    checklist.batch_size = settings.evaluation.batch_size;
    checklist.threads = settings.evaluation.threads;
    let mut config = json!({
        "threat": json(threat)?,
        "checklist": json(&checklist)?,
    });
    if let Some(from) = from {
        config["transfer_from"] = json!(from);
    }
    let mut begun = opened.begin(RecordKind::Checklist, config)?;

    let folder = states(state, settings);
    let journal = folder.as_ref().map(|folder| {
        let run = fingerprint(opened, source.as_ref(), &checklist)?;
        anyhow::Ok(Journal::new(folder.join(STATE), run))
    });
    let journal = journal.transpose()?;
    let bare = || subject.network.clone();
    let source = source.or_else(|| (!subject.defences.is_empty()).then(bare));
    let source = source.map(|network| Arc::new(network) as Arc<dyn Model>);
    let examined = Examined {
        model: subject.model(),
        source: source.as_ref(),
        data: &opened.data,
        threat,
    };
    interrupt::catch();
    let mut bar = None;
    let mut finished = Vec::new();
    let found = run_checklist(examined, &checklist, journal.as_ref(), &mut |now| {
        let bar = bar.get_or_insert_with(|| console.bar("checklist", now.total));
        bar.at(now.done.len(), || now.item.into());
        if interrupt::asked() && finished.is_empty() {
            finished = now.done.to_vec();
        }
        !interrupt::asked()
    });
    drop(bar);
    let found = match found {
        Err(AttackError::Stopped) if interrupt::asked() => {
            let mut listing = Listing::new(opened.title_under(threat));
            answers(&finished, &mut listing);
            console.say(listing);
            console.note(match &folder {
                Some(folder) => format!(
                    "stopped; what is finished lies in {}: the same command goes on from there",
                    folder.display()
                ),
                None => "stopped; with --state it could go on from here".into(),
            });
            return Ok(Outcome::Interrupted);
        }
        found => found?,
    };

    let record = &mut begun.record;
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
    let told = Told {
        listing: listing(opened.title_under(threat), &found),
        examples: None,
        object: json!({
            "verdict": found.verdict,
            "n": found.examples,
            "right": found.right,
            "items": json(&found.items)?,
            "norm": threat.norm,
            "epsilon": json(&threat.epsilon)?,
            "place": threat.place,
            "data": opened.data.name(),
            "model": subject.path,
            "defence": json(&subject.defences)?,
            "seed": checklist.seed,
            "device": opened.device.name,
        }),
    };
    begun.finish(told, console)?;
    if settings.out.is_some() && state.is_none() {
        // Nothing is left to go on with.
        let _ = folder.map(std::fs::remove_dir_all);
    }
    Ok(match found.verdict {
        Verdict::Fail => Outcome::CheckFailed,
        _ => Outcome::Done,
    })
}

/// What the answers depend on.
fn fingerprint(
    opened: &Opened,
    source: Option<&Network>,
    checklist: &ChecklistConfig,
) -> Result<Value> {
    let (subject, settings) = (&opened.subject, &opened.settings);
    // Batches and threads change nothing.
    let asked = ChecklistConfig {
        batch_size: 1,
        threads: 1,
        ..checklist.clone()
    };
    Ok(json!({
        "weights": digest(&subject.network),
        "model": json(subject.network.architecture())?,
        "defence": json(&subject.defences)?,
        "source": source.map(digest),
        "data": json(&settings.data)?,
        "split": settings.split,
        "threat": json(opened.threat()?)?,
        "checklist": json(&asked)?,
        "device": opened.device.name,
    }))
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
fn answers(items: &[Item], listing: &mut Listing) {
    for item in items {
        listing.line(item.verdict, format!("{}: {}", item.name, item.question));
        listing.line("", &item.sentence);
    }
}

/// All of them, and what they mean.
fn listing(title: String, found: &Checklist) -> Listing {
    let mut listing = Listing::new(title);
    let (all, right) = (found.examples, found.right);
    listing.line("right", format!("{right} of {all}"));
    answers(&found.items, &mut listing);
    let said = match found.verdict {
        Verdict::Pass => "no sign of masked gradients",
        Verdict::Suspicious => "look at the items that are suspicious",
        Verdict::Fail => "the gradients are masked, and what follows them proves nothing",
        Verdict::NotApplicable => "there was nothing to judge",
    };
    listing.line("", "");
    listing.line(found.verdict, said);
    listing
}
