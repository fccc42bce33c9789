//! Tables of numbers.

use maud::{Markup, html};
use mr_metrics::finding::TableData;
use mr_metrics::{Interval, Number, Short, Table};
use serde_json::Value;

use super::chart::{raised, trimmed};

/// The table behind a finding: a row per group of runs.
pub(super) fn of_finding(table: &TableData) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label=(table.title) {
            table.results {
                caption { (table.title) }
                thead {
                    tr {
                        th scope="col" { "Runs" }
                        th.number scope="col" { "Seeds" }
                        @for column in &table.columns { th.number scope="col" { (column) } }
                    }
                }
                tbody {
                    @for row in &table.rows {
                        tr {
                            th scope="row" { (row.name) }
                            td.number { (row.seeds) }
                            @for cell in &row.cells { td.number { (estimate(cell.as_ref())) } }
                        }
                    }
                }
            }
        }
    }
}

/// `4.45 [4.31, 4.58]`, or a dash.
pub(super) fn estimate(interval: Option<&Interval>) -> Markup {
    html! {
        @match interval {
            Some(interval) => (value(Some(interval.value), interval.ends())),
            None => span.quiet { "–" },
        }
    }
}

fn value(value: Option<f64>, ends: Option<[f64; 2]>) -> Markup {
    html! {
        @match value {
            Some(value) => (short(value)),
            None => span.quiet { "–" },
        }
        @if let Some([low, high]) = ends {
            small { "[" (short(low)) ", " (short(high)) "]" }
        }
    }
}

/// A number in four digits, with a minus sign in place of a hyphen: `−0.25`, `4.96 × 10⁻⁵`.
pub(super) fn short(value: f64) -> String {
    let text = Short(value).to_string();
    let written = match text.split_once('e') {
        Some((digits, exponent)) => match exponent.parse() {
            Ok(exponent) => format!("{} × 10{}", trimmed(digits), raised(exponent)),
            Err(_) => text,
        },
        None => text,
    };
    written.replace('-', "−")
}

/// The numbers of one record.
pub(super) fn of_numbers<'a>(
    title: &str,
    numbers: impl Iterator<Item = (&'a String, &'a Number)>,
) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label=(title) {
            table {
                caption { (title) }
                thead {
                    tr {
                        th scope="col" { "Name" }
                        th.number scope="col" { "Value" }
                        th.number scope="col" { "Examples" }
                        th scope="col" { "Unit" }
                    }
                }
                tbody {
                    @for (name, number) in numbers {
                        tr {
                            th scope="row" { code { (name) } }
                            td.number { (value(number.value, number.low.zip(number.high).map(<[f64; 2]>::from))) }
                            td.number { @if let Some(n) = number.n { (n) } }
                            td { @if let Some(unit) = &number.unit { (unit) } }
                        }
                    }
                }
            }
        }
    }
}

/// A table that a record holds, as it is.
pub(super) fn of_record(title: &str, table: &Table) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label=(title) {
            table {
                caption { (title) }
                thead { tr { @for column in &table.columns { th scope="col" { (column) } } } }
                tbody {
                    @for row in &table.rows {
                        tr { @for cell in row { td.number[cell.is_number()] { (shown(cell)) } } }
                    }
                }
            }
        }
    }
}

/// A value of a configuration or table as a reader would write it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            number.as_f64().map_or_else(|| number.to_string(), short)
        }
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(shown).collect();
            format!("[{}]", values.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{short, shown};

    #[test]
    fn numbers_are_written_as_in_print() {
        assert_eq!(short(-0.25), "−0.25");
        assert_eq!(short(4.96e-5), "4.96 × 10⁻⁵");
        assert_eq!(short(-1e20), "−1 × 10²⁰");
        assert_eq!(shown(&json!([1, 0.5, "a", null])), "[1, 0.5, a, –]");
    }
}
