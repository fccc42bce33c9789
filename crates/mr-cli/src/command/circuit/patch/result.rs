//! What came out of `mr circuit patch`, for records, programs and people.

use std::path::PathBuf;

use anyhow::Result;
use mr_metrics::{Short, Table};
use serde_json::json;

use crate::console::{Console, Outcome};
use crate::layout::Listing;
use crate::opened::{Begun, Told};
use crate::report::{Heat, heat};

/// Spots that a person is told.
const TOLD: usize = 20;
/// Spots that a record holds, the strongest.
const RECORDED: usize = 200;
/// Name of the plot that lies beside a record.
const PLOT: &str = "patching.svg";

/// What was asked.
pub(super) struct Asked<'a> {
    pub(super) objective: String,
    /// Network and data.
    pub(super) on: String,
    pub(super) ablate: Option<&'a str>,
    pub(super) noise: bool,
    /// Where paths end, if paths are patched.
    pub(super) receivers: &'a [String],
}

impl Asked<'_> {
    /// What a value is called, and which way it was asked.
    fn words(&self) -> (&'static str, &str) {
        match (self.ablate, self.noise) {
            (Some(name), _) => ("change", name),
            (None, true) => ("broken", "noise"),
            (None, false) => ("restored", "denoise"),
        }
    }

    fn title(&self) -> String {
        let (verb, _) = self.words();
        let how = match (self.ablate, self.receivers) {
            (Some(name), _) => format!("changed by {name} ablation"),
            (None, []) => format!("{verb} by patching"),
            (None, receivers) => format!("{verb} by paths to {}", receivers.join(", ")),
        };
        format!("{} {how}: {}", self.objective, self.on)
    }

    fn about(&self) -> String {
        match self.ablate {
            Some(_) => format!("change of the mean {}", self.objective),
            None => format!("share of the difference that is {}", self.words().0),
        }
    }
}

/// Rows, columns, and the values in them.
pub(super) type Cells = (Vec<String>, Vec<String>, Vec<Vec<f32>>);

/// One value for each spot or sender.
pub(super) struct Found {
    pub(super) names: Vec<String>,
    pub(super) values: Vec<f32>,
    /// The values as they are drawn.
    pub(super) table: Cells,
    pub(super) base: Vec<f32>,
    pub(super) donor: Vec<f32>,
}

impl Found {
    /// Writes and says what came out.
    pub(super) fn tell(
        &self,
        asked: &Asked<'_>,
        mut begun: Begun<'_>,
        plot: Option<&PathBuf>,
        console: &Console,
    ) -> Result<Outcome> {
        let (names, values) = (&self.names, &self.values);
        let (verb, direction) = asked.words();
        let title = asked.title();
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
        let mut listing = Listing::new(format!("{title}, {} spots", names.len()));
        listing.row(["spot", verb].map(String::from));
        for &at in order.iter().take(TOLD) {
            let value = Short(f64::from(values[at])).to_string();
            listing.row([names[at].clone(), value]);
        }

        let (rows, columns, cells) = self.table.clone();
        let drawn = heat(&Heat {
            title: title.clone(),
            about: asked.about(),
            rows,
            columns,
            values: cells,
            labels: Vec::new(),
        });
        begun.draw(PLOT, &drawn, plot)?;
        let record = &mut begun.record;
        record.number("spots", names.len() as f64);
        record.number("base", mean(&self.base));
        if !self.donor.is_empty() {
            record.number("donor", mean(&self.donor));
        }
        let row = |&at: &usize| vec![names[at].as_str().into(), values[at].into()];
        let table = Table {
            columns: ["spot", verb].map(String::from).into(),
            rows: order.iter().take(RECORDED).map(row).collect(),
        };
        record.tables.insert("patching".into(), table);
        let found = names.iter().zip(values);
        let found: Vec<_> = found
            .map(|(spot, value)| json!({ "spot": spot, verb: value }))
            .collect();
        let object = json!({
            "title": title,
            "objective": asked.objective,
            "direction": direction,
            "base": self.base,
            "donor": self.donor,
            "spots": found,
        });
        let told = Told {
            listing,
            examples: None,
            object,
        };
        begun.finish(told, console)
    }
}

pub(super) fn mean(values: &[f32]) -> f64 {
    values.iter().copied().map(f64::from).sum::<f64>() / values.len() as f64
}
