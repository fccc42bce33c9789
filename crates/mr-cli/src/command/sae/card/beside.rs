//! Cards beside each other: one picture of how codes drift, and one of what flips latents.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mr_attacks::Norm;
use mr_metrics::finding::{PlotData, PlotGroup};
use mr_metrics::{ExperimentRecord, RecordKind, Series};
use serde_json::Value;

use super::flips::SIDES;
use crate::output::RECORD_FILE;
use crate::report::{Line, panel, panels};

/// What drifts are drawn of, and under which label.
const DRIFTS: [(&str, &str); 3] = [
    ("code_change", "relative squared change of codes"),
    ("jaccard_kept", "Jaccard of the strongest, prediction kept"),
    ("accuracy", "accuracy"),
];

/// The attacks that are drawn, and their dashes.
const AGAINST: [(&str, usize); 3] = [("output", 0), ("codes", 1), ("noise", 2)];

/// What flips latents, as its series begins, and its dashes.
const FLIPPED: [(&str, &str, usize); 2] =
    [("flipped", "attack", 0), ("flipped_by_noise", "noise", 2)];

/// A card that is drawn beside this one.
pub(super) struct Beside {
    record: ExperimentRecord,
    folder: PathBuf,
}

impl Beside {
    /// Reads the card of a run.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let shown = folder.display();
        let record = ExperimentRecord::read(&folder.join(RECORD_FILE)).context("--beside")?;
        if record.kind != RecordKind::SaeCard {
            bail!(
                "--beside {shown}: a record of {}, not of `mr sae card`",
                record.kind
            );
        }
        if !record.series.contains_key("accuracy.output") {
            bail!(
                "--beside {shown}: the card of an older release, without its curves: draw it up again"
            );
        }
        Ok(Self {
            record,
            folder: folder.into(),
        })
    }

    /// Refuses a card of another norm, whose radii are others; says what else differs.
    pub(super) fn compare(&self, config: &Value) -> Result<Option<String>> {
        let shown = self.folder.display();
        let theirs = &self.record.config;
        if theirs["norm"] != config["norm"] {
            bail!(
                "--beside {shown}: its radii are of {}, and those of this card of {}",
                theirs["norm"],
                config["norm"]
            );
        }
        let keys = ["data", "split", "card", "seeds", "attack"];
        let other: Vec<&str> = keys
            .into_iter()
            .filter(|key| theirs[key] != config[key])
            .collect();
        let differs = !other.is_empty();
        Ok(differs.then(|| format!("--beside {shown}: not of the same {}", other.join(", "))))
    }

    fn name(&self) -> String {
        called(&self.record, Some(&self.folder))
    }
}

/// A name that was given, or that of the folder.
fn called(record: &ExperimentRecord, folder: Option<&Path>) -> String {
    if record.name != record.kind.to_string() {
        return record.name.clone();
    }
    let name = folder.and_then(Path::file_name);
    name.map_or_else(|| "this".into(), |name| name.to_string_lossy().into())
}

/// The cards that are drawn in one picture.
pub(super) struct Cards<'a> {
    all: Vec<(String, &'a ExperimentRecord)>,
}

impl<'a> Cards<'a> {
    /// Those beside, in their order, and then this one, which lies in `folder`.
    pub(super) fn new(
        beside: &'a [Beside],
        own: &'a ExperimentRecord,
        folder: Option<&Path>,
    ) -> Self {
        let others = beside.iter().map(|one| (one.name(), &one.record));
        let mut all: Vec<(String, &ExperimentRecord)> = others.collect();
        all.push((called(own, folder), own));
        // Two of one name are told apart by their places.
        for at in 1..all.len() {
            if all[..at].iter().any(|(name, _)| *name == all[at].0) {
                all[at].0 = format!("{} ({})", all[at].0, at + 1);
            }
        }
        Self { all }
    }

    /// `standard beside adversarial, Linf`; of one card what it is of.
    pub(super) fn title(&self, norm: Norm, alone: &str) -> String {
        if self.all.len() == 1 {
            return alone.into();
        }
        let names: Vec<&str> = self.all.iter().map(|(name, _)| name.as_str()).collect();
        format!("{}, {norm}", names.join(" beside "))
    }

    /// How codes drift in each.
    pub(super) fn drifts(&self, title: &str) -> String {
        let lines = self.lines(AGAINST);
        let data = DRIFTS.map(|(name, label)| {
            let series = AGAINST.map(|(against, _)| format!("{name}.{against}"));
            self.panel(label, &series)
        });
        panels(title, &lines, data.into())
    }

    /// What flips latents of each; none where no latent was tried.
    pub(super) fn flips(&self, title: &str) -> Option<String> {
        let lines = self.lines(FLIPPED.map(|(_, name, dashes)| (name, dashes)));
        let data = SIDES.map(|(_, side)| {
            let series = FLIPPED.map(|(name, ..)| format!("{name}.{side}"));
            self.panel(&format!("share of latents that are turned {side}"), &series)
        });
        let drawn = data
            .iter()
            .any(|data| data.groups.iter().any(|group| !group.x.is_empty()));
        drawn.then(|| panels(title, &lines, data.into()))
    }

    /// A colour for each card, dashes for each attack.
    fn lines<const N: usize>(&self, kinds: [(&str, usize); N]) -> Vec<Line> {
        let mut lines = Vec::new();
        for (colour, (card, _)) in self.all.iter().enumerate() {
            for (kind, dashes) in kinds {
                let name = match self.all.len() {
                    1 => kind.to_string(),
                    _ => format!("{card}, {kind}"),
                };
                lines.push(Line {
                    name,
                    colour,
                    dashes,
                });
            }
        }
        lines
    }

    fn panel(&self, label: &str, series: &[String]) -> PlotData {
        let mut data = panel("epsilon", label);
        for (_, record) in &self.all {
            data.groups.extend(series.iter().map(|name| {
                let series = record.series.get(name);
                series.map_or_else(PlotGroup::default, group)
            }));
        }
        data
    }
}

fn group(series: &Series) -> PlotGroup {
    let none = vec![None; series.x.len()];
    PlotGroup {
        x: series.x.clone(),
        y: series.y.iter().map(|y| y.unwrap_or(f64::NAN)).collect(),
        low: series.low.clone().unwrap_or_else(|| none.clone()),
        high: series.high.clone().unwrap_or(none),
        ..PlotGroup::default()
    }
}
