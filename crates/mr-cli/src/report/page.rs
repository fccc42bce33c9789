//! The page as a whole.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use mr_metrics::ExperimentRecord;
use mr_metrics::finding::{Findings, Records, Status, Verdicts};
use mr_metrics::stats::Bootstrap;
use serde_json::Value;

use super::chart::{Chart, figure};
use super::curves::{certified, corruptions, gains, probes, security, training};
use super::finding::{self, Evidence};
use super::gather::{Located, records};
use super::provenance::{self, Origin};
use super::style::style;
use super::variant::is_of_images;
use super::verdicts::table;
use super::{pictures, record, samples};

/// What a report is drawn from.
pub(crate) struct Report<'a> {
    /// Its title.
    pub(crate) title: &'a str,
    /// What was tested, in the words of whoever asked for the report.
    pub(crate) about: Option<&'a str>,
    /// The records, at least one.
    pub(crate) located: &'a [Located],
    /// What was demanded of them, for plots and tables.
    pub(crate) findings: Option<&'a Findings>,
    /// What they say of it.
    pub(crate) verdicts: Option<&'a Verdicts>,
    /// What a reader should hold against the report as a whole.
    pub(crate) cautions: &'a [String],
    /// The commands that make it again.
    pub(crate) commands: &'a [String],
}

/// Up to so many charts stand open; more are folded away.
const OPEN: usize = 8;

/// The file.
pub(crate) fn render(report: &Report<'_>) -> String {
    let origin = Origin::of(report.located);
    let bootstrap = report.findings.map(|findings| findings.bootstrap);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.title) }
                style { (PreEscaped(style())) }
            }
            body {
                header {
                    h1 { (report.title) }
                    @if let Some(about) = report.about { p.lead { (about) } }
                    p.lead[report.about.is_none()] { (tested(report, &origin)) }
                    @for caution in report.cautions { p.caution { strong { "Caution:" } (caution) } }
                }
                main {
                    @if let Some(verdicts) = report.verdicts { (summary(verdicts)) }
                    @if let Some(verdicts) = report.verdicts { (findings(report, verdicts)) }
                    (pictures::section(report.located))
                    (samples::section(report.located))
                    (curves(report, bootstrap.unwrap_or_default()))
                    section id="records" {
                        h2 { "Records" }
                        (record::all(report.located))
                    }
                    (provenance::section(&origin, bootstrap, report.commands))
                }
            }
        }
    };
    page.into_string()
}

/// One paragraph of what was tested.
fn tested(report: &Report<'_>, origin: &Origin) -> Markup {
    let seeds = origin.seeds.len();
    let devices: Vec<&str> = origin.devices.iter().map(String::as_str).collect();
    let (s, devices) = (if seeds == 1 { "" } else { "s" }, devices.join(", "));
    html! {
        @match report.verdicts {
            Some(verdicts) => {
                @let count = verdicts.verdicts.len();
                (in_words(count)) " " @if count == 1 { "finding was" } @else { "findings were" }
                " tested against " (origin.records()) " of " (seeds) " seed" (s)
                ", run on " (devices) ". What each demands stands in its file: it is "
                em { "replicated" } " if every check and control holds, " em { "not replicated" }
                " if a check fails, and " em { "invalid" } " if a control fails or records are missing, "
                "so that nothing can be said. The seed of a run is the unit of statistics."
            }
            None => {
                (origin.records()) " of " (seeds) " seed" (s) ", run on " (devices)
                ". No findings were tested: this report shows what the records hold."
            }
        }
    }
}

/// Small numbers begin a sentence as words.
fn in_words(count: usize) -> String {
    const WORDS: [&str; 13] = [
        "No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten",
        "Eleven", "Twelve",
    ];
    WORDS
        .get(count)
        .map_or_else(|| count.to_string(), |word| (*word).into())
}

fn summary(verdicts: &Verdicts) -> Markup {
    let count = |status| verdicts.count(status);
    html! {
        section id="verdicts" {
            h2 {
                (count(Status::Replicated)) " of " (verdicts.verdicts.len()) " replicated"
                @if count(Status::NotReplicated) > 0 { ", " (count(Status::NotReplicated)) " not" }
                @if count(Status::Invalid) > 0 { ", " (count(Status::Invalid)) " invalid" }
            }
            (table(verdicts))
        }
    }
}

fn findings(report: &Report<'_>, verdicts: &Verdicts) -> Markup {
    let of_all = Records::new(&records(report.located));
    let all: Vec<(&ExperimentRecord, Value)> = report
        .located
        .iter()
        .map(|one| (&one.record, one.record.to_json()))
        .collect();
    let evidence = Evidence {
        records: &of_all,
        all: &all,
        bootstrap: report
            .findings
            .map_or_else(Bootstrap::default, |f| f.bootstrap),
    };
    html! {
        @for (index, verdict) in verdicts.verdicts.iter().enumerate() {
            @let finding = report.findings.and_then(|findings| findings.findings.get(index));
            (finding::section(index, verdict, finding, &evidence))
        }
    }
}

/// Curves of the networks on images; of all networks where there are no findings to draw them.
fn curves(report: &Report<'_>, bootstrap: Bootstrap) -> Markup {
    let of_images: Vec<&ExperimentRecord> = report
        .located
        .iter()
        .map(|one| &one.record)
        .filter(|record| report.verdicts.is_none() || is_of_images(record))
        .collect();
    // A single record shows its own curves.
    let drawn = report.located.len() > 1;
    html! {
        @if drawn {
            (panels(
                "security",
                "Robust accuracy over the size of the attack",
                "Share of examples that are classified correctly and that the attack does not break.",
                &security(&of_images, bootstrap),
            ))
            (panels(
                "certified",
                "Certified accuracy over the size of the attack",
                "Share of examples of which it is proven that no attack of this size breaks them, and the \
                 share that attacks left where there were any.",
                &certified(&of_images, bootstrap),
            ))
            (panels(
                "corruption",
                "Accuracy over the severity of corruptions",
                "Share of examples that are classified correctly, the mean over corruptions.",
                &corruptions(&of_images, bootstrap),
            ))
            (panels(
                "gain",
                "Gain by place",
                "Change of the margin, to first order, for a perturbation as long as the activation.",
                &gains(&of_images, bootstrap),
            ))
            (panels(
                "probes",
                "What probes read off each site",
                "Accuracy on examples that the probe was not fitted to, and that of a control task.",
                &probes(&of_images, bootstrap),
            ))
            (panels(
                "training",
                "Training curves",
                "What was noted along training.",
                &training(&of_images),
            ))
        }
    }
}

fn panels(id: &str, title: &str, what: &str, charts: &[Chart]) -> Markup {
    let grid = |charts: &[Chart]| {
        html! { div.panels { @for chart in charts { (figure(chart)) } } }
    };
    html! {
        @if !charts.is_empty() {
            section id=(id) {
                h2 { (title) }
                p { (what) }
                (grid(&charts[..charts.len().min(OPEN)]))
                @if charts.len() > OPEN {
                    details {
                        summary { (charts.len() - OPEN) " more" }
                        (grid(&charts[OPEN..]))
                    }
                }
            }
        }
    }
}
