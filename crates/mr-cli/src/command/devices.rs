//! `mr devices`.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::console::{Console, Outcome};
use crate::device::{self, KINDS};
use crate::layout::Listing;

/// List the devices that this mr can compute on
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr devices
  mr attack --model runs/a --device cuda:0 --epsilon 0.1")]
pub(crate) struct Arguments {}

pub(crate) fn run(_arguments: &Arguments, console: &Console) -> Result<Outcome> {
    let default = device::default_kind().map(|kind| kind.name);
    let mut listing = Listing::new("Devices, for --device:");
    for kind in KINDS {
        let state = match (kind.built_in, default == Some(kind.name)) {
            (true, true) => "built in, the default".to_string(),
            (true, false) => "built in".to_string(),
            (false, _) => format!("build with --features {}", kind.name),
        };
        let name = format!("{}{}", kind.name, if kind.indexed { "[:N]" } else { "" });
        listing.row([name, state, kind.about.into()]);
    }
    console.say(listing);
    console.object(&json!({ "default": default, "devices": KINDS }))?;
    Ok(Outcome::Done)
}
