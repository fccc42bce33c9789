//! `mr circuit draw`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use mr_circuits::{Circuit, Ranking, drawing};
use mr_metrics::RecordKind;
use mr_models::{Model, write_atomic};
use serde_json::json;

use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::opened::{Opened, Told};
use crate::output::writable;
use crate::settings::Common;
use crate::subject::NetworkFlags;

/// Name of the drawing that lies beside a record.
const PLOT: &str = "circuit.svg";
/// Name of the graph there.
const DOT: &str = "circuit.dot";

/// Draw a circuit, layers from bottom to top
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mr circuit draw --model runs/induction --circuit induction.json --plot induction.svg
  mr circuit draw --model runs/half --circuit half.json --top 40 --dot half.dot")]
pub(crate) struct Arguments {
    #[command(flatten)]
    on: NetworkFlags,
    /// The circuit, in the format of EAP-IG
    #[arg(long, value_name = "FILE.json", help_heading = "Drawing")]
    circuit: PathBuf,
    /// Draw the N strongest edges of the network instead of the circuit, chosen from the output back
    #[arg(long, value_name = "N", help_heading = "Drawing")]
    top: Option<usize>,
    /// Title of the drawing [default: the file]
    #[arg(long, value_name = "TEXT", help_heading = "Drawing")]
    title: Option<String>,
    /// Write an SVG drawing into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
    /// Write a graph for Graphviz into this file
    #[arg(long, value_name = "FILE.dot", help_heading = "Output")]
    dot: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments, console: &Console) -> Result<Outcome> {
    writable("--plot", arguments.plot.as_ref())?;
    writable("--dot", arguments.dot.as_ref())?;
    let opened = Opened::network(&arguments.on, &arguments.common, |_| Ok(()), |_, _| Ok(()))?;
    if arguments.plot.is_none() && arguments.dot.is_none() && opened.settings.out.is_none() {
        bail!("nowhere to draw: give --plot FILE.svg, --dot FILE.dot or --out DIR");
    }
    let network = &opened.subject.network;
    let mut circuit = Circuit::load(&arguments.circuit, network.spec())?;
    let config = json!({ "circuit": arguments.circuit, "top": arguments.top });
    let mut begun = opened.begin(RecordKind::CircuitDraw, config)?;
    if let Some(n) = arguments.top {
        circuit = Circuit::greedy(circuit.scores().clone(), n, Ranking::Absolute)?;
    }
    let title = match &arguments.title {
        Some(title) => title.clone(),
        None => arguments.circuit.display().to_string(),
    };
    let (svg, dot) = (drawing(&circuit, &title), circuit.to_dot());
    begun.draw(PLOT, &svg, arguments.plot.as_ref())?;
    begun.keep("graph", DOT, dot.as_bytes())?;
    if let Some(path) = &arguments.dot {
        write_atomic(path, dot.as_bytes()).with_context(|| format!("--dot {}", path.display()))?;
    }
    begun.record.number("kept", circuit.len() as f64);
    begun.record.number("edges", circuit.edges() as f64);
    let mut listing = Listing::new(title);
    listing.line("edges", format!("{} of {}", circuit.len(), circuit.edges()));
    for path in [&arguments.plot, &arguments.dot].into_iter().flatten() {
        listing.line("wrote", path.display());
    }
    let object = json!({
        "kept": circuit.len(),
        "edges": circuit.edges(),
        "plot": arguments.plot,
        "dot": arguments.dot,
    });
    let told = Told {
        listing,
        examples: None,
        object,
    };
    begun.finish(told, console)
}
