//! Which examples are held out when.

use rand::seq::SliceRandom;

use crate::error::TrainError;
use crate::random::generator;

/// Deals examples into `count` folds of about equal size, each with about the same share of each label:
/// the examples of a label are shuffled by the seed and dealt round. Gives the fold of each example.
///
/// # Errors
/// [`TrainError::Setting`] for fewer than 2 folds, or more than examples.
pub fn folds(labels: &[usize], count: usize, seed: u64) -> Result<Vec<usize>, TrainError> {
    if count < 2 || count > labels.len() {
        let valid = format!("2 to {}, the number of examples", labels.len());
        return Err(TrainError::setting("folds", count, valid));
    }
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.shuffle(&mut generator(seed, "folds", 0, 0));
    order.sort_by_key(|&example| labels[example]);
    let mut fold = vec![0; labels.len()];
    for (at, example) in order.into_iter().enumerate() {
        fold[example] = at % count;
    }
    Ok(fold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_even_in_size_and_labels_and_drawn_by_the_seed() {
        let labels: Vec<usize> = (0..100).map(|i| usize::from(i % 4 == 0)).collect();
        let dealt = folds(&labels, 5, 0).unwrap();
        for fold in 0..5 {
            let mine = || labels.iter().zip(&dealt).filter(|(_, at)| **at == fold);
            assert_eq!(mine().count(), 20);
            assert_eq!(mine().filter(|(label, _)| **label == 1).count(), 5);
        }
        assert_eq!(dealt, folds(&labels, 5, 0).unwrap());
        assert_ne!(dealt, folds(&labels, 5, 1).unwrap());
    }

    #[test]
    fn one_fold_holds_nothing_out() {
        for count in [0, 1, 4] {
            let error = folds(&[0, 1, 0], count, 0).unwrap_err().to_string();
            assert!(error.contains("must be 2 to 3"), "{error}");
        }
    }
}
