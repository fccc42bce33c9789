//! Features that another feature's latent took over.

use burn::tensor::Tensor;

use super::cosine::cosines;
use super::recovery::Recovery;
use crate::error::{MetricError, same_length};
use crate::host::samples;

/// How often a parent feature is absorbed, gathered batch by batch, on data whose features and hierarchy are known.
///
/// Where a child only fires with its parent, a dictionary saves an active latent by writing the parent's direction into the
/// child's latent and keeping the parent's silent on the child's samples (Chanin et al. 2024). A parent counts as absorbed in a
/// sample where it is on, its own latent (that of the one-to-one matching) is silent, and an active latent of one of its
/// descendants points to the parent, by at least `least` in cosine, more than the descendant itself does.
///
/// Chanin et al. know neither features nor hierarchy: they find the parent's latents by k-sparse probes, ask for a cosine with
/// the probe of at least 0.025 and for a large ablation effect. Here both are known, the excess over the descendant's own
/// cosine excludes what features share by chance, and no effect is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Absorption {
    widths: [usize; 2],
    parents: Vec<Parent>,
}

#[derive(Debug, Clone, PartialEq)]
struct Parent {
    feature: usize,
    latent: usize,
    /// Latents of descendants that point to the parent.
    takers: Vec<usize>,
    on: u64,
    silent: u64,
    absorbed: u64,
}

/// How often a parent is absorbed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Absorbed {
    /// The parent feature.
    pub feature: usize,
    /// Its own latent.
    pub latent: usize,
    /// Samples that it is on in.
    pub on: u64,
    /// The share of them that its own latent is silent on.
    pub silent: f64,
    /// The share of them that a descendant's latent stands in for it on.
    pub absorbed: f64,
}

impl Absorption {
    /// Nothing yet, of a dictionary's directions `[latent, width]` and features `[feature, width]`; `parents` says whose
    /// child each feature is. Parents without a latent of their own are left out.
    ///
    /// # Errors
    /// If the matching is of others, `parents` is not as long as there are features, names one that is not there or goes in a
    /// circle, or a direction holds NaN or infinities.
    pub fn new(
        recovery: &Recovery,
        directions: &Tensor<2>,
        features: &Tensor<2>,
        parents: &[Option<usize>],
        least: f64,
    ) -> Result<Self, MetricError> {
        let ([latents, _], [count, _]) = (directions.dims(), features.dims());
        same_length("features and their parents", count, parents.len())?;
        let towards = cosines(directions, features)?;
        let between = cosines(features, features)?;
        same_length(
            "latents of matching and dictionary",
            recovery.nearest().len(),
            latents,
        )?;
        let mut latent_of = vec![None; count];
        for pair in recovery.one_to_one() {
            latent_of[pair.feature] = Some(pair.latent);
        }
        let mut families: Vec<Vec<usize>> = vec![Vec::new(); count];
        for feature in 0..count {
            let mut above = parents[feature];
            let mut steps = 0;
            while let Some(ancestor) = above {
                if ancestor >= count || steps == count {
                    return Err(MetricError::Setting {
                        what: format!("the parent of feature {feature}"),
                        value: ancestor.to_string(),
                        valid: format!("another feature below {count}, and in no circle"),
                    });
                }
                families[ancestor].push(feature);
                above = parents[ancestor];
                steps += 1;
            }
        }
        let parents = families.iter().enumerate().filter(|(_, f)| !f.is_empty());
        let parents = parents.filter_map(|(feature, descendants)| {
            let own = latent_of[feature]?;
            let takes = |&(descendant, latent): &(usize, usize)| {
                let excess = towards[latent * count + feature].abs()
                    - between[descendant * count + feature].abs();
                excess >= least
            };
            let matched = descendants.iter().filter_map(|&d| Some((d, latent_of[d]?)));
            Some(Parent {
                feature,
                latent: own,
                takers: matched.filter(takes).map(|(_, latent)| latent).collect(),
                on: 0,
                silent: 0,
                absorbed: 0,
            })
        });
        Ok(Self {
            widths: [latents, count],
            parents: parents.collect(),
        })
    }

