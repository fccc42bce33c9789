//! What is no finite number: never a success, never a direction, and counted.

use std::sync::atomic::Ordering;

use burn::tensor::{Tensor, TensorData};
use mr_models::floats;

use super::{Climb, Victim};

impl Victim<'_> {
    /// A step up the objective by finite numbers alone: where the objective is none it is minus infinity,
    /// which no search prefers, and where a coordinate of the gradient is none it is 0.
    pub(super) fn finite_climb(&self, climb: Climb) -> Climb {
        let values = floats(climb.values.clone());
        // A sum is finite only if every term is.
        let sums = floats(climb.gradient.clone().sum_dim(1));
        let odd = values.iter().zip(sums);
        let odd = odd.filter(|(value, sum)| !(value.is_finite() && sum.is_finite()));
        let odd = odd.count();
        if odd == 0 {
            return climb;
        }
        self.note_not_finite(odd);
        let broken = climb.gradient.clone().is_finite().bool_not();
        Climb {
            gradient: climb.gradient.mask_fill(broken, 0.0),
            values: self.lowest(values),
            reached: climb.reached,
        }
    }

    /// The objective, minus infinity where it is no finite number.
    pub(super) fn finite_values(&self, values: Tensor<1>) -> Tensor<1> {
        let read = floats(values.clone());
        let odd = read.iter().filter(|value| !value.is_finite()).count();
        if odd == 0 {
            return values;
        }
        self.note_not_finite(odd);
        self.lowest(read)
    }

    /// The same logits; those that are no finite numbers are counted.
    pub(super) fn counted(&self, logits: Tensor<3>) -> Tensor<3> {
        let classes = logits.dims()[1] * logits.dims()[2];
        let values = floats(logits.clone());
        let rows = values.chunks(classes);
        self.note_not_finite(rows.filter(|row| !all_finite(row)).count());
        logits
    }

    /// What an attack proposes, with the clean coordinate in place of what is no finite number.
    pub(crate) fn finite_points(&self, proposed: Tensor<2>) -> Tensor<2> {
        let width = proposed.dims()[1];
        let values = floats(proposed.clone());
        let odd = values.chunks(width).filter(|row| !all_finite(row)).count();
        if odd == 0 {
            return proposed;
        }
        self.note_not_finite(odd);
        let broken = proposed.clone().is_finite().bool_not();
        proposed.mask_where(broken, self.origin.clone())
    }

    pub(super) fn count_forward(&self) {
        let count = self.examples.len() as u64;
        self.meter.forwards.fetch_add(count, Ordering::Relaxed);
    }

    fn note_not_finite(&self, rows: usize) {
        let rows = rows as u64;
        self.meter.not_finite.fetch_add(rows, Ordering::Relaxed);
    }

    fn lowest(&self, mut values: Vec<f32>) -> Tensor<1> {
        for value in &mut values {
            if !value.is_finite() {
                *value = f32::NEG_INFINITY;
            }
        }
        let count = values.len();
        Tensor::from_data(TensorData::new(values, [count]), &self.device())
    }
}

pub(super) fn all_finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::data::Dataset;
    use mr_models::objective::{Margin, Sum};
    use mr_models::{Bpda, Defence, Defended, Network, Stage};

    use super::*;
    use crate::attack::tests::net;
    use crate::{
        AttackError, Ddn, EvaluationConfig, Flag, Fmn, Goal, Norm, Pgd, Square, ThreatModel, aim,
        evaluate, flags_of_model, flags_of_result,
    };

    /// The net, whose gradient is NaN at its first coordinate.
    fn without_a_slope() -> Defended<Network> {
        let steps = Bpda::new(|values| values).with_backward(|values: Tensor<3>| {
            // The slope of a root at 0 is infinite, and 0 times that is NaN.
            let first = values.clone().narrow(2, 0, 1);
            let nothing = (first.clone() - first).sqrt() * 0.0;
            let rest = values.clone().narrow(2, 1, 3) * 0.0;
            values + Tensor::cat(vec![nothing, rest], 2)
        });
        Defended::new(net(), vec![Defence::new(Stage::Input, steps)]).unwrap()
    }

    fn middle() -> Dataset {
        let names = (0..3).map(|class| class.to_string()).collect();
        Dataset::of_floats("one", [1, 1, 4], names, vec![0.5; 4], vec![0]).unwrap()
    }

    #[test]
    fn a_gradient_that_is_no_number_is_told_and_the_rest_of_it_followed() {
        let net = without_a_slope();
        let config = EvaluationConfig::default();
        let attacks: [&dyn crate::Attack; 3] = [&Pgd::default(), &Ddn::default(), &Fmn::default()];
        for attack in attacks {
            // Along the other coordinates alone the boundary is 1 / 4 away, for those that start there.
            let threat = ThreatModel::new(Norm::L2, 0.4);
            let goal = Goal::Untargeted;
            let found = evaluate(&net, &middle(), &threat, &goal, &[attack], &config).unwrap();
            assert!(found.examples[0].success, "{}", attack.name());
            let passes = found.counts.not_finite;
            assert!(passes > 0);
            assert_eq!(flags_of_result(&found), [Flag::NotFinite { passes }]);
        }
        let flags = flags_of_model(&net, &middle(), 1).unwrap();
        assert_eq!(
            flags,
            [Flag::ZeroGradients {
                zero: 1,
                examples: 1
            }]
        );
    }

    #[test]
    fn an_honest_model_counts_nothing() {
        let threat = ThreatModel::new(Norm::Linf, 0.2);
        let (goal, config) = (Goal::Untargeted, EvaluationConfig::default());
        let attacks: [&dyn crate::Attack; 2] = [&Pgd::default(), &Square::default()];
        let found = evaluate(&net(), &middle(), &threat, &goal, &attacks, &config).unwrap();
        assert_eq!(found.counts.not_finite, 0);
        assert_eq!(flags_of_result(&found), []);
    }

    #[test]
    fn logits_and_objectives_that_are_no_numbers_are_no_success() {
        let (threat, goal) = (ThreatModel::new(Norm::Linf, 0.2), Goal::Untargeted);
        let meter = crate::Meter::default();
        let net = net();
        let data = middle();
        let device = Device::flex();
        let batch = (data.input(&[0], &device), data.labels_of(&[0], &device));
        let victim = Victim::new(&net, &threat, &goal, batch, vec![0], 0, &meter);
        for odd in [f32::NAN, f32::INFINITY] {
            let logits = Tensor::<3>::from_floats([[[0.0, 1.0, odd]]], &device);
            assert_eq!(victim.reached(&logits), [false]);
        }
        let huge = Sum {
            terms: vec![
                (f32::MAX, std::sync::Arc::new(Margin)),
                (f32::MAX, std::sync::Arc::new(Margin)),
            ],
        };
        let scores = victim.score(&huge, victim.origin()).unwrap();
        assert_eq!(scores.values, [f32::NEG_INFINITY]);
        assert_eq!(meter.counts().not_finite, 1);
        let config = EvaluationConfig::default();
        let refused = aim(
            &net,
            &data,
            &threat,
            &Pgd::default(),
            &huge,
            &config,
            &mut |_| true,
        );
        let Err(AttackError::Data(said)) = refused else {
            panic!("{refused:?}");
        };
        assert!(said.contains("is no finite number"), "{said}");
    }
}
