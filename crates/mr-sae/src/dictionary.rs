//! What every dictionary does.

use burn::tensor::Tensor;

/// Writes activations as sparse non-negative codes, and codes as activations.
pub trait Dictionary: Send + Sync {
    /// Channels of an activation.
    fn d_in(&self) -> usize;

    /// Latents of a code.
    fn d_sae(&self) -> usize;

    /// Activations `[sample, d_in]` to codes `[sample, d_sae]`, at least 0.
    ///
    /// # Panics
    /// If the activations have another width.
    fn encode(&self, x: Tensor<2>) -> Tensor<2>;

    /// Codes `[sample, d_sae]` to activations `[sample, d_out]`. Where activations are normalised by
    /// their own statistics, which a code does not hold, these are the normalised ones:
    /// [`reconstruct`](Self::reconstruct) brings them back.
    ///
    /// # Panics
    /// If the codes have another width.
    fn decode(&self, z: Tensor<2>) -> Tensor<2>;

    /// What each latent adds to the activation as one unit of it is added to the code:
    /// `[d_sae, d_out]`.
    fn directions(&self) -> Tensor<2>;

    /// What each latent's activity grows with, `[sample, d_sae]`, of activations `[sample, d_in]`: here a
    /// latent has a slope even where it is off, so that an attack can turn it on. Pre-activations; of a
    /// dictionary that has none, how far the activation reaches along each direction.
    ///
    /// # Panics
    /// If the activations have another width.
    fn readings(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.directions().transpose())
    }

    /// Channels of what is written: those of what is read, unless it is a transcoder.
    fn d_out(&self) -> usize {
        self.d_in()
    }

    /// Codes `[sample, d_sae]` to activations `[sample, d_out]` where the activations read were `x`
    /// `[sample, d_in]`: in their own units and with the linear map of a skip transcoder. The codes
    /// may be other ones than those of x, such as ablated or steered ones.
    ///
    /// # Panics
    /// If codes or activations have another width.
    fn decode_at(&self, z: Tensor<2>, _x: &Tensor<2>) -> Tensor<2> {
        self.decode(z)
    }

    /// What the dictionary makes of activations `[sample, d_in]`: `[sample, d_out]`, in the
    /// activation's own units and with the linear map of a skip transcoder.
    ///
    /// # Panics
    /// If the activations have another width.
    fn reconstruct(&self, x: Tensor<2>) -> Tensor<2> {
        let z = self.encode(x.clone());
        self.decode_at(z, &x)
    }
}

/// A site's activation `[batch, position, channel]` as samples `[batch * position, channel]`: each
/// position of a map or a sequence is a sample of its own.
pub fn samples(activation: Tensor<3>) -> Tensor<2> {
    activation.flatten(0, 1)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn positions_are_samples() {
        let map = Tensor::<1>::from_floats([1., 2., 3., 4., 5., 6., 7., 8.], &Device::flex());
        let rows = samples(map.reshape([2, 2, 2]));
        assert_eq!(rows.dims(), [4, 2]);
        let second = mr_models::floats(rows.narrow(0, 1, 1));
        assert_eq!(second, [3., 4.], "image 0, position 1");
    }
}