    /// Adds codes `[sample, latent]` and the true coefficients of the same samples, `[sample, feature]`.
    ///
    /// # Errors
    /// If they are not of the same whole samples, or one is NaN or infinite.
    pub fn add(&mut self, codes: &[f32], coefficients: &[f32]) -> Result<(), MetricError> {
        let codes = samples("codes", codes, self.widths[0])?;
        let truths = samples("coefficients", coefficients, self.widths[1])?;
        same_length(
            "samples of codes and coefficients",
            codes.len(),
            truths.len(),
        )?;
        for (code, truth) in codes.zip(truths) {
            for parent in &mut self.parents {
                if truth[parent.feature] == 0.0 {
                    continue;
                }
                parent.on += 1;
                if code[parent.latent] != 0.0 {
                    continue;
                }
                parent.silent += 1;
                let taken = parent.takers.iter().any(|&latent| code[latent] != 0.0);
                parent.absorbed += u64::from(taken);
            }
        }
        Ok(())
    }

    /// Each parent that was on and has a latent of its own, by feature.
    pub fn each(&self) -> Vec<Absorbed> {
        let seen = self.parents.iter().filter(|parent| parent.on > 0);
        seen.map(|parent| Absorbed {
            feature: parent.feature,
            latent: parent.latent,
            on: parent.on,
            silent: parent.silent as f64 / parent.on as f64,
            absorbed: parent.absorbed as f64 / parent.on as f64,
        })
        .collect()
    }

    /// The share of absorbed samples, on average over parents; `None` where there is no parent.
    pub fn mean(&self) -> Option<f64> {
        let each = self.each();
        let total: f64 = each.iter().map(|one| one.absorbed).sum();
        (!each.is_empty()).then(|| total / each.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// Feature 1 is a child of 0, feature 2 alone. The child's latent holds the parent's direction, too: its cosine with it is
    /// 0.6.
    fn absorption(child: [f32; 3], least: f64) -> Absorption {
        let device = Device::flex();
        let features = Tensor::<2>::from_data([[1., 0., 0.], [0., 1., 0.], [0., 0., 1.]], &device);
        let latents = Tensor::<2>::from_data([[1., 0., 0.], child, [0., 0., 1.]], &device);
        let recovery = Recovery::new(&latents, &features).unwrap();
        let parents = [None, Some(0), None];
        Absorption::new(&recovery, &latents, &features, &parents, least).unwrap()
    }

    const TRUTH: [f32; 12] = [1., 0., 0., 1., 1., 0., 1., 1., 1., 0., 0., 1.];
    /// The parent's latent fires where the parent is alone; the child's on both samples of the child.
    const CODES: [f32; 12] = [1., 0., 0., 0., 1., 0., 0., 1., 1., 0., 0., 1.];

    #[test]
    fn a_childs_latent_that_stands_in_absorbs_the_parent() {
        let mut absorption = absorption([0.6, 0.8, 0.0], 0.1);
        absorption.add(&CODES[..3], &TRUTH[..3]).unwrap();
        absorption.add(&CODES[3..], &TRUTH[3..]).unwrap();
        let each = absorption.each();
        assert_eq!(each.len(), 1);
        assert_eq!((each[0].feature, each[0].on), (0, 3));
        assert!((each[0].absorbed - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(absorption.mean(), Some(each[0].absorbed));
    }

    #[test]
    fn a_latent_that_does_not_point_to_the_parent_leaves_it_silent() {
        let mut absorption = absorption([0.0, 1.0, 0.0], 0.1);
        absorption.add(&CODES, &TRUTH).unwrap();
        let one = absorption.each()[0];
        assert_eq!(one.absorbed, 0.0);
        assert!((one.silent - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn hierarchies_that_are_none_are_refused() {
        let device = Device::flex();
        let rows = Tensor::<2>::from_data([[1., 0.], [0., 1.]], &device);
        let recovery = Recovery::new(&rows, &rows).unwrap();
        let of = |parents: &[Option<usize>]| {
            Absorption::new(&recovery, &rows, &rows, parents, 0.1).map(|one| one.mean())
        };
        assert!(of(&[Some(1), Some(0)]).is_err(), "a circle");
        assert!(of(&[Some(2), None]).is_err(), "not there");
        assert!(of(&[None]).is_err());
        assert_eq!(of(&[None, None]).unwrap(), None);
    }
}
