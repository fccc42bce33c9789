//! Control tasks.

use rand::Rng;
use rand::seq::index;

use crate::error::TrainError;
use crate::random::generator;

/// The labels of a control task (Hewitt & Liang 2019): every type of input gets a label of its own, drawn
/// from the shares that the labels have. Nothing but the type tells it, so whoever is right about types
/// that were not held out has memorised them; a probe is selective as far as it does better on the task.
/// Gives the label of each sample from its type and its label.
///
/// # Panics
/// If types and labels are not equally many.
pub fn control_labels(types: &[usize], labels: &[usize], seed: u64) -> Vec<usize> {
    assert_eq!(
        types.len(),
        labels.len(),
        "a type and a label for each sample"
    );
    let of = |&kind: &usize| {
        let mut rng = generator(seed, "control task", 0, kind as u64);
        labels[rng.random_range(0..labels.len())]
    };
    types.iter().map(of).collect()
}

/// Types of inputs that have no words: each is of the type of the nearest of some inputs `[input, value]`
/// that the seed draws. So a type is a matter of the input alone, and comes again in other examples, which
/// is what a control task needs.
///
/// Ours; in the paper a type is a word.
///
/// # Errors
/// [`TrainError::Setting`] for fewer than 2 types, or more than inputs.
pub fn types_of_inputs(
    inputs: &[f32],
    width: usize,
    types: usize,
    seed: u64,
) -> Result<Vec<usize>, TrainError> {
    let count = inputs.len() / width.max(1);
    if types < 2 || types > count {
        let valid = format!("2 to {count}, the number of examples");
        return Err(TrainError::setting("types", types, valid));
    }
    let mut rng = generator(seed, "types", 0, 0);
    let mut anchors = index::sample(&mut rng, count, types).into_vec();
    anchors.sort_unstable();
    let row = |at: usize| &inputs[at * width..(at + 1) * width];
    let distance = |a: &[f32], b: &[f32]| -> f32 {
        let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
        squares.sum()
    };
    let nearest = |input: &[f32]| {
        let mut best = (f32::INFINITY, 0);
        for (number, &anchor) in anchors.iter().enumerate() {
            let far = distance(input, row(anchor));
            if far < best.0 {
                best = (far, number);
            }
        }
        best.1
    };
    Ok((0..count).map(|at| nearest(row(at))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_one_label_and_labels_have_their_shares() {
        let types: Vec<usize> = (0..4000).map(|i| i % 2000).collect();
        let labels: Vec<usize> = (0..4000).map(|i| usize::from(i % 4 == 0)).collect();
        let control = control_labels(&types, &labels, 0);
        assert_eq!(control[..2000], control[2000..]);
        let share = control.iter().sum::<usize>() as f64 / 4000.0;
        assert!((share - 0.25).abs() < 0.04, "{share}");
        assert_ne!(control, control_labels(&types, &labels, 1));
    }

    #[test]
    fn an_input_is_of_the_type_of_the_nearest() {
        // Two heaps of points far apart: with a point of each as anchor, heaps are types.
        let inputs: Vec<f32> = (0..20)
            .map(|i| (i % 2) as f32 * 10.0 + i as f32 * 0.01)
            .collect();
        let apart = (0..20).map(|seed| types_of_inputs(&inputs, 1, 2, seed).unwrap());
        let heaps =
            |types: &Vec<usize>| (0..20).all(|i| types[i] == types[i % 2]) && types[0] != types[1];
        assert!(apart.clone().any(|types| heaps(&types)));
        assert!(types_of_inputs(&inputs, 1, 21, 0).is_err());
    }
}
