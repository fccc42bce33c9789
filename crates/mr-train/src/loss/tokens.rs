//! The loss of a language model.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};

/// The mean of `-log p(next token)`, in nats, over the positions where it is to be learned; a scalar `[1]`.
/// Logits are `[batch, position, token]`, next tokens and the mask, 1 where a token counts, are
/// `[batch, position]`.
pub(crate) fn next_token(logits: &Tensor<3>, next: &Tensor<2, Int>, mask: &Tensor<2>) -> Tensor<1> {
    let log_p = log_softmax(logits.clone(), 2).gather(2, next.clone().unsqueeze_dim(2));
    let surprise = -log_p.squeeze_dim::<2>(2) * mask.clone();
    surprise.sum() / mask.clone().sum().clamp_min(1.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::floats;

    use super::*;

    #[test]
    fn only_positions_of_the_mask_count() {
        let device = Device::flex();
        // p of the next token is 1/2, 1/4, 3/4; the second does not count.
        let logits =
            Tensor::<1>::from_floats([0.0, 0.0, 3.0_f32.ln(), 0.0, 3.0_f32.ln(), 0.0], &device);
        let next = Tensor::<2, Int>::from_data([[0, 1, 0]], &device);
        let mask = Tensor::<2>::from_data([[1.0, 0.0, 1.0]], &device);
        let loss = floats(next_token(&logits.reshape([1, 3, 2]), &next, &mask))[0];
        let expected = -(0.5_f32.ln() + 0.75_f32.ln()) / 2.0;
        assert!((loss - expected).abs() < 1e-6, "{loss} for {expected}");
    }
}
