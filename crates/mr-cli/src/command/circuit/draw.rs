//! `mr circuit draw`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_circuits::{Circuit, Ranking, drawing};
use mr_models::{Model, write_atomic};
use serde_json::json;

use super::given::NetworkFlags;
use crate::console::{Console, Outcome};
use crate::output::writable;

/// Draw a circuit, layers from bottom to top
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr circuit draw --model runs/induction --circuit induction.json --plot induction.svg
  mr circuit draw --model runs/half --circuit half.json --top 40 --dot half.dot")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    /// The circuit, in the format of EAP-IG
    #[arg(long, value_name = "FILE.json")]
    circuit: PathBuf,
    /// Draw the N strongest edges of the network instead of the circuit, chosen from the output back
    #[arg(long, value_name = "N")]
    top: Option<usize>,
    /// Title of the drawing [default: the file]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Write an SVG drawing into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
    /// Write a graph for Graphviz into this file
    #[arg(long, value_name = "FILE.dot", help_heading = "Output")]
    dot: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    if arguments.plot.is_none() && arguments.dot.is_none() {
        bail!("nowhere to draw: give --plot FILE.svg or --dot FILE.dot");
    }
    writable("--plot", arguments.plot.as_ref())?;
    writable("--dot", arguments.dot.as_ref())?;
    let (network, _) = arguments.on.open()?;
    let mut circuit = Circuit::load(&arguments.circuit, network.spec())?;
    if let Some(n) = arguments.top {
        circuit = Circuit::greedy(circuit.scores().clone(), n, Ranking::Absolute)?;
    }
    let title = match &arguments.title {
        Some(title) => title.clone(),
        None => arguments.circuit.display().to_string(),
    };
    let files = [
        ("--plot", &arguments.plot, drawing(&circuit, &title)),
        ("--dot", &arguments.dot, circuit.to_dot()),
    ];
    for (flag, path, text) in files {
        if let Some(path) = path {
            write_atomic(path, text.as_bytes())
                .with_context(|| format!("{flag} {}", path.display()))?;
            console.say(format!("wrote {}", path.display()));
        }
    }
    console.object(&json!({
        "kept": circuit.len(),
        "edges": circuit.edges(),
        "plot": arguments.plot,
        "dot": arguments.dot,
    }))?;
    Ok(Outcome::Done)
}
