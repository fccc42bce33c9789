//! The L0 ball: so many coordinates may change.

use burn::tensor::Tensor;
use mr_models::floats;
use rand::Rng;

use super::from_rows;

/// The largest changes stay, as many as there may be (Croce & Hein 2019, "Sparse and imperceivable
/// adversarial attacks"); of equal ones the first.
pub(super) fn project(origin: &Tensor<2>, point: Tensor<2>, epsilon: f32) -> Tensor<2> {
    let width = point.dims()[1];
    let count = (epsilon as usize).min(width);
    let mut points = floats(point.clone());
    let origins = floats(origin.clone());
    for (point, origin) in points.chunks_mut(width).zip(origins.chunks(width)) {
        let change = |i: usize| (point[i] - origin[i]).abs();
        let mut order: Vec<usize> = (0..width).collect();
        order.sort_by(|&a, &b| change(b).total_cmp(&change(a)).then(a.cmp(&b)));
        for &i in &order[count..] {
            point[i] = origin[i];
        }
    }
    from_rows(points, &point)
}

/// The gradient scaled to L1 length 1: the ball has no steepest direction of its own.
pub(super) fn steepest(gradient: Tensor<2>) -> Tensor<2> {
    let length = gradient.clone().abs().sum_dim(1);
    gradient / length.clamp_min(f32::MIN_POSITIVE)
}

/// So many coordinates, each changed by U(-1, 1).
pub(super) fn random(rng: &mut impl Rng, values: &mut Vec<f32>, width: usize, epsilon: f32) {
    let count = (epsilon as usize).min(width);
    let mut change = vec![0.0; width];
    for i in rand::seq::index::sample(rng, width, count) {
        change[i] = rng.random_range(-1.0f32..=1.0);
    }
    values.extend(change);
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_largest_changes_stay() {
        let device = Device::flex();
        let origin = Tensor::<2>::zeros([1, 4], &device);
        let point = Tensor::<2>::from_floats([[0.1, -0.5, 0.3, -0.3]], &device);
        let kept = |epsilon| floats(project(&origin, point.clone(), epsilon));
        assert_eq!(kept(0.0), [0.0; 4]);
        assert_eq!(kept(2.0), [0.0, -0.5, 0.3, 0.0]);
        assert_eq!(kept(9.0), [0.1, -0.5, 0.3, -0.3]);
    }
}
