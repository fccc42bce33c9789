//! What is done with a circuit that was found.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use mr_circuits::{Circuit, drawing};
use mr_metrics::{Short, Table};
use serde_json::json;

use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::opened::{Begun, Told};
use crate::output::writable;

/// Edges that a person is told.
const TOLD: usize = 20;
/// Edges that a record holds; the file beside it holds all.
const RECORDED: usize = 100;
/// Name of the circuit that lies beside a record.
const CIRCUIT: &str = "circuit.json";
/// Name of its drawing there.
const PLOT: &str = "circuit.svg";

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

    /// Whether edges on no path go.
    pub(super) fn prunes(&self) -> bool {
        !self.unpruned
    }

    /// Tells of a circuit, and writes it.
    pub(super) fn tell(
        &self,
        circuit: Circuit,
        title: &str,
        mut begun: Begun<'_>,
        console: &Console,
    ) -> Result<Outcome> {
        let found = circuit.len();
        let circuit = if self.unpruned {
            circuit
        } else {
            circuit.pruned()
        };
        if circuit.is_empty() {
            begun.record.warnings.push(format!(
                "no edge is left: of the {found} that were found none lies on a path from input to output; \
                 --unpruned keeps them"
            ));
        }
        if let Some(path) = &self.save {
            circuit.save(path).context("--save")?;
        }
        begun.keep_by("circuit", CIRCUIT, |path| Ok(circuit.save(path)?))?;
        begun.draw(PLOT, &drawing(&circuit, title), self.plot.as_ref())?;
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
        let record = &mut begun.record;
        record.number("kept", circuit.len() as f64);
        record.number("edges", circuit.edges() as f64);
        record.number("nodes", circuit.nodes().len() as f64);
        let row = |(edge, score): &(String, f32)| vec![edge.as_str().into(), (*score).into()];
        let table = Table {
            columns: ["edge", "score"].map(String::from).into(),
            rows: edges.iter().take(RECORDED).map(row).collect(),
        };
        record.tables.insert("circuit".into(), table);
        let edges: Vec<_> = edges
            .into_iter()
            .map(|(edge, score)| json!({ "edge": edge, "score": score }))
            .collect();
        let object = json!({
            "title": title,
            "kept": circuit.len(),
            "edges": circuit.edges(),
            "nodes": circuit.nodes(),
            "circuit": edges,
        });
        let told = Told {
            listing,
            examples: None,
            object,
        };
        begun.finish(told, console)
    }
}

/// The strongest edges of a circuit, for a person.
fn strongest(circuit: &Circuit, count: usize) -> Vec<(String, f32)> {
    let mut edges: Vec<_> = circuit.scored().collect();
    edges.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
    let named = edges.into_iter().take(count);
    named
        .map(|(edge, score)| (circuit.wiring().name(edge), score))
        .collect()
}
