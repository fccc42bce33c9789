//! Codes that are mostly zero, held as what is not.

use burn::tensor::{Device, Tensor, TensorData};

/// Codes of samples, each as its active latents in ascending order and their values (a sparse matrix by rows).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Codes {
    d_sae: usize,
    /// Where each sample's latents end.
    ends: Vec<usize>,
    latents: Vec<u32>,
    values: Vec<f32>,
}

impl Codes {
    /// No sample yet, of so many latents.
    pub fn new(d_sae: usize) -> Self {
        Self {
            d_sae,
            ..Self::default()
        }
    }

    /// Codes `[sample, d_sae]` without their zeros.
    pub fn of(dense: Tensor<2>) -> Self {
        let [_, d_sae] = dense.dims();
        let mut codes = Self::new(d_sae);
        for row in mr_models::floats(dense).chunks(d_sae) {
            for (latent, &value) in row.iter().enumerate() {
                if value != 0.0 {
                    codes.push(latent as u32, value);
                }
            }
            codes.end_sample();
        }
        codes
    }

    /// Adds a latent to the sample that is being written.
    pub(super) fn push(&mut self, latent: u32, value: f32) {
        self.latents.push(latent);
        self.values.push(value);
    }

    /// The next latents belong to the next sample.
    pub(super) fn end_sample(&mut self) {
        self.ends.push(self.latents.len());
    }

    /// Adds the samples of others.
    pub(super) fn extend(&mut self, others: &Self) {
        let before = self.latents.len();
        self.ends.extend(others.ends.iter().map(|end| before + end));
        self.latents.extend_from_slice(&others.latents);
        self.values.extend_from_slice(&others.values);
    }

    /// Latents of a code.
    pub fn d_sae(&self) -> usize {
        self.d_sae
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The active latents of a sample, ascending, and their values.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn sample(&self, sample: usize) -> (&[u32], &[f32]) {
        let first = if sample == 0 {
            0
        } else {
            self.ends[sample - 1]
        };
        let range = first..self.ends[sample];
        (&self.latents[range.clone()], &self.values[range])
    }

    /// The samples in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u32], &[f32])> {
        (0..self.len()).map(|sample| self.sample(sample))
    }

    /// On how many samples each latent is active.
    pub fn counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.d_sae];
        for &latent in &self.latents {
            counts[latent as usize] += 1;
        }
        counts
    }

    /// The least active value of all samples, if any latent is active.
    pub fn least(&self) -> Option<f32> {
        self.values.iter().copied().reduce(f32::min)
    }

    /// Active latents over all samples.
    pub fn active(&self) -> usize {
        self.latents.len()
    }

    /// The codes `[sample, d_sae]` with their zeros.
    pub fn dense(&self, device: &Device) -> Tensor<2> {
        let mut values = vec![0.0; self.len() * self.d_sae];
        for (row, (latents, active)) in values.chunks_mut(self.d_sae.max(1)).zip(self.iter()) {
            for (&latent, &value) in latents.iter().zip(active) {
                row[latent as usize] = value;
            }
        }
        Tensor::from_data(TensorData::new(values, [self.len(), self.d_sae]), device)
    }
}

/// `sum += scale * row`.
pub(super) fn add(sum: &mut [f32], scale: f32, row: &[f32]) {
    for (sum, &value) in sum.iter_mut().zip(row) {
        *sum += scale * value;
    }
}

/// The scalar product, in 16 sums that a processor takes side by side.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (a, b) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = a
        .remainder()
        .iter()
        .zip(b.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a.zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_keep_what_is_not_zero() {
        let device = Device::flex();
        let dense = Tensor::<1>::from_floats([0., 2., 0., 1., 0., 3.], &device).reshape([2, 3]);
        let codes = Codes::of(dense.clone());
        assert_eq!((codes.len(), codes.active(), codes.d_sae()), (2, 3, 3));
        assert_eq!(codes.sample(1), (&[0u32, 2][..], &[1.0f32, 3.0][..]));
        let again = mr_models::floats(codes.dense(&device));
        assert_eq!(again, mr_models::floats(dense));
        let mut twice = codes.clone();
        twice.extend(&codes);
        assert_eq!(twice.sample(3), codes.sample(1));
    }

    #[test]
    fn products_are_those_of_the_formula() {
        let a: Vec<f32> = (0..37).map(|i| i as f32).collect();
        let b: Vec<f32> = (0..37).map(|i| (i % 3) as f32).collect();
        let expected: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
        assert_eq!(dot(&a, &b), expected);
        let mut sum = vec![1.0; 37];
        add(&mut sum, 2.0, &a);
        assert_eq!((sum[0], sum[36]), (1.0, 73.0));
    }
}
