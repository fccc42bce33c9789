//! Which latents a k-sparse probe reads.

use crate::error::{MetricError, same_length};
use crate::host::samples;

/// The mean of each latent on samples with and without a property, gathered batch by batch: what ranks latents for a
/// k-sparse probe (Gurnee et al. 2023, section 3.2, "max mean activation difference").
#[derive(Debug, Clone, PartialEq)]
pub struct MeanDifference {
    /// By latent, without and with.
    sums: Vec<[f64; 2]>,
    samples: [u64; 2],
}

impl MeanDifference {
    /// Nothing yet, of so many latents.
    pub fn new(latents: usize) -> Self {
        Self {
            sums: vec![[0.0; 2]; latents],
            samples: [0; 2],
        }
    }

    /// Adds codes `[sample, latent]` and whether each sample has the property.
    ///
    /// # Errors
    /// If they are not whole samples, not as many as there are labels, or one is NaN or infinite.
    pub fn add(&mut self, codes: &[f32], labels: &[bool]) -> Result<(), MetricError> {
        let rows = samples("codes", codes, self.sums.len())?;
        same_length("samples of codes and labels", rows.len(), labels.len())?;
        for (code, &label) in rows.zip(labels) {
            let side = usize::from(label);
            self.samples[side] += 1;
            for (sums, value) in self.sums.iter_mut().zip(code) {
                sums[side] += f64::from(*value);
            }
        }
        Ok(())
    }

    /// The mean with the property less the mean without it, of each latent.
    ///
    /// # Errors
    /// If no sample has the property, or each has.
    pub fn differences(&self) -> Result<Vec<f64>, MetricError> {
        if self.samples.contains(&0) {
            return Err(MetricError::Undefined {
                what: "the difference of means".into(),
                reason: "all samples are of one label".into(),
            });
        }
        let [without, with] = self.samples.map(|count| count as f64);
        let sums = self.sums.iter();
        Ok(sums
            .map(|sums| sums[1] / with - sums[0] / without)
            .collect())
    }

    /// The k latents whose means differ most, the most different first; of equal ones the lower first.
    ///
    /// # Errors
    /// As [`differences`](Self::differences), and if k is 0 or above the latents.
    pub fn largest(&self, k: usize) -> Result<Vec<usize>, MetricError> {
        let latents = self.sums.len();
        if k == 0 || k > latents {
            return Err(MetricError::Setting {
                what: "k".into(),
                value: k.to_string(),
                valid: format!("from 1 to the number of latents, {latents}"),
            });
        }
        let differences = self.differences()?;
        let mut order: Vec<usize> = (0..latents).collect();
        order.sort_by(|&a, &b| differences[b].abs().total_cmp(&differences[a].abs()));
        order.truncate(k);
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_are_ranked_by_the_size_of_the_difference() {
        let mut means = MeanDifference::new(3);
        means
            .add(&[1., 5., 0., 1., 3., 0.], &[true, false])
            .unwrap();
        means.add(&[1., 5., 2.], &[true]).unwrap();
        assert_eq!(means.differences().unwrap(), [0.0, 2.0, 1.0]);
        assert_eq!(means.largest(2).unwrap(), [1, 2]);
        let mut turned = means.clone();
        turned.add(&[9., 4., 0.], &[false]).unwrap();
        // 1 - 5, 5 - 3.5, 1 - 0.
        assert_eq!(turned.differences().unwrap(), [-4.0, 1.5, 1.0]);
        assert_eq!(turned.largest(1).unwrap(), [0]);
    }

    #[test]
    fn one_label_alone_ranks_nothing() {
        let mut means = MeanDifference::new(2);
        means.add(&[1., 0.], &[true]).unwrap();
        assert!(means.largest(1).is_err());
        assert!(means.add(&[1., 0.], &[]).is_err());
        means.add(&[1., 0.], &[false]).unwrap();
        assert_eq!(means.largest(2).unwrap(), [0, 1]);
        assert!(means.largest(0).is_err() && means.largest(3).is_err());
    }
}
