//! What flips latents, for records and people.

use mr_attacks::{Card, Flips};
use mr_metrics::{Short, Table};
use serde_json::{Value, json};

use crate::layout::Listing;

/// Of each latent: median radii off and on, of how many examples, how many flip at all, and by noise.
fn rows(card: &Card) -> Vec<[Value; 9]> {
    let of = |flips: &Flips| {
        let side = |on: bool| {
            let (radii, of) = flips.radii(on);
            let noisy = flips.examples.iter().filter(|f| f.on == on && f.by_noise);
            let median = flips.median(on).map_or(Value::Null, |r| json!(r));
            [median, radii.len().into(), noisy.count().into(), of.into()]
        };
        let [a, b, c, d] = side(true);
        let [e, f, g, h] = side(false);
        [flips.latent.into(), a, b, c, d, e, f, g, h]
    };
    card.flips.iter().map(of).collect()
}

const COLUMNS: [&str; 9] = [
    "latent",
    "off: median epsilon",
    "flip",
    "by noise",
    "of",
    "on: median epsilon",
    "flip",
    "by noise",
    "of",
];

/// The table of a record.
pub(super) fn table(card: &Card) -> Table {
    Table {
        columns: names(),
        rows: rows(card).into_iter().map(Vec::from).collect(),
    }
}

/// Columns of a record have names of their own.
fn names() -> Vec<String> {
    [
        "latent",
        "off_median",
        "off_flipped",
        "off_by_noise",
        "off_of",
        "on_median",
        "on_flipped",
        "on_by_noise",
        "on_of",
    ]
    .map(String::from)
    .into()
}

/// The same for a person.
pub(super) fn listing(card: &Card) -> Option<Listing> {
    let mut listing = Listing::new("smallest radius that turns the most active latents off and on");
    listing.row(COLUMNS.map(String::from));
    for row in rows(card) {
        listing.row(row.map(|cell| match cell {
            Value::Null => "-".into(),
            Value::Number(number) if number.is_f64() => {
                Short(number.as_f64().unwrap_or(f64::NAN)).to_string()
            }
            other => other.to_string(),
        }));
    }
    (!card.flips.is_empty()).then_some(listing)
}
