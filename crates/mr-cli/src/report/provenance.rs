//! Where the numbers come from.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use mr_metrics::finding::VERDICTS_SCHEMA;
use mr_metrics::stats::Bootstrap;
use mr_metrics::{RECORD_SCHEMA, RecordKind};

use super::gather::Located;

/// What the records say of their origin, together.
pub(super) struct Origin {
    pub(super) kinds: BTreeMap<RecordKind, usize>,
    pub(super) seeds: BTreeSet<u64>,
    pub(super) devices: BTreeSet<String>,
    versions: BTreeMap<String, BTreeSet<String>>,
    /// Warnings and notes, each with the number of records that hold it.
    warnings: BTreeMap<String, usize>,
    notes: BTreeMap<String, usize>,
}

impl Origin {
    pub(super) fn of(located: &[Located]) -> Self {
        let mut origin = Self {
            kinds: BTreeMap::new(),
            seeds: BTreeSet::new(),
            devices: BTreeSet::new(),
            versions: BTreeMap::new(),
            warnings: BTreeMap::new(),
            notes: BTreeMap::new(),
        };
        for Located { record, .. } in located {
            *origin.kinds.entry(record.kind).or_default() += 1;
            origin.seeds.insert(record.seed);
            origin.devices.insert(record.device.clone());
            for (name, version) in &record.versions {
                let versions = origin.versions.entry(name.clone()).or_default();
                versions.insert(version.clone());
            }
            for (from, to) in [
                (&record.warnings, &mut origin.warnings),
                (&record.notes, &mut origin.notes),
            ] {
                for text in from {
                    *to.entry(text.clone()).or_default() += 1;
                }
            }
        }
        origin
    }

    /// `132 records (60 train, 30 attack, 42 measure)`.
    pub(super) fn records(&self) -> String {
        let all: usize = self.kinds.values().sum();
        let kinds: Vec<String> = self
            .kinds
            .iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let s = if all == 1 { "" } else { "s" };
        format!("{all} record{s} ({})", kinds.join(", "))
    }

    /// `0–4`, or `0, 3, 7`.
    fn seeds(&self) -> String {
        let (first, last) = (self.seeds.first(), self.seeds.last());
        if let (Some(first), Some(last)) = (first, last)
            && last - first == self.seeds.len() as u64 - 1
            && last - first > 1
        {
            return format!("{first}–{last}");
        }
        listed(self.seeds.iter().map(u64::to_string))
    }
}

fn listed(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(", ")
}

/// The last section.
pub(super) fn section(
    origin: &Origin,
    bootstrap: Option<Bootstrap>,
    commands: &[String],
) -> Markup {
    html! {
        section id="provenance" {
            h2 { "Provenance" }
            dl.facts {
                dt { "Records" } dd { (origin.records()) }
                dt { "Seeds" } dd { (origin.seeds()) }
                dt { "Devices" } dd { (listed(origin.devices.iter().cloned())) }
                @for (name, versions) in &origin.versions {
                    dt { (name) } dd { (listed(versions.iter().cloned())) }
                }
                dt { "Report by" } dd { "mr " (env!("CARGO_PKG_VERSION")) }
                dt { "Formats" }
                dd { "records version " (RECORD_SCHEMA) ", verdicts version " (VERDICTS_SCHEMA) }
                @if let Some(bootstrap) = bootstrap {
                    dt { "Intervals" }
                    dd {
                        "BCa bootstrap over seeds (Efron 1987), level " (bootstrap.level) ", "
                        (bootstrap.resamples) " resamples, seed " (bootstrap.seed)
                    }
                }
            }
            @if !commands.is_empty() {
                h4 { "Commands that made this report" }
                @for command in commands { pre tabindex="0" { (command) } }
            }
            (remarks("Warnings of the records", &origin.warnings))
            (remarks("Notes of the records", &origin.notes))
        }
    }
}

fn remarks(title: &str, remarks: &BTreeMap<String, usize>) -> Markup {
    html! {
        @if !remarks.is_empty() {
            details {
                summary { (title) " (" (remarks.len()) ")" }
                ul.plain {
                    @for (text, count) in remarks {
                        li {
                            (text)
                            @if *count > 1 { span.quiet { " (" (count) " records)" } }
                        }
                    }
                }
            }
        }
    }
}
