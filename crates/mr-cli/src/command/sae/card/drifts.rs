//! How codes drift, for records, programs and people.

use anyhow::Result;
use mr_attacks::{Against, Card, Drift, Moved};
use mr_metrics::finding::{PlotData, PlotGroup, PlotKind, Scale};
use mr_metrics::stats::{Bootstrap, bca_over};
use mr_metrics::{ExperimentRecord, Interval, Series, Short};

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

/// Every drift with its numbers.
pub(super) struct Drifts {
    lines: Vec<(String, f64, [Option<Interval>; 6])>,
}

impl Drifts {
    pub(super) fn of(card: &Card, bootstrap: Bootstrap) -> Result<Self> {
        let clean = ("clean".to_string(), 0.0, numbers(&card.clean, bootstrap)?);
        let drifts = card.drifts.iter().map(|drift: &Drift| {
            let numbers = numbers(&drift.examples, bootstrap)?;
            Ok((
                drift.against.name().to_string(),
                f64::from(drift.epsilon),
                numbers,
            ))
        });
        let lines = std::iter::once(Ok(clean)).chain(drifts);
        Ok(Self {
            lines: lines.collect::<Result<_>>()?,
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
        for group in self.groups(2) {
            let mut curve = Series::new("epsilon", group.x, group.y);
            curve.low = Some(group.low);
            curve.high = Some(group.high);
            record.curve(&format!("code_change.{}", group.name), curve)?;
        }
        Ok(())
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
            groups: self.groups(2),
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

/// The numbers of [`NAMES`], with intervals over examples; none where no example has one.
fn numbers(examples: &[Moved], bootstrap: Bootstrap) -> Result<[Option<Interval>; 6]> {
    let kept: Vec<&Moved> = examples
        .iter()
        .filter(|one| one.keeps_prediction())
        .collect();
    let all: Vec<&Moved> = examples.iter().collect();
    let ratio = |those: &[&Moved], of: &dyn Fn(&Moved) -> f64, by: &dyn Fn(&Moved) -> f64| {
        if those.is_empty() {
            return Ok(None);
        }
        let statistic = |drawn: &[Vec<usize>]| {
            let sum = |of: &dyn Fn(&Moved) -> f64| -> f64 {
                drawn[0].iter().map(|&at| of(those[at])).sum()
            };
            sum(of) / sum(by)
        };
        anyhow::Ok(bca_over(&[those.len()], statistic, bootstrap).ok())
    };
    let mean = |those: &[&Moved], of: &dyn Fn(&Moved) -> f64| ratio(those, of, &|_| 1.0);
    let flag = |holds: bool| f64::from(u8::from(holds));
    Ok([
        mean(&all, &|one| flag(one.prediction == one.label))?,
        mean(&all, &|one| flag(one.keeps_prediction()))?,
        mean(&all, &|one| f64::from(one.change))?,
        mean(&kept, &|one| f64::from(one.jaccard))?,
        mean(&all, &|one| f64::from(one.l0))?,
        ratio(&all, &|one| f64::from(one.squared_error), &|one| {
            f64::from(one.variance)
        })?,
    ])
}
