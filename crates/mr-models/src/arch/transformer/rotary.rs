//! Rotary positions (Su et al. 2021, "RoFormer").

use burn::tensor::{Tensor, TensorData};

/// Turns the first `dims` channels of each head of x `[batch, head, position, channel]`: pair i,
/// channels i and i + dims/2, by `position * base^(-2 i / dims)`.
pub(super) fn rotate(x: Tensor<4>, dims: usize, base: f64) -> Tensor<4> {
    let [_, _, positions, width] = x.dims();
    let half = dims / 2;
    let device = x.device().inner();
    let table = |of: fn(f64) -> f64| {
        let angle =
            |position: usize, i: usize| position as f64 * base.powf(-2.0 * i as f64 / dims as f64);
        let values: Vec<f32> = (0..positions)
            .flat_map(|position| (0..half).map(move |i| of(angle(position, i)) as f32))
            .collect();
        let data = TensorData::new(values, [1, 1, positions, half]);
        Tensor::<4>::from_data(data, &device)
    };
    let (cos, sin) = (table(f64::cos), table(f64::sin));
    let a = x.clone().narrow(3, 0, half);
    let b = x.clone().narrow(3, half, half);
    let turned_a = a.clone() * cos.clone() - b.clone() * sin.clone();
    let turned_b = b * cos + a * sin;
    let mut parts = vec![turned_a, turned_b];
    if width > dims {
        parts.push(x.narrow(3, dims, width - dims));
    }
    Tensor::cat(parts, 3)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::host::floats;

    #[test]
    fn a_pair_turns_by_one_radian_a_position_and_the_rest_stays() {
        let device = Device::flex();
        let head = Tensor::<1>::from_floats([1.0, 0.0, 5.0], &device);
        let x = head.reshape([1, 1, 1, 3]).expand([1, 1, 3, 3]);
        let turned = floats(rotate(x, 2, 10000.0));
        for (position, head) in turned.chunks(3).enumerate() {
            let angle = position as f32;
            for (found, expected) in head.iter().zip([angle.cos(), angle.sin(), 5.0]) {
                assert!((found - expected).abs() < 1e-6, "{turned:?}");
            }
        }
    }
}
