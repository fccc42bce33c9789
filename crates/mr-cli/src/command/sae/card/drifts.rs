//! How codes drift, for records, programs and people.

use anyhow::Result;
use mr_attacks::{Against, Card, Moved};
use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};
use mr_metrics::stats::{Bootstrap, bca_over};
use mr_metrics::{ExperimentRecord, Interval, Series, Short, Table};

use super::share;
use crate::layout::Listing;
use crate::report::lines;

/// What is told of a drift, by name.
const NAMES: [&str; 6] = [
    "accuracy",
    "predictions_kept",
    "code_change",
    "jaccard_kept",
    "l0",
    "fvu",
];

/// The number that a card of its own is drawn by.
const DRAWN: usize = 2;

/// Every drift with its numbers.
pub(super) struct Drifts {
    lines: Vec<Line>,
    /// The same of each seed by itself, where there are several.
    seeds: Vec<(u64, Vec<Line>)>,
}

/// What an attack is against, its radius, and its numbers.
type Line = (String, f64, [Option<Interval>; 6]);

impl Drifts {
    /// The drifts of the cards of several seeds: means over seeds, intervals over examples.
    pub(super) fn of(cards: &[(u64, Card)], bootstrap: Bootstrap) -> Result<Self> {
        let all: Vec<&Card> = cards.iter().map(|(_, card)| card).collect();
        let mut seeds = Vec::new();
        if cards.len() > 1 {
            for (seed, card) in cards {
                seeds.push((*seed, told(&[card], bootstrap)?));
            }
        }
        Ok(Self {
            lines: told(&all, bootstrap)?,
            seeds,
        })
    }

    pub(super) fn fill(&self, record: &mut ExperimentRecord) -> Result<()> {
        for (against, epsilon, numbers) in &self.lines {
            for (name, number) in NAMES.iter().zip(numbers) {
                if let Some(number) = number {
                    let at = if *epsilon == 0.0 {
                        format!("{against}.{name}")
                    } else {
                        format!("{against}.{}.{name}", Short(*epsilon))
                    };
                    record.number(&at, *number);
                }
            }
        }
        for (number, name) in NAMES.iter().enumerate() {
            for group in self.groups(number) {
                let mut curve = Series::new("epsilon", group.x, group.y);
                curve.low = Some(group.low);
                curve.high = Some(group.high);
                record.curve(&format!("{name}.{}", group.name), curve)?;
            }
        }
        if !self.seeds.is_empty() {
            record.tables.insert("seeds".into(), self.by_seed());
        }
        Ok(())
    }

    /// The numbers of each seed alone: how much an attack's draws matter.
    fn by_seed(&self) -> Table {
        let mut columns = vec!["seed".to_string(), "against".into(), "epsilon".into()];
        columns.extend(NAMES.map(String::from));
        let mut rows = Vec::new();
        for (seed, lines) in &self.seeds {
            for (against, epsilon, numbers) in lines {
                let mut row = vec![(*seed).into(), against.as_str().into(), (*epsilon).into()];
                let value = |number: &Option<Interval>| number.map(|one| one.value).into();
                row.extend(numbers.iter().map(value));
                rows.push(row);
            }
        }
        Table { columns, rows }
    }

    /// One number by radius, a line for what an attack is against.
    fn groups(&self, number: usize) -> Vec<PlotGroup> {
        Against::ALL
            .into_iter()
            .map(|against| {
                let mut group = PlotGroup {
                    name: against.name().into(),
                    ..PlotGroup::default()
                };
                for (name, epsilon, numbers) in &self.lines {
                    let Some(one) = &numbers[number] else {
                        continue;
                    };
                    if name == "clean" || *name == group.name {
                        group.x.push(*epsilon);
                        group.y.push(one.value);
                        group.low.push(one.low);
                        group.high.push(one.high);
                    }
                }
                group
            })
            .collect()
    }

    pub(super) fn plot(&self, title: &str) -> String {
        lines(PlotData {
            title: title.into(),
            kind: PlotKind::Line,
            x_scale: Scale::Linear,
            x_label: "epsilon".into(),
            y_label: "relative squared change of codes".into(),
            groups: self.groups(DRAWN),
        })
    }

