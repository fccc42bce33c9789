//! What is done with a circuit that was found.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use mr_circuits::{Circuit, drawing};
use mr_metrics::Short;
use mr_models::write_atomic;
use serde_json::json;

use super::given::strongest;
use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::output::writable;

/// Edges that a person is told.
const TOLD: usize = 20;

/// Flags that say where a circuit goes.
#[derive(Debug, Args)]
pub(super) struct FoundFlags {
    /// Keep edges that lie on no path from input to output too
    #[arg(long, help_heading = "Circuit")]
    unpruned: bool,
    /// Write scores and circuit into this file, in the format of EAP-IG
    #[arg(long, value_name = "FILE.json", help_heading = "Output")]
    save: Option<PathBuf>,
    /// Write a drawing into this file
    #[arg(long, value_name = "FILE.svg", help_heading = "Output")]
    plot: Option<PathBuf>,
}

impl FoundFlags {
    /// Checks, before any work, that what is found can be written.
    pub(super) fn check(&self) -> Result<()> {
        writable("--save", self.save.as_ref())?;
        writable("--plot", self.plot.as_ref())
    }

    /// Tells of a circuit, and writes it.
    pub(super) fn tell(&self, circuit: Circuit, title: &str, console: &Console) -> Result<Outcome> {
        let circuit = if self.unpruned {
            circuit
        } else {
            circuit.pruned()
        };
        if let Some(path) = &self.save {
            circuit.save(path).context("--save")?;
        }
        if let Some(path) = &self.plot {
            let svg = drawing(&circuit, title);
            write_atomic(path, svg.as_bytes())
                .with_context(|| format!("--plot {}", path.display()))?;
        }
        let edges = strongest(&circuit, usize::MAX);
        let mut listing = Listing::new(format!(
            "{title}, {} of {} edges",
            circuit.len(),
            circuit.edges()
        ));
        listing.row(["edge", "score"].map(String::from));
        for (edge, score) in edges.iter().take(TOLD) {
            listing.row([edge.clone(), Short(f64::from(*score)).to_string()]);
        }
        console.say(listing);
        let edges: Vec<_> = edges
            .into_iter()
            .map(|(edge, score)| json!({ "edge": edge, "score": score }))
            .collect();
        console.object(&json!({
            "title": title,
            "kept": circuit.len(),
            "edges": circuit.edges(),
            "nodes": circuit.nodes(),
            "circuit": edges,
        }))?;
        Ok(Outcome::Done)
    }
}
