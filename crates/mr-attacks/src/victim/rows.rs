//! Rows of a batch.

use burn::tensor::{Int, Tensor, TensorData};
use mr_models::floats;

/// Rows as an index on the device of `like`.
pub(crate) fn row_index(rows: &[usize], like: &Tensor<2>) -> Tensor<1, Int> {
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Tensor::from_data(rows.as_slice(), &like.device())
}

/// The rows where a mask has this value.
pub(crate) fn rows_where(mask: &[bool], wanted: bool) -> Vec<usize> {
    (0..mask.len()).filter(|&row| mask[row] == wanted).collect()
}

/// `into` with these rows replaced.
pub(crate) fn put(into: &Tensor<2>, rows: &[usize], points: &Tensor<2>) -> Tensor<2> {
    let [count, width] = into.dims();
    let mut values = floats(into.clone());
    for (&row, point) in rows.iter().zip(floats(points.clone()).chunks(width)) {
        values[row * width..(row + 1) * width].copy_from_slice(point);
    }
    Tensor::from_data(TensorData::new(values, [count, width]), &into.device())
}

/// `into` with some rows replaced: for each `i` of `which` the row `rows[i]` by row `i` of `points`.
pub(crate) fn put_some(
    into: &Tensor<2>,
    rows: &[usize],
    which: &[usize],
    points: &Tensor<2>,
) -> Tensor<2> {
    if which.is_empty() {
        return into.clone();
    }
    let rows: Vec<usize> = which.iter().map(|&i| rows[i]).collect();
    put(
        into,
        &rows,
        &points.clone().select(0, row_index(which, points)),
    )
}
