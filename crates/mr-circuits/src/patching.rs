//! Activation patching.

use burn::tensor::Tensor;
use mr_models::{
    Cache, Edit, Input, Intervened, Labels, Model, Objective, Region, Rewrite, floats,
    run_with_cache,
};

use crate::error::CircuitError;
use crate::pair::Pair;

/// Which run is patched with activations of which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The corrupt run gets clean activations: is the site enough to restore the behaviour?
    Denoise,
    /// The clean run gets corrupt activations: is the site needed for the behaviour?
    Noise,
}

/// What patching one region of one site did to the objective of each example.
#[derive(Debug, Clone, PartialEq)]
pub struct Patched {
    /// The site's name.
    pub site: String,
    /// The part that was patched.
    pub region: Region,
    /// The objective of the run that was patched, before.
    pub base: Vec<f32>,
    /// The objective of the run that the activations came from.
    pub donor: Vec<f32>,
    /// The objective of the patched run.
    pub patched: Vec<f32>,
}

impl Patched {
    /// `(patched - base) / (donor - base)` of one example: 1 where the region carries the whole
    /// difference between the two runs, 0 where it carries none; NaN where there is no difference.
    ///
    /// # Panics
    /// If there is no such example.
    pub fn restored(&self, example: usize) -> f32 {
        let base = self.base[example];
        (self.patched[example] - base) / (self.donor[example] - base)
    }

    /// [`restored`](Self::restored) over the batch, as a ratio of sums: examples that differ more
    /// count more.
    pub fn mean_restored(&self) -> f32 {
        let sum = |values: &[f32]| values.iter().sum::<f32>();
        (sum(&self.patched) - sum(&self.base)) / (sum(&self.donor) - sum(&self.base))
    }
}

/// Patches each region in turn from one run of the pair into the other, and reads the objective
/// (Vig et al. 2020; Meng et al. 2022; the directions as in Heimersheim & Nanda 2024).
///
/// # Errors
/// [`CircuitError::Model`] for an unknown site, a region that it does not have, or an objective that
/// does not fit the model.
pub fn patch_sites(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    regions: &[(String, Region)],
    direction: Direction,
) -> Result<Vec<Patched>, CircuitError> {
    objective.fits(model.spec())?;
    let (base, donor) = match direction {
        Direction::Denoise => (pair.corrupt(), pair.clean()),
        Direction::Noise => (pair.clean(), pair.corrupt()),
    };
    let sites: Vec<&str> = regions.iter().map(|(site, _)| site.as_str()).collect();
    let (_, donor_cache) = run_with_cache(model, donor, &sites)?;
    let value = |model: &dyn Model, input: &Input| -> Result<Vec<f32>, CircuitError> {
        let mut cache = Cache::of(model.spec(), &objective.sites())?;
        let logits: Tensor<3> = model.run(input, &mut cache);
        Ok(floats(objective.value(&logits, &cache, labels)))
    };
    let base_value = value(model, base)?;
    let donor_value = value(model, donor)?;
    regions
        .iter()
        .map(|(site, region)| {
            region.fits(model.spec().site(site)?)?;
            let patch = Rewrite::patch(region.cut(donor_cache.get(site)?));
            let edit = Edit::at(site, patch).within(region.clone());
            let patched = Intervened::new(model, vec![edit])?;
            Ok(Patched {
                site: site.clone(),
                region: region.clone(),
                base: base_value.clone(),
                donor: donor_value.clone(),
                patched: value(&patched, base)?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::{Architecture, Mlp, Network, objective};

    use super::*;

    fn net() -> Network {
        // Two inputs, two hidden units that copy them, one logit for each.
        let mlp = Mlp {
            input: [2, 1, 1],
            hidden: vec![2],
            classes: 2,
            ..Mlp::default()
        };
        let identity = vec![1.0, 0.0, 0.0, 1.0];
        let named = vec![
            ("linear1.weight".into(), vec![2, 2], identity.clone()),
            ("linear1.bias".into(), vec![2], vec![0.0; 2]),
            ("linear2.weight".into(), vec![2, 2], identity),
            ("linear2.bias".into(), vec![2], vec![0.0; 2]),
        ];
        Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap()
    }

    fn input(values: [f32; 2]) -> Input {
        Tensor::<1>::from_floats(values, &Device::flex())
            .reshape([1, 2, 1, 1])
            .into()
    }

    fn patch(regions: &[Region], direction: Direction) -> Vec<Patched> {
        // z_1 - z_0 is 1 - 3 = -2 when clean and 2 - 0 = 2 when corrupt.
        let pair = Pair::new(input([3.0, 1.0]), input([0.0, 2.0])).unwrap();
        let labels = Labels::of_classes(&[0], &Device::flex());
        let regions: Vec<_> = regions
            .iter()
            .map(|region| ("linear1.hook_out".to_string(), region.clone()))
            .collect();
        patch_sites(
            &net(),
            &pair,
            &labels,
            &objective::Margin,
            &regions,
            direction,
        )
        .unwrap()
    }

    #[test]
    fn shares_of_the_difference_are_those_of_the_units() {
        let regions = [Region::channel(0), Region::channel(1), Region::default()];
        for direction in [Direction::Denoise, Direction::Noise] {
            let shares: Vec<f32> = patch(&regions, direction)
                .iter()
                .map(|patched| patched.restored(0))
                .collect();
            assert_eq!(shares, [0.75, 0.25, 1.0]);
        }
    }

    #[test]
    fn patching_a_run_with_itself_is_the_identity() {
        let same = Pair::new(input([3.0, 1.0]), input([3.0, 1.0])).unwrap();
        let labels = Labels::of_classes(&[0], &Device::flex());
        let regions = [("linear1.hook_out".to_string(), Region::channel(1))];
        let found = patch_sites(
            &net(),
            &same,
            &labels,
            &objective::Margin,
            &regions,
            Direction::Noise,
        )
        .unwrap();
        assert_eq!(found[0].patched, found[0].base);
        assert!(found[0].restored(0).is_nan());
    }

    #[test]
    fn bad_sites_regions_and_pairs_are_named() {
        let error = Pair::new(
            input([0.0; 2]),
            Input::Real(Tensor::zeros([2, 2, 1, 1], &Device::flex())),
        );
        assert!(error.unwrap_err().to_string().contains("[1, 2, 1, 1]"));
        let pair = Pair::new(input([0.0; 2]), input([1.0; 2])).unwrap();
        let labels = Labels::of_classes(&[0], &Device::flex());
        let ask = |site: &str, region| {
            let regions = [(site.to_string(), region)];
            patch_sites(
                &net(),
                &pair,
                &labels,
                &objective::Margin,
                &regions,
                Direction::Noise,
            )
            .unwrap_err()
            .to_string()
        };
        assert!(
            ask("linear1.hook_ou", Region::default()).contains("did you mean linear1.hook_out")
        );
        assert!(ask("linear1.hook_out", Region::channel(2)).contains("it has 2"));
    }
}
