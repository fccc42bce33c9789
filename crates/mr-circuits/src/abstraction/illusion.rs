//! Whether a subspace that carries a variable is one that the network uses.

use super::Subspace;
use crate::error::CircuitError;

/// A subspace split by what is read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// The share of the subspace that nothing downstream reads: the mean squared length of its directions
    /// in the null space, in `[0, 1]`.
    pub unread: f64,
    /// The effect of patching the whole subspace.
    pub effect: f64,
    /// The effect of patching only the part that is read; 0 where there is none.
    pub read_effect: f64,
    /// The effect of patching only the part that nothing reads: not 0 only where it is read after all, by
    /// something that was left out; 0 where there is none.
    pub unread_effect: f64,
}

impl Split {
    /// The share of the effect that the part which is read has by itself. Near 1, the subspace is one that
    /// the network uses. Near 0, it is an illusion: a part that varies with the variable but is
    /// disconnected was joined to one that is dormant on real inputs, and only patching wakes it.
    pub fn kept(&self) -> f64 {
        self.read_effect / self.effect
    }
}

/// Splits a subspace into the row space of the linear maps that read it and the rest, and measures both
/// parts (Makelov, Lange & Nanda 2023, section 3: the components of a direction in the row space of the
/// output weights and in their kernel).
///
/// `readers` are the rows `[reader, channel]` of all linear maps behind the site, such as the weights of
/// the next layer: what is orthogonal to them reaches nothing. `effect` measures a patch along a subspace,
/// such as by the accuracy under interchanges less that without.
///
/// # Errors
/// [`CircuitError::Subspace`] for readers of other channels, or that read nothing; and whatever `effect`
/// says.
pub fn split_effect(
    subspace: &Subspace,
    readers: &[f32],
    effect: &mut dyn FnMut(&Subspace) -> Result<f64, CircuitError>,
) -> Result<Split, CircuitError> {
    let channels = subspace.channels();
    let read = Subspace::spanned(readers, channels)?;
    let shadow = subspace.projected(&read);
    let rest: Vec<f32> = subspace
        .basis()
        .iter()
        .zip(&shadow)
        .map(|(v, s)| v - s)
        .collect();
    let square = |values: &[f32]| {
        values
            .iter()
            .map(|&v| f64::from(v) * f64::from(v))
            .sum::<f64>()
    };
    let unread = square(&rest) / subspace.dimensions() as f64;
    // What is left of unit vectors below this is rounding.
    let real = |part: &[f32]| -> Vec<f32> {
        let rows = part.chunks_exact(channels).filter(|row| square(row) > 1e-8);
        rows.flatten().copied().collect()
    };
    let mut of = |part: &[f32]| match real(part) {
        part if part.is_empty() => Ok(0.0),
        part => effect(&Subspace::spanned(&part, channels)?),
    };
    let (read_effect, unread_effect) = (of(&shadow)?, of(&rest)?);
    Ok(Split {
        unread,
        effect: effect(subspace)?,
        read_effect,
        unread_effect,
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};
    use mr_models::{Architecture, Input, Mlp, Network};

    use super::*;
    use crate::abstraction::{Aligned, CausalModel, Interchange, Task, interchange};

    /// Hidden units (2 x, 0, x); the second and third reach the logits (.5, h2 + h3, h3 - 10). So the
    /// answer is x by the third alone: the first is disconnected, the second dormant.
    fn net() -> Network {
        let mlp = Mlp {
            input: [1, 1, 1],
            hidden: vec![3],
            classes: 3,
            ..Mlp::default()
        };
        let out = vec![0., 0., 0., 0., 1., 1., 0., 0., 1.];
        let named = vec![
            ("linear1.weight".into(), vec![3, 1], vec![2., 0., 1.]),
            ("linear1.bias".into(), vec![3], vec![0.0; 3]),
            ("linear2.weight".into(), vec![3, 3], out),
            ("linear2.bias".into(), vec![3], vec![0.5, 0., -10.]),
        ];
        Network::with_weights(Architecture::Mlp(mlp), named, &Device::flex()).unwrap()
    }

    fn encode(rows: &[Vec<usize>], device: &Device) -> Input {
        let values: Vec<f32> = rows.iter().map(|row| row[0] as f32).collect();
        let values = Tensor::<1>::from_floats(values.as_slice(), device);
        values.reshape([rows.len(), 1, 1, 1]).into()
    }

    /// By how much patching between 0 and 1 along a direction changes the answers as it should.
    fn split(direction: [f32; 3]) -> Split {
        let causal = CausalModel::default().input("x", 2).unwrap();
        let causal = causal.computed("y", 2, &["x"], |values| values[0]).unwrap();
        let pairs: Vec<Interchange> = [(0, 1), (1, 0)]
            .map(|(base, source)| Interchange {
                base: vec![base],
                sources: vec![Some(vec![source])],
            })
            .to_vec();
        let task = Task {
            causal: &causal,
            encode: &encode,
        };
        let net = net();
        let mut effect = |subspace: &Subspace| {
            let aligned = Aligned {
                variable: "x".into(),
                site: "linear1.hook_out".into(),
                region: mr_models::Region::default(),
                subspace: Some(subspace.clone()),
            };
            Ok(interchange(&net, &task, &[aligned], &pairs)?.accuracy())
        };
        let readers = net.weights().get::<2>("linear2.weight");
        let subspace = Subspace::spanned(&direction, 3).unwrap();
        split_effect(&subspace, &mr_models::floats(readers), &mut effect).unwrap()
    }

    #[test]
    fn a_planted_illusion_is_told_from_the_direction_that_is_used() {
        // Along (1, 1, 0) the patch adds 2 (x' - x) / 2 to the dormant unit: the answer turns to x'.
        let illusion = split([1.0, 1.0, 0.0]);
        assert_eq!((illusion.effect, illusion.read_effect), (1.0, 0.0));
        assert_eq!((illusion.unread_effect, illusion.kept()), (0.0, 0.0));
        assert!((illusion.unread - 0.5).abs() < 1e-6, "{illusion:?}");

        let honest = split([0.0, 0.0, 1.0]);
        assert_eq!((honest.effect, honest.kept()), (1.0, 1.0));
        assert!(honest.unread < 1e-6, "{honest:?}");
    }

    #[test]
    fn readers_of_other_channels_are_refused() {
        let subspace = Subspace::spanned(&[1.0, 0.0, 0.0], 3).unwrap();
        let mut effect = |_: &Subspace| Ok(1.0);
        assert!(split_effect(&subspace, &[1.0; 4], &mut effect).is_err());
        assert!(split_effect(&subspace, &[0.0; 3], &mut effect).is_err());
    }
}
