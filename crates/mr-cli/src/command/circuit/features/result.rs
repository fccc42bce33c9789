//! What a feature circuit is, for records and people.

use anyhow::Result;
use mr_circuits::{DictionaryAt, FeatureEdge, FeatureEffect, FeatureFaithfulness, FeatureNode};
use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};
use mr_metrics::{ExperimentRecord, Number, Series, Short, Table};

use super::curve::{Curves, ENOUGH};
use crate::layout::Listing;
use crate::report::lines;

/// Everything that was found.
pub(super) struct Found<'a> {
    pub(super) title: String,
    pub(super) sites: &'a [DictionaryAt],
    /// The objective on clean and on corrupt inputs.
    pub(super) change: [f64; 2],
    /// Of all nodes, the largest first.
    pub(super) effects: &'a [FeatureEffect],
    /// How many of them are told.
    pub(super) top: usize,
    pub(super) edges: &'a [FeatureEdge],
    pub(super) curves: &'a Curves,
}

/// What the nodes of a site carry together.
struct Parts {
    latents: f64,
    error: f64,
}

impl Found<'_> {
    fn parts(&self, site: &str) -> Parts {
        let mut parts = Parts {
            latents: 0.0,
            error: 0.0,
        };
        for one in self.effects.iter().filter(|one| one.node.site() == site) {
            match one.node {
                FeatureNode::Latent { .. } => parts.latents += one.effect,
                FeatureNode::Error { .. } => parts.error += one.effect,
            }
        }
        parts
    }

    fn changed(&self) -> f64 {
        self.change[1] - self.change[0]
    }

    pub(super) fn fill(&self, record: &mut ExperimentRecord) -> Result<()> {
        record.number("objective.clean", self.change[0]);
        record.number("objective.corrupt", self.change[1]);
        record.number("change", self.changed());
        for at in self.sites {
            let parts = self.parts(&at.site);
            for (name, value) in [
                ("latents", parts.latents),
                ("error", parts.error),
                (
                    "completeness_error",
                    self.changed() - parts.latents - parts.error,
                ),
            ] {
                record.number(&format!("{}.{name}", at.site), value);
            }
        }
        let with_effect = self.effects.iter().filter(|one| one.effect != 0.0);
        record.number("nodes_with_effect", with_effect.count() as f64);
        let enough = Number {
            value: self.curves.enough().map(|nodes| nodes as f64),
            ..Number::default()
        };
        record.numbers.insert("nodes_for_90".into(), enough);
        if let Some(all) = self.curves.strongest.last() {
            record.number("nodes", all.nodes as f64);
            record.number("network", all.network);
            record.number("none", all.none);
            record.number("faithfulness.all", all.faithfulness());
        }
        if let Some(all) = self.curves.latents.last() {
            record.number("faithfulness.all_latents", all.faithfulness());
        }
        for group in self.groups() {
            let mut curve = Series::new("nodes", group.x, group.y);
            curve.low = Some(group.low);
            curve.high = Some(group.high);
            record.curve(
                &format!("faithfulness.{}", group.name.replace(' ', "_")),
                curve,
            )?;
        }
        let row = |one: &FeatureEffect| vec![one.node.to_string().into(), one.effect.into()];
        record.tables.insert(
            "nodes".into(),
            Table {
                columns: vec!["node".into(), "effect".into()],
                rows: self.effects[..self.top].iter().map(row).collect(),
            },
        );
        if !self.edges.is_empty() {
            let row = |edge: &FeatureEdge| {
                let ends = [&edge.from, &edge.to].map(|node| node.to_string().into());
                let mut row = ends.to_vec();
                row.push(edge.effect.into());
                row
            };
            record.tables.insert(
                "edges".into(),
                Table {
                    columns: vec!["from".into(), "to".into(), "effect".into()],
                    rows: self.edges.iter().take(self.top).map(row).collect(),
                },
            );
        }
        Ok(())
    }

    /// Faithfulness by number of nodes, a line for each order.
    fn groups(&self) -> Vec<PlotGroup> {
        let group = |name: &str, curve: &[FeatureFaithfulness]| PlotGroup {
            name: name.into(),
            x: curve.iter().map(|one| one.nodes as f64).collect(),
            y: curve
                .iter()
                .map(FeatureFaithfulness::faithfulness)
                .collect(),
            low: vec![None; curve.len()],
            high: vec![None; curve.len()],
            n: vec![1; curve.len()],
        };
        let mut groups = vec![
            group("strongest nodes", &self.curves.strongest),
            group("strongest latents", &self.curves.latents),
        ];
        let control = self.curves.control();
        if !control.is_empty() {
            groups.push(PlotGroup {
                name: "random order".into(),
                x: control.iter().map(|(nodes, _)| *nodes as f64).collect(),
                y: control.iter().map(|(_, of)| of[0]).collect(),
                low: control.iter().map(|(_, of)| Some(of[1])).collect(),
                high: control.iter().map(|(_, of)| Some(of[2])).collect(),
                n: vec![self.curves.random.len(); control.len()],
            });
        }
        groups
    }

    pub(super) fn plot(&self) -> String {
        lines(PlotData {
            title: self.title.clone(),
            kind: PlotKind::Line,
            x_scale: Scale::Log,
            x_label: "latents and errors that are kept".into(),
            y_label: "faithfulness".into(),
            groups: self.groups(),
        })
    }

    /// For a person: what passes where, and how many nodes it takes.
    pub(super) fn listing(&self) -> Listing {
        let mut listing = Listing::new(self.title.clone());
        let [clean, corrupt] = self.change.map(Short);
        listing.line("clean", clean);
        listing.line("corrupt", corrupt);
        listing.row(["at", "latents carry", "error", "left over"].map(String::from));
        for at in self.sites {
            let parts = self.parts(&at.site);
            let left = self.changed() - parts.latents - parts.error;
            let [latents, error, left] = [parts.latents, parts.error, left].map(shown);
            listing.row([at.site.clone(), latents, error, left]);
        }
        let enough = match self.curves.enough() {
            Some(nodes) => nodes.to_string(),
            None => "more than all".into(),
        };
        listing.line(format!("nodes for a faithfulness of {ENOUGH}"), enough);
        listing.row([
            "kept".to_string(),
            "faithfulness".into(),
            "random order".into(),
        ]);
        let control = self.curves.control();
        for (at, one) in self.curves.strongest.iter().enumerate() {
            let control = control.get(at);
            listing.row([
                one.nodes.to_string(),
                shown(one.faithfulness()),
                control.map_or("-".into(), |(_, of)| shown(of[0])),
            ]);
        }
        listing
    }

    /// The strongest nodes, and the edges between them.
    pub(super) fn strongest(&self) -> Listing {
        let mut listing = Listing::new("strongest nodes");
        for one in &self.effects[..self.top] {
            listing.row([one.node.to_string(), shown(one.effect)]);
        }
        for edge in self.edges.iter().take(self.top) {
            let name = format!("{} -> {}", edge.from, edge.to);
            listing.row([name, shown(edge.effect)]);
        }
        listing
    }
}

/// In four digits; 0 has no sign.
fn shown(value: f64) -> String {
    Short(value + 0.0).to_string()
}
