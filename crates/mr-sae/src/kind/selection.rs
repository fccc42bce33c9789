//! Which entries are the largest.
//!
//! Selected on the host by quickselect: sorting on the device costs fifteen times as much, and the
//! mask is a constant to gradients anyway.

use burn::tensor::{Tensor, TensorData};
use mr_models::floats;

/// The positions of the `k` largest values, in no order. Of equal ones the first are taken, so that
/// the choice does not depend on how it is made.
pub(crate) fn largest(values: &[f32], k: usize) -> Vec<u32> {
    let mut positions: Vec<u32> = (0..values.len() as u32).collect();
    if k < positions.len() {
        if k > 0 {
            positions.select_nth_unstable_by(k - 1, |&a, &b| {
                values[b as usize]
                    .total_cmp(&values[a as usize])
                    .then(a.cmp(&b))
            });
        }
        positions.truncate(k);
    }
    positions
}

/// 1 at the `k` largest entries of each row of `[row, column]`, 0 elsewhere.
pub(crate) fn of_rows(values: &Tensor<2>, k: usize) -> Tensor<2> {
    let [rows, columns] = values.dims();
    let device = values.device();
    let values = floats(values.clone());
    let mut mask = vec![0.0f32; values.len()];
    for (row, mask) in values.chunks(columns).zip(mask.chunks_mut(columns)) {
        for at in largest(row, k) {
            mask[at as usize] = 1.0;
        }
    }
    Tensor::from_data(TensorData::new(mask, [rows, columns]), &device)
}

/// 1 at the `count` largest entries of all.
pub(crate) fn of_all(values: &Tensor<2>, count: usize) -> Tensor<2> {
    let shape = values.dims();
    let device = values.device();
    let values = floats(values.clone());
    let mut mask = vec![0.0f32; values.len()];
    for at in largest(&values, count) {
        mask[at as usize] = 1.0;
    }
    Tensor::from_data(TensorData::new(mask, shape), &device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_largest_are_chosen_and_the_first_of_equal_ones() {
        let sorted = |values: &[f32], k| {
            let mut positions = largest(values, k);
            positions.sort_unstable();
            positions
        };
        assert_eq!(sorted(&[1.0, 5.0, -2.0, 3.0], 2), [1, 3]);
        assert_eq!(sorted(&[2.0, 2.0, 2.0, 2.0], 2), [0, 1]);
        assert_eq!(sorted(&[1.0, 2.0], 0), [] as [u32; 0]);
        assert_eq!(sorted(&[1.0, 2.0], 9), [0, 1]);
        let values = Tensor::from_floats([[1.0, 5.0, 4.0], [0.0, 2.0, 3.0]], &Device::flex());
        assert_eq!(floats(of_rows(&values, 1)), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(floats(of_all(&values, 3)), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    }
}
