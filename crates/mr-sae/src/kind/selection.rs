//! Which entries are the largest.
//!
//! Selected on the host by quickselect: sorting on the device costs fifteen times as much, and the
//! mask is a constant to gradients anyway.

use std::cmp::Ordering;

use burn::tensor::{Tensor, TensorData};
use mr_models::floats;

/// Sets `mask` to 1 at the `k` largest of `values`. Of equal ones the first are taken, so that the choice
/// does not depend on how it is made. `room` is overwritten.
fn mark(values: &[f32], k: usize, mask: &mut [f32], room: &mut Vec<f32>) {
    if k == 0 {
        return;
    }
    if k >= values.len() {
        mask.fill(1.0);
        return;
    }
    room.clear();
    room.extend_from_slice(values);
    let (_, &mut least, _) = room.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let above = |value: &&f32| value.total_cmp(&least) == Ordering::Greater;
    let mut equal = k - values.iter().filter(above).count();
    for (value, mask) in values.iter().zip(mask) {
        match value.total_cmp(&least) {
            Ordering::Greater => *mask = 1.0,
            Ordering::Equal if equal > 0 => {
                equal -= 1;
                *mask = 1.0;
            }
            _ => {}
        }
    }
}

/// 1 at the `k` largest entries of each row of `[row, column]`, 0 elsewhere.
pub(crate) fn of_rows(values: &Tensor<2>, k: usize) -> Tensor<2> {
    let width = values.dims()[1];
    of_stretches(values, width, k)
}

/// 1 at the `count` largest entries of all, 0 elsewhere.
pub(crate) fn of_all(values: &Tensor<2>, count: usize) -> Tensor<2> {
    let [rows, columns] = values.dims();
    of_stretches(values, rows * columns, count)
}

fn of_stretches(values: &Tensor<2>, length: usize, k: usize) -> Tensor<2> {
    let shape = values.dims();
    let device = values.device();
    let values = floats(values.clone());
    let mut mask = vec![0.0f32; values.len()];
    let mut room = Vec::with_capacity(length);
    for (values, mask) in values.chunks(length).zip(mask.chunks_mut(length)) {
        mark(values, k, mask, &mut room);
    }
    Tensor::from_data(TensorData::new(mask, shape), &device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_largest_are_chosen_and_the_first_of_equal_ones() {
        let marked = |values: &[f32], k| {
            let mut mask = vec![0.0; values.len()];
            mark(values, k, &mut mask, &mut Vec::new());
            mask
        };
        assert_eq!(marked(&[1.0, 5.0, -2.0, 3.0], 2), [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(marked(&[2.0, 1.0, 2.0, 2.0], 2), [1.0, 0.0, 1.0, 0.0]);
        assert_eq!(marked(&[1.0, 2.0], 0), [0.0, 0.0]);
        assert_eq!(marked(&[1.0, 2.0], 9), [1.0, 1.0]);
        let infinite = [f32::NEG_INFINITY, f32::NAN, 1.0, f32::INFINITY];
        assert_eq!(marked(&infinite, 2), [0.0, 1.0, 0.0, 1.0]);
        let values = Tensor::from_floats([[1.0, 5.0, 4.0], [0.0, 2.0, 3.0]], &Device::flex());
        assert_eq!(floats(of_rows(&values, 1)), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(floats(of_all(&values, 3)), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    }
}
