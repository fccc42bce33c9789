//! Records themselves: each by itself where there are few, a table of them where there are many.

use maud::{Markup, html};
use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};
use mr_metrics::{ExperimentRecord, Series};

use super::chart::{Chart, Intervals, Size, figure};
use super::command::line;
use super::configuration::configuration;
use super::gather::Located;
use super::table::{of_numbers, of_record};

/// Up to so many records are shown one by one.
const SHOWN: usize = 12;

/// Every record.
pub(super) fn all(located: &[Located]) -> Markup {
    html! {
        @if located.len() <= SHOWN {
            @for one in located {
                @if located.len() == 1 {
                    (alone(one))
                } @else {
                    details {
                        summary { (name(one)) }
                        div { (alone(one)) }
                    }
                }
            }
        } @else {
            details.long {
                summary { "All " (located.len()) " records" }
                (list(located))
            }
        }
    }
}

/// `runs/toy-0.1-3 (measure, seed 3)`.
fn name(one: &Located) -> String {
    let record = &one.record;
    format!("{} ({}, seed {})", place(one), record.kind, record.seed)
}

/// One row per record.
fn list(located: &[Located]) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label="All records" {
            table {
                thead {
                    tr {
                        th scope="col" { "Folder" }
                        th scope="col" { "Name" }
                        th scope="col" { "Kind" }
                        th.number scope="col" { "Seed" }
                        th scope="col" { "Device" }
                    }
                }
                tbody {
                    @for one in located {
                        tr {
                            th scope="row" { code { (place(one)) } }
                            td { (one.record.name) }
                            td { (one.record.kind) }
                            td.number { (one.record.seed) }
                            td { (one.record.device) }
                        }
                    }
                }
            }
        }
    }
}

/// The folder of a record, as it is named in the report.
pub(super) fn place(one: &Located) -> &str {
    if one.place.is_empty() {
        "."
    } else {
        &one.place
    }
}

/// One record: what came out, with what settings, and how to run it again.
fn alone(one: &Located) -> Markup {
    let record = &one.record;
    html! {
        @if !record.numbers.is_empty() {
            (of_numbers(&format!("Numbers of {}", record.name), record.numbers.iter()))
        }
        @if !record.series.is_empty() {
            div.panels {
                @for (name, series) in &record.series { (figure(&curve(name, series))) }
            }
        }
        @for (name, table) in &record.tables { (of_record(name, table)) }
        @for warning in &record.warnings { p.caution { strong { "Warning:" } (warning) } }
        @if !record.notes.is_empty() {
            ul.plain { @for note in &record.notes { li { (note) } } }
        }
        @if !record.artifacts.is_empty() {
            h4 { "Files" }
            ul.plain {
                @for (name, file) in &record.artifacts { li { (name) ": " code { (file) } } }
            }
        }
        h4 { "Configuration" }
        (configuration(&[record]))
        (rerun(&[record]))
    }
}

/// A curve of one record by itself.
fn curve(name: &str, series: &Series) -> Chart {
    let pick = |ends: &Option<Vec<Option<f64>>>| {
        ends.clone().unwrap_or_else(|| vec![None; series.x.len()])
    };
    let data = PlotData {
        title: name.replace('_', " "),
        kind: PlotKind::Line,
        x_scale: Scale::Linear,
        x_label: series.x_label.clone(),
        y_label: name.replace('_', " "),
        groups: vec![PlotGroup {
            name: String::new(),
            x: series.x.clone(),
            y: series.y.iter().map(|y| y.unwrap_or(f64::NAN)).collect(),
            low: pick(&series.low),
            high: pick(&series.high),
            n: vec![1; series.x.len()],
        }],
    };
    Chart::new(data, Intervals::Own, Size::Half)
}

/// The commands that make records again.
pub(super) fn rerun(records: &[&ExperimentRecord]) -> Markup {
    commands(records, "Command", "Command of the first of these runs")
}

/// The commands of records, under a heading for one and for several.
pub(super) fn commands(records: &[&ExperimentRecord], one: &str, several: &str) -> Markup {
    let commands: Vec<String> = records
        .iter()
        .filter(|record| !record.command.is_empty())
        .map(|record| line(&record.command))
        .collect();
    html! {
        @if let Some(first) = commands.first() {
            h4 { @if commands.len() == 1 { (one) } @else { (several) } }
            pre tabindex="0" { (first) }
            @if commands.len() > 1 {
                details.long {
                    summary { "All " (commands.len()) " commands" }
                    pre.commands tabindex="0" { (commands.join("\n")) }
                }
            }
        }
    }
}
