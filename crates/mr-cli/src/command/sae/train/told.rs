//! What is told of dictionaries that were fitted.

use anyhow::Result;
use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};
use mr_metrics::{Series, Short, Table};
use mr_models::Network;
use mr_train::{Fitted, FittedSae};
use serde_json::{Map, Value, json};

use super::super::fed::Fed;
use crate::layout::Listing;
use crate::opened::{Begun, Examples, Opened};
use crate::report::lines;
use crate::subject::{digest, json};

/// `top-k-32: L0 32, explained 91.2 %`, of the first dictionaries.
pub(super) fn live_metrics(reports: &[(String, Option<mr_train::Report>)]) -> String {
    let shown = reports.iter().filter_map(|(name, report)| {
        let report = report.as_ref()?;
        let explained = 100.0 * report.explained;
        Some(format!(
            "{name}: L0 {:.1}, explained {explained:.1} %, {} dead",
            report.l0, report.dead
        ))
    });
    shown.take(3).collect::<Vec<_>>().join("; ")
}

/// What a dictionary's file says of how it was made.
pub(super) fn about(
    opened: &Opened<Fed>,
    sites: &[String],
    other: Option<&Network>,
    fitted: &Fitted,
    one: &FittedSae,
) -> Result<Map<String, Value>> {
    let settings = &opened.settings;
    let mut about = Map::new();
    let mut say = |key: &str, value: Value| about.insert(key.into(), value);
    say("name", one.plan.name.as_str().into());
    say("site", sites[0].as_str().into());
    if settings.sae.writes.is_some() {
        say("writes", sites[1].as_str().into());
    } else if sites.len() > 1 {
        say("sites", json!(sites));
    }
    say("model_name", opened.subject.path.as_str().into());
    say("weights", digest(&opened.subject.network).into());
    if let Some(other) = other {
        say("other_weights", digest(other).into());
    }
    say("data", opened.data.name().into());
    say("seed", settings.sae.seed.into());
    say("steps", fitted.steps.into());
    say(
        "samples",
        (fitted.steps * settings.sae.length.batch_size).into(),
    );
    say("fit", json(&one.plan.fit)?);
    Ok(about)
}

const COLUMNS: [&str; 6] = [
    "dictionary",
    "L0",
    "explained",
    "squared error",
    "dead",
    "loss",
];

/// The share by which L0 may miss what was asked for without a word.
const FAR: f64 = 0.1;

/// Puts the last reports and their curves into the record.
pub(super) fn fill(begun: &mut Begun<'_>, fitted: &Fitted) -> Result<()> {
    let record = &mut begun.record;
    record.number("steps", fitted.steps as f64);
    let mut rows = Vec::new();
    for one in &fitted.dictionaries {
        let (name, reports) = (&one.plan.name, &one.reports);
        let Some(last) = reports.last() else { continue };
        for (what, value) in [
            ("l0", last.l0),
            ("explained", last.explained),
            ("squared_error", last.squared_error),
            ("dead", last.dead as f64),
            ("loss", last.loss),
            ("coefficient", last.coefficient),
        ] {
            record.number(&format!("{name}.{what}"), value);
        }
        if let Some(wanted) = one.plan.fit.l0.map(f64::from)
            && (last.l0 / wanted - 1.0).abs() > FAR
        {
            record.warnings.push(format!(
                "{name}: L0 is {:.3}, not {wanted}: more steps bring it nearer",
                last.l0
            ));
        }
        rows.push(vec![
            name.as_str().into(),
            last.l0.into(),
            last.explained.into(),
            last.squared_error.into(),
            last.dead.into(),
            last.loss.into(),
        ]);
        let curve = |of: fn(&mr_train::Report) -> f64| {
            let steps = reports.iter().map(|report| report.step as f64).collect();
            Series::new("step", steps, reports.iter().map(of).collect())
        };
        record.curve(&format!("{name}.loss"), curve(|report| report.loss))?;
        record.curve(&format!("{name}.l0"), curve(|report| report.l0))?;
    }
    let columns = COLUMNS.map(String::from).into();
    record
        .tables
        .insert("dictionaries".into(), Table { columns, rows });
    Ok(())
}

/// The record's table for a person.
pub(super) fn summary(title: &str, table: &Table) -> Listing {
    let mut listing = Listing::new(title);
    listing.row(table.columns.iter().cloned());
    for row in &table.rows {
        listing.row(row.iter().map(|cell| match cell {
            Value::String(text) => text.clone(),
            other => Short(other.as_f64().unwrap_or(f64::NAN)).to_string(),
        }));
    }
    listing
}

/// The dictionaries for a program.
pub(super) fn dictionaries(fitted: &Fitted, files: &[String]) -> Result<Value> {
    let one = |(one, file): (&FittedSae, &String)| {
        Ok(json!({
            "name": one.plan.name,
            "file": file,
            "dictionary": json(one.sae.config())?,
            "last": json(&one.reports.last())?,
        }))
    };
    let all = fitted.dictionaries.iter().zip(files).map(one);
    Ok(Value::Array(all.collect::<Result<_>>()?))
}

/// Explained variance by step, a line for each dictionary.
pub(super) fn drawn(title: &str, fitted: &Fitted) -> String {
    let group = |one: &FittedSae| {
        let reports = one
            .reports
            .iter()
            .filter(|report| report.explained.is_finite());
        let (x, y): (Vec<f64>, Vec<f64>) = reports
            .map(|report| (report.step as f64, report.explained))
            .unzip();
        let none = vec![None; x.len()];
        PlotGroup {
            name: one.plan.name.clone(),
            n: vec![1; x.len()],
            low: none.clone(),
            high: none,
            x,
            y,
        }
    };
    lines(PlotData {
        title: title.into(),
        kind: PlotKind::Line,
        x_scale: Scale::Linear,
        x_label: "step".into(),
        y_label: "explained variance".into(),
        groups: fitted.dictionaries.iter().map(group).collect(),
    })
}
