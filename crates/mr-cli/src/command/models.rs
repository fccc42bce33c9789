//! `mr models`.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use mr_models::{Architecture, Model, Network};
use serde_json::{Value, json};

use crate::console::{Console, Outcome};
use crate::device;
use crate::layout::Listing;
use crate::preset::PRESETS;
use crate::subject::{self, json};

/// List architectures and presets, or say what a file of weights holds
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr models
  mr models lenet5 --sites
  mr models runs/half --sites --json
  mr models weights.safetensors --arch lenet5")]
pub(crate) struct Arguments {
    /// A preset, a file of weights, or a folder that `mr train` made
    #[arg(value_name = "NAME|FILE|DIR")]
    model: Option<String>,
    /// What bare PyTorch-named weights are the weights of
    #[arg(long, value_name = "NAME", requires = "model")]
    arch: Option<String>,
    /// List the sites where activations can be read, attacked and rewritten
    #[arg(long)]
    sites: bool,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let device = device::open(None)?.device;
    let mut described = Vec::new();
    match &arguments.model {
        Some(name) => {
            let preset = PRESETS.iter().find(|preset| preset.name == name);
            let (network, about) = if let Some(preset) = preset {
                (Network::init(preset.architecture(), 0, &device)?, None)
            } else {
                let path = subject::locate(Path::new(name))?;
                let saved = subject::load(&path, arguments.arch.as_deref(), None, &device)?;
                (saved.network, Some(Value::Object(saved.about)))
            };
            described.push(describe(name, &network, about, arguments.sites, console)?);
        }
        None if arguments.sites => {
            for preset in PRESETS {
                let network = Network::init(preset.architecture(), 0, &device)?;
                described.push(describe(preset.name, &network, None, true, console)?);
            }
        }
        None => {
            let mut listing = Listing::new("Presets, for --arch:");
            for preset in PRESETS {
                let network = Network::init(preset.architecture(), 0, &device)?;
                let parameters = network.weights().parameters();
                listing.row([
                    preset.name.into(),
                    format!("{parameters} parameters"),
                    preset.about.into(),
                ]);
                described.push(json!({
                    "name": preset.name,
                    "about": preset.about,
                    "parameters": parameters,
                    "architecture": json(&preset.architecture())?,
                }));
            }
            console.say(listing);
            console.say(format!(
                "\nArchitectures, for `type` in a [model] table: {}",
                Architecture::NAMES.join(", ")
            ));
        }
    }
    if arguments.model.is_some() {
        console.object(&described[0])?;
    } else {
        console.object(&json!({ "architectures": Architecture::NAMES, "presets": described }))?;
    }
    Ok(Outcome::Done)
}

fn describe(
    name: &str,
    network: &Network,
    about: Option<Value>,
    sites: bool,
    console: &Console,
) -> Result<Value> {
    let spec = network.spec();
    let architecture = json(network.architecture())?;
    let parameters = network.weights().parameters();
    let mut listing = Listing::new(name);
    listing.line("architecture", &architecture);
    listing.line("parameters", parameters);
    listing.line("classes", spec.classes);
    for key in ["name", "seed", "data", "train"] {
        if let Some(value) = about.as_ref().and_then(|about| about.get(key)) {
            listing.line(format!("trained: {key}"), value);
        }
    }
    if !sites {
        listing.line(
            "sites",
            format!("{} (--sites lists them)", spec.sites.len()),
        );
    }
    console.say(listing);
    if sites {
        let mut listing = Listing::new("sites (positions x channels):");
        for site in &spec.sites {
            let grid = site
                .grid
                .map_or(String::new(), |[h, w]| format!("a {h}x{w} map"));
            let size = format!("{} x {}", site.positions, site.channels);
            listing.row([site.name.clone(), size, grid]);
        }
        console.say(listing);
    }
    let sites: Vec<Value> = spec
        .sites
        .iter()
        .map(|site| {
            json!({
                "name": site.name,
                "positions": site.positions,
                "channels": site.channels,
                "grid": site.grid,
            })
        })
        .collect();
    Ok(json!({
        "name": name,
        "architecture": architecture,
        "parameters": parameters,
        "classes": spec.classes,
        "sites": sites,
        "trained": about,
    }))
}