    pub(super) fn listing(&self, title: String) -> Listing {
        let mut listing = Listing::new(title);
        let headings = [
            "against",
            "epsilon",
            "right",
            "prediction kept",
            "change of codes",
            "Jaccard where kept",
            "latents on",
            "FVU",
        ];
        listing.row(headings.map(String::from));
        for (against, epsilon, numbers) in &self.lines {
            let mut cells = vec![against.clone(), Short(*epsilon).to_string()];
            cells.extend(numbers.iter().map(|number| {
                let number = number.as_ref().map(|one| Short(one.value).to_string());
                number.unwrap_or_else(|| "-".into())
            }));
            listing.row(cells);
        }
        listing
    }
}

/// What is told of cards of the same examples.
fn told(cards: &[&Card], bootstrap: Bootstrap) -> Result<Vec<Line>> {
    let first = cards[0];
    // Clean examples are the same whatever the seed, and keep their prediction by definition.
    let mut clean = numbers(&[first.clean.as_slice()], bootstrap)?;
    if let Some(kept) = &mut clean[1] {
        (kept.low, kept.high) = (Some(kept.value), Some(kept.value));
    }
    let mut lines = vec![("clean".to_string(), 0.0, clean)];
    for (at, drift) in first.drifts.iter().enumerate() {
        let seeds: Vec<&[Moved]> = cards
            .iter()
            .map(|card| card.drifts[at].examples.as_slice())
            .collect();
        lines.push((
            drift.against.name().to_string(),
            f64::from(drift.epsilon),
            numbers(&seeds, bootstrap)?,
        ));
    }
    Ok(lines)
}

/// The numbers of [`NAMES`], with intervals over examples, of which each comes with all its seeds; none where no example has
/// one.
fn numbers(seeds: &[&[Moved]], bootstrap: Bootstrap) -> Result<[Option<Interval>; 6]> {
    // A ratio of sums: what an example adds above and below the line.
    let ratio = |of: &dyn Fn(&Moved) -> [f64; 2]| {
        let parts: Vec<[f64; 2]> = (0..seeds[0].len())
            .map(|example| {
                let all = seeds.iter().map(|examples| of(&examples[example]));
                all.fold([0.0; 2], |sum, one| [sum[0] + one[0], sum[1] + one[1]])
            })
            .filter(|part| part[1] > 0.0)
            .collect();
        if parts.is_empty() {
            return Ok(None);
        }
        let statistic = |drawn: &[Vec<usize>]| {
            let sum = |part: usize| drawn[0].iter().map(|&at| parts[at][part]).sum::<f64>();
            sum(0) / sum(1)
        };
        anyhow::Ok(bca_over(&[parts.len()], statistic, bootstrap).ok())
    };
    let mean = |of: &dyn Fn(&Moved) -> f64| ratio(&|one| [of(one), 1.0]);
    let rate = |of: &dyn Fn(&Moved) -> bool| {
        let found = mean(&|one| f64::from(u8::from(of(one))))?;
        found.map(share).transpose()
    };
    Ok([
        rate(&|one| one.prediction == one.label)?,
        rate(&Moved::keeps_prediction)?,
        mean(&|one| f64::from(one.change))?,
        ratio(&|one| {
            let kept = f64::from(u8::from(one.keeps_prediction()));
            [kept * f64::from(one.jaccard), kept]
        })?,
        mean(&|one| f64::from(one.l0))?,
        ratio(&|one| [f64::from(one.squared_error), f64::from(one.variance)])?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(prediction: usize, change: f32) -> Moved {
        Moved {
            index: 0,
            label: 0,
            clean: 0,
            prediction,
            kl: 0.0,
            l0: 2.0,
            change,
            jaccard: change / 2.0,
            squared_error: 1.0,
            variance: 4.0,
        }
    }

    #[test]
    fn seeds_of_an_example_go_together_and_only_kept_predictions_are_compared() {
        let first = [moved(0, 1.0), moved(1, 3.0)];
        let second = [moved(0, 1.0), moved(0, 1.0)];
        let bootstrap = Bootstrap::default();
        let found = numbers(&[&first, &second], bootstrap).unwrap();
        let values = found.map(|number| number.unwrap().value);
        assert_eq!(values, [0.75, 0.75, 1.5, 0.5, 2.0, 0.25]);
        assert_eq!(found[2].unwrap().n, 2, "two examples, not four");
        let broken = [moved(1, 1.0)];
        let found = numbers(&[&broken], bootstrap).unwrap();
        assert!(found[3].is_none() && found[2].unwrap().ends().is_none());
        // Wilson's interval of 0 of 1, which resamples cannot give.
        assert!(found[0].unwrap().high.unwrap() > 0.7);
    }
}
