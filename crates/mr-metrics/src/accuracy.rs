//! Accuracy and robust accuracy from masks of right answers.

use serde::{Deserialize, Serialize};

use crate::error::{MetricError, same_length};
use crate::interval::Interval;
use crate::stats::wilson;

/// The share of right answers, with Wilson's interval.
///
/// # Errors
/// If there is no answer, or the level is not between 0 and 1.
pub fn accuracy(correct: &[bool], level: f64) -> Result<Interval, MetricError> {
    let right = correct.iter().filter(|&&right| right).count();
    wilson(right, correct.len(), level)
}

/// Which examples withstand every attack: the point-wise worst case of masks that say for each
/// example whether the answer under that attack is right.
///
/// # Errors
/// If there is no mask, or the masks differ in length.
pub fn worst_case(attacked: &[&[bool]]) -> Result<Vec<bool>, MetricError> {
    let Some(first) = attacked.first() else {
        return Err(MetricError::Empty {
            what: "the list of attacks".into(),
        });
    };
    let mut robust = first.to_vec();
    for mask in &attacked[1..] {
        same_length("the masks of two attacks", robust.len(), mask.len())?;
        for (robust, &right) in robust.iter_mut().zip(*mask) {
            *robust &= right;
        }
    }
    Ok(robust)
}

/// How a model fares with and without attacks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobustAccuracy {
    /// Accuracy on clean examples.
    pub clean: Interval,
    /// Share of examples that are right when clean and right under every attack.
    pub robust: Interval,
    /// Share of the examples which are right when clean that some attack breaks; none if no example
    /// is right when clean.
    pub success: Option<Interval>,
}

impl RobustAccuracy {
    /// From masks of right answers, clean and under each attack.
    ///
    /// # Errors
    /// If the masks are empty or differ in length, there is no attack, or the level is not between
    /// 0 and 1.
    pub fn new(clean: &[bool], attacked: &[&[bool]], level: f64) -> Result<Self, MetricError> {
        let withstood = worst_case(attacked)?;
        same_length(
            "the clean mask and an attack's",
            clean.len(),
            withstood.len(),
        )?;
        let both = clean.iter().zip(&withstood);
        let robust: Vec<bool> = both.clone().map(|(&clean, &held)| clean && held).collect();
        let broken: Vec<bool> = both
            .filter(|(clean, _)| **clean)
            .map(|(_, &held)| !held)
            .collect();
        Ok(Self {
            clean: accuracy(clean, level)?,
            robust: accuracy(&robust, level)?,
            success: if broken.is_empty() {
                None
            } else {
                Some(accuracy(&broken, level)?)
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::{RobustAccuracy, accuracy, worst_case};

    #[test]
    fn known_shares() {
        let clean = [true, true, true, false];
        // The second attack "repairs" the wrong example, which must not count as robust.
        let attacked: [&[bool]; 2] = [&[true, false, true, false], &[true, true, false, true]];
        let accuracy = RobustAccuracy::new(&clean, &attacked, 0.95).unwrap();
        assert_eq!(accuracy.clean.value, 0.75);
        assert_eq!(accuracy.robust.value, 0.25);
        let success = accuracy.success.unwrap();
        assert_eq!((success.value, success.n), (2.0 / 3.0, 3));
    }

    #[test]
    fn a_model_that_is_always_wrong_cannot_be_broken() {
        let accuracy = RobustAccuracy::new(&[false; 3], &[&[false; 3]], 0.95).unwrap();
        assert_eq!((accuracy.robust.value, accuracy.success), (0.0, None));
    }

    #[test]
    fn empty_and_uneven_masks_are_errors() {
        assert!(accuracy(&[], 0.95).is_err());
        assert!(worst_case(&[]).is_err());
        assert!(worst_case(&[&[true], &[true, false]]).is_err());
        assert!(RobustAccuracy::new(&[true], &[&[true, true]], 0.95).is_err());
    }

    proptest! {
        #[test]
        fn more_attacks_never_help(
            masks in prop::collection::vec(prop::collection::vec(prop::bool::ANY, 8), 1..5)
        ) {
            let attacked: Vec<&[bool]> = masks.iter().map(Vec::as_slice).collect();
            let all = worst_case(&attacked).unwrap();
            for mask in &masks {
                prop_assert!(all.iter().zip(mask).all(|(&all, &one)| !all || one));
            }
            let clean = [true; 8];
            let of = |masks: &[&[bool]]| RobustAccuracy::new(&clean, masks, 0.95).unwrap();
            prop_assert!(of(&attacked).robust.value <= of(&attacked[..1]).robust.value);
            let success = of(&attacked).success.unwrap();
            prop_assert_eq!(of(&attacked).robust.value, 1.0 - success.value);
        }
    }
}
