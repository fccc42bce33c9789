//! Robust accuracy over the size of the perturbation.

use serde::{Deserialize, Serialize};

use crate::accuracy::accuracy;
use crate::error::{MetricError, finite, same_length};
use crate::interval::Interval;
use crate::record::Series;

/// Robust accuracy at each epsilon, in rising order of epsilon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityCurve {
    /// The points.
    pub points: Vec<CurvePoint>,
}

/// One point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// Size of the perturbation, in the norm and unit of the attack.
    pub epsilon: f64,
    /// Share of examples that are right under attack.
    pub robust: Interval,
}

impl SecurityCurve {
    /// From masks that say for each example whether the answer at that epsilon is right.
    ///
    /// # Errors
    /// If there is no mask, masks differ in length or are empty, or an epsilon is negative, not
    /// finite or given twice.
    pub fn from_masks(masks: &[(f64, Vec<bool>)], level: f64) -> Result<Self, MetricError> {
        let mut points = Vec::with_capacity(masks.len());
        for (epsilon, correct) in masks {
            same_length("the masks of a curve", masks[0].1.len(), correct.len())?;
            points.push(CurvePoint {
                epsilon: *epsilon,
                robust: accuracy(correct, level)?,
            });
        }
        Self::of(points)
    }

    /// From the distance at which each example breaks: 0 if it is wrong when clean, none if no
    /// attack broke it. An example is right at an epsilon below its distance.
    ///
    /// Distances found by an attack are upper bounds, so the curve is one too.
    ///
    /// # Errors
    /// If there is no example or no epsilon, a distance is negative or not finite, or an epsilon is
    /// negative, not finite or given twice.
    pub fn from_distances(
        distances: &[Option<f64>],
        epsilons: &[f64],
        level: f64,
    ) -> Result<Self, MetricError> {
        let found: Vec<f64> = distances.iter().copied().flatten().collect();
        if !found.is_empty() {
            not_negative("distance", &found)?;
        }
        let mut points = Vec::with_capacity(epsilons.len());
        for &epsilon in epsilons {
            let correct: Vec<bool> = distances
                .iter()
                .map(|distance| distance.is_none_or(|distance| distance > epsilon))
                .collect();
            points.push(CurvePoint {
                epsilon,
                robust: accuracy(&correct, level)?,
            });
        }
        Self::of(points)
    }

    fn of(mut points: Vec<CurvePoint>) -> Result<Self, MetricError> {
        let epsilons: Vec<f64> = points.iter().map(|point| point.epsilon).collect();
        not_negative("epsilon", &epsilons)?;
        points.sort_by(|a, b| a.epsilon.total_cmp(&b.epsilon));
        if let Some(twice) = points.windows(2).find(|p| p[0].epsilon == p[1].epsilon) {
            return Err(MetricError::Setting {
                what: "epsilon".into(),
                value: format!("{} twice", twice[0].epsilon),
                valid: "given once per curve".into(),
            });
        }
        Ok(Self { points })
    }

    /// Area under the curve by trapezoids, divided by the range of epsilon: the mean robust
    /// accuracy, in `[0, 1]`. None for a single point.
    pub fn area(&self) -> Option<f64> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        let range = last.epsilon - first.epsilon;
        let area: f64 = self
            .points
            .windows(2)
            .map(|pair| {
                let width = pair[1].epsilon - pair[0].epsilon;
                width * (pair[0].robust.value + pair[1].robust.value) / 2.0
            })
            .sum();
        (range > 0.0).then(|| area / range)
    }

    /// The first step where robust accuracy *rises* by more than `tolerance`, as the two epsilons.
    ///
    /// A larger ball holds the smaller one, so a rise means that an attack failed at the larger
    /// epsilon: a sanity check of the attack, not a property of the model.
    pub fn rise(&self, tolerance: f64) -> Option<[f64; 2]> {
        self.points
            .windows(2)
            .find(|pair| pair[1].robust.value - pair[0].robust.value > tolerance)
            .map(|pair| [pair[0].epsilon, pair[1].epsilon])
    }

    /// The curve as a series of a record.
    pub fn series(&self, x_label: impl Into<String>) -> Series {
        let points: Vec<(f64, Interval)> = self
            .points
            .iter()
            .map(|point| (point.epsilon, point.robust))
            .collect();
        Series::of_intervals(x_label, &points)
    }
}

fn not_negative(what: &str, values: &[f64]) -> Result<(), MetricError> {
    match finite(what, values)?.iter().find(|value| **value < 0.0) {
        Some(value) => Err(MetricError::Setting {
            what: what.into(),
            value: value.to_string(),
            valid: "at least 0".into(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::SecurityCurve;

    fn values(curve: &SecurityCurve) -> Vec<f64> {
        curve.points.iter().map(|p| p.robust.value).collect()
    }

    #[test]
    fn known_curve_and_area() {
        let masks = [
            (0.2, vec![false, false, false, false]),
            (0.0, vec![true, true, true, false]),
            (0.1, vec![true, false, false, false]),
        ];
        let curve = SecurityCurve::from_masks(&masks, 0.95).unwrap();
        assert_eq!(values(&curve), [0.75, 0.25, 0.0]);
        // (.1 * .5 + .1 * .125) / .2.
        assert!((curve.area().unwrap() - 0.3125).abs() < 1e-12);
        assert_eq!(curve.rise(0.0), None);
        assert_eq!(curve.series("epsilon").x, [0.0, 0.1, 0.2]);
    }

    #[test]
    fn an_example_breaks_at_its_distance() {
        let distances = [Some(0.0), Some(0.1), Some(0.25), None];
        let curve = SecurityCurve::from_distances(&distances, &[0.0, 0.1, 0.3], 0.95).unwrap();
        assert_eq!(values(&curve), [0.75, 0.5, 0.25]);
    }

    #[test]
    fn a_rise_is_found() {
        let masks = [(0.0, vec![true]), (0.1, vec![false]), (0.2, vec![true])];
        let curve = SecurityCurve::from_masks(&masks, 0.95).unwrap();
        assert_eq!(curve.rise(0.0), Some([0.1, 0.2]));
        assert_eq!(curve.rise(1.0), None);
    }

    #[test]
    fn a_single_point_has_no_area_and_bad_input_is_refused() {
        let one = SecurityCurve::from_masks(&[(0.1, vec![true])], 0.95).unwrap();
        assert_eq!(one.area(), None);
        let curve = |masks: &[(f64, Vec<bool>)]| SecurityCurve::from_masks(masks, 0.95);
        assert!(curve(&[]).is_err());
        assert!(curve(&[(0.1, vec![])]).is_err());
        assert!(curve(&[(0.1, vec![true]), (0.2, vec![])]).is_err());
        assert!(curve(&[(0.1, vec![true]), (0.1, vec![true])]).is_err());
        assert!(curve(&[(-0.1, vec![true])]).is_err());
        assert!(curve(&[(f64::NAN, vec![true])]).is_err());
        assert!(SecurityCurve::from_distances(&[Some(-1.0)], &[0.1], 0.95).is_err());
    }

    proptest! {
        #[test]
        fn a_curve_of_distances_never_rises(
            distances in prop::collection::vec(prop::option::of(0.0..1.0_f64), 1..30)
        ) {
            let epsilons = [0.0, 0.1, 0.35, 0.7];
            let curve = SecurityCurve::from_distances(&distances, &epsilons, 0.95).unwrap();
            prop_assert_eq!(curve.rise(0.0), None);
            let area = curve.area().unwrap();
            prop_assert!((0.0..=1.0).contains(&area));
        }
    }
}
