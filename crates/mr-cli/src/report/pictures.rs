//! What was drawn of the insides of networks: circuits, probes, lenses, features.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use mr_metrics::{Number, RecordKind, Table};

use super::gather::Located;
use super::record::{place, rerun};
use super::table::{of_numbers, of_record};
use crate::layout::plural;

/// Up to so many records stand open; more are folded away.
const OPEN: usize = 6;
/// Up to so many numbers of a record are shown beside its pictures; the others are among the records.
const NUMBERS: usize = 16;
/// Up to so many rows of a record's tables too, which stand in the order of their weight.
const ROWS: usize = 8;
/// A larger file would make the page too long to load.
const LARGEST: u64 = 4 << 20;

/// The section, where there are such records.
pub(super) fn section(located: &[Located]) -> Markup {
    let shown: Vec<&Located> = located.iter().filter(|one| is_of_insides(one)).collect();
    let (open, folded) = shown.split_at(shown.len().min(OPEN));
    html! {
        @if !shown.is_empty() {
            section id="insides" {
                h2 { "Inside the networks" }
                p { "What carries a behaviour, where it can be read, and what was drawn of it." }
                @for one in open { (record(one)) }
                @if !folded.is_empty() {
                    details.long {
                        summary { (folded.len()) " more" }
                        @for one in folded { (record(one)) }
                    }
                }
            }
        }
    }
}

/// Whether a record is of something that has no section of its own.
fn is_of_insides(one: &Located) -> bool {
    !matches!(
        one.record.kind,
        RecordKind::Train
            | RecordKind::Eval
            | RecordKind::Attack
            | RecordKind::Certify
            | RecordKind::Checklist
            | RecordKind::Corrupt
            | RecordKind::Universal
            | RecordKind::Patch
            | RecordKind::Measure
            | RecordKind::Aim
            | RecordKind::Gain
            | RecordKind::BenchAttacks
    )
}

fn record(one: &Located) -> Markup {
    let record = &one.record;
    let title = format!("Numbers of {}", record.name);
    // A run without a name has that of its kind.
    let kind = match record.kind.to_string() {
        kind if kind == record.name => String::new(),
        kind => format!("{kind}, "),
    };
    let mut numbers: Vec<(&String, &Number)> = record.numbers.iter().collect();
    let more = numbers.len().saturating_sub(NUMBERS);
    numbers.truncate(NUMBERS);
    html! {
        h3 { (record.name) " " span.quiet { "(" (kind) (place(one)) ")" } }
        @for (name, file) in &record.artifacts {
            @if let Some(kind) = media(file) { (picture(one, name, file, kind)) }
        }
        @if !numbers.is_empty() { (of_numbers(&title, numbers.into_iter())) }
        @if more > 0 { p.quiet { (plural(more, "further number")) " below, among the records." } }
        @for (name, table) in &record.tables { (first_rows(name, table)) }
        @for warning in &record.warnings { p.caution { strong { "Warning:" } (warning) } }
        (rerun(&[record]))
    }
}

/// A table's beginning.
fn first_rows(name: &str, table: &Table) -> Markup {
    let more = table.rows.len().saturating_sub(ROWS);
    let first = Table {
        columns: table.columns.clone(),
        rows: table.rows.iter().take(ROWS).cloned().collect(),
    };
    html! {
        (of_record(name, &first))
        @if more > 0 { p.quiet { (plural(more, "further row")) " below, among the records." } }
    }
}

/// What kind of picture a file is, by its name.
fn media(file: &str) -> Option<&'static str> {
    match Path::new(file).extension()?.to_str()? {
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        _ => None,
    }
}

/// The picture in the page itself: as an image it can run nothing and load nothing.
fn picture(one: &Located, name: &str, file: &str, kind: &str) -> Markup {
    let bytes = read(&one.folder.join(file));
    html! {
        @match bytes {
            Ok(bytes) => {
                figure {
                    img.drawing
                        alt={ (name) " of " (one.record.name) }
                        src={ "data:" (kind) ";base64," (STANDARD.encode(bytes)) };
                    figcaption { (name) ": " code { (file) } }
                }
            }
            Err(reason) => p.missing { "No picture “" (file) "”: " (reason) "." },
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(path)
        .map_err(|_| "there is no such file")?
        .len();
    if size > LARGEST {
        return Err(format!("its {size} bytes are more than {LARGEST}"));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use mr_metrics::ExperimentRecord;
    use serde_json::Value;

    use super::*;

    fn located(kind: RecordKind, folder: &Path) -> Located {
        let mut record = ExperimentRecord::new(kind, "run", Value::Null, 0, "flex");
        record.artifacts.insert("plot".into(), "plot.svg".into());
        record
            .artifacts
            .insert("probe".into(), "probe.safetensors".into());
        let table = Table {
            columns: vec!["edge".into()],
            rows: (0..9).map(|edge| vec![format!("e{edge}").into()]).collect(),
        };
        record.tables.insert("circuit".into(), table);
        for number in 0..18 {
            record.number(&format!("n{number:02}"), 0.5);
        }
        Located {
            record,
            folder: folder.into(),
            place: "runs/one".into(),
        }
    }

    #[test]
    fn a_probe_is_shown_with_its_plot_and_first_numbers() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plot.svg"), "<svg/>").unwrap();
        let shown = section(&[located(RecordKind::Probe, folder.path())]).into_string();
        assert!(
            shown.contains("data:image/svg+xml;base64,PHN2Zy8+"),
            "{shown}"
        );
        assert!(
            shown.contains("n15") && !shown.contains("n16") && shown.contains("2 further numbers")
        );
        assert!(shown.contains("e7") && !shown.contains("e8") && shown.contains("1 further row"));
        assert_eq!(shown.matches("<figure").count(), 1, "{shown}");
    }

    #[test]
    fn what_has_a_section_of_its_own_is_not_shown_and_lost_pictures_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let shown = section(&[located(RecordKind::Gain, folder.path())]).into_string();
        assert_eq!(shown, "");
        let shown = section(&[located(RecordKind::Probe, folder.path())]).into_string();
        assert!(shown.contains("there is no such file"), "{shown}");
    }
}
