//! How near an attack comes to the smallest perturbations that are known.

use crate::error::{MetricError, same_length};

/// Local optimality of each attack (Cinà et al. 2024, "AttackBench"): the area between its
/// security curve and the accuracy without attack, as a share of that of the best attack per example,
/// up to the radius at which the best leaves nothing. 1 where an attack finds for every example the
/// smallest perturbation that any finds, 0 where it finds nothing.
///
/// `distances` holds for each attack the distance at which each example breaks, none if it did not;
/// examples that are wrong when clean (distance 0 for all) do not count.
///
/// # Errors
/// If there is no attack, the attacks differ in their number of examples, or a distance is negative or
/// not finite.
pub fn optimality(distances: &[Vec<Option<f64>>]) -> Result<Vec<f64>, MetricError> {
    let count = distances.first().map_or(0, Vec::len);
    for attack in distances {
        same_length("the distances of attacks", count, attack.len())?;
        for distance in attack.iter().flatten() {
            if !(distance.is_finite() && *distance >= 0.0) {
                return Err(MetricError::Setting {
                    what: "distance".into(),
                    value: distance.to_string(),
                    valid: "finite and at least 0".into(),
                });
            }
        }
    }
    let best: Vec<Option<f64>> = (0..count)
        .map(|example| {
            let all = distances.iter().filter_map(|attack| attack[example]);
            all.min_by(f64::total_cmp)
        })
        .collect();
    let reach = best.iter().flatten().copied().fold(0.0, f64::max);
    let area = |of: &[Option<f64>]| -> f64 {
        let gained = of.iter().zip(&best).filter(|(_, best)| **best != Some(0.0));
        gained
            .map(|(distance, _)| distance.map_or(0.0, |distance| (reach - distance).max(0.0)))
            .sum()
    };
    let whole = area(&best);
    Ok(distances
        .iter()
        .map(|attack| {
            if whole > 0.0 {
                area(attack) / whole
            } else {
                1.0
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_each_example_is_one() {
        // Best: 1, 2, 4; up to 4 it gains 3 + 2 + 0.
        let distances = vec![
            vec![Some(1.0), Some(3.0), Some(4.0), Some(0.0)],
            vec![Some(2.0), Some(2.0), None, Some(0.0)],
            vec![None, None, None, Some(0.0)],
            vec![Some(1.0), Some(2.0), Some(9.0), Some(0.0)],
        ];
        let found = optimality(&distances).unwrap();
        assert_eq!(found, [4.0 / 5.0, 4.0 / 5.0, 0.0, 1.0]);
    }

    #[test]
    fn nothing_to_gain_is_optimal_and_bad_input_is_told() {
        assert_eq!(optimality(&[vec![None, None]]).unwrap(), [1.0]);
        assert!(optimality(&[vec![Some(1.0)], vec![]]).is_err());
        assert!(optimality(&[vec![Some(f64::NAN)]]).is_err());
        assert!(optimality(&[]).unwrap().is_empty());
    }
}
