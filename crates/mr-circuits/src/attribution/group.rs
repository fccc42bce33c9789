//! Ports of a residual stream that one site holds, and products of what passes there.

use burn::tensor::Tensor;
use mr_models::{Factor, Model, Normed, Port};

/// The writers or the readers of one site: the heads of a block, or one other node.
///
/// What heads write is linear in their part of `hook_z`, and the gradient at what they read is linear in
/// that at `hook_q`, so that of a writer u and a reader v
///
/// `sum over positions of (W_u^T a_u) . (W_v b_v) = <sum over positions of a_u b_v^T, W_u W_v>`:
///
/// one product of narrow activations for all pairs of heads of two blocks, and one of weights (after
/// Elhage et al. 2021, who read circuits off the products of weights).
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Indices of the ports in the wiring, and which head of the site is theirs. Ports that share keys or
    /// values share a head.
    pub(crate) ports: Vec<(usize, usize)>,
    /// Number of heads of the site.
    pub(crate) heads: usize,
    /// Where it is read or written: narrower than the port where a factor is known.
    pub(crate) site: String,
    /// `[head, channel, width]` of writers, `[head, width, channel]` of readers; `None` where the site holds
    /// vectors of the stream's width.
    weight: Option<Tensor<3>>,
    /// What readers normalise.
    pub(crate) norm: Option<Normed>,
}

/// Ports by the site that they are at, in forward order.
pub(crate) fn groups(model: &dyn Model, ports: &[Port]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut last = [""; 3];
    for (index, port) in ports.iter().enumerate() {
        let head = port.channels.start / port.channels.len();
        // Queries, keys and values of a block take turns, head by head.
        let recent = last.iter().rev().position(|&site| site == port.site);
        if let Some(back) = recent {
            let at = groups.len() - 1 - back;
            let group = &mut groups[at];
            group.ports.push((index, head));
            group.heads = group.heads.max(head + 1);
            continue;
        }
        last = [last[1], last[2], &port.site];
        let factor = model.factor(&port.site);
        let (site, weight, norm) = match factor {
            Some(Factor { site, weight, norm }) => (site, Some(weight), norm),
            None => (port.site.clone(), None, None),
        };
        groups.push(Group {
            ports: vec![(index, head)],
            heads: head + 1,
            site,
            weight,
            norm,
        });
    }
    groups
}

impl Group {
    /// Of readers, the gradient at their site `[batch, position, head * channel]`, ready to be multiplied with
    /// what writers write; with the stream that their norm takes, if they have one.
    pub(crate) fn read(&self, gradient: &Tensor<3>, stream: Option<&Tensor<3>>) -> Gradient {
        let gradient = flat(gradient.clone());
        let [rows, channels] = gradient.dims();
        let heads = [rows, self.heads, channels / self.heads];
        let (Some(norm), Some(stream), Some(weight)) = (&self.norm, stream, &self.weight) else {
            return Gradient {
                heads: self.heads,
                weight: self.weight.as_ref().map(of_readers),
                values: gradient,
                normed: None,
            };
        };
        let weight = of_readers(weight);
        let x = flat(stream.clone());
        let x = if norm.is_centred {
            x.clone() - x.mean_dim(1)
        } else {
            x
        };
        let scale = ((x.clone() * x.clone()).mean_dim(1) + norm.epsilon).sqrt();
        let unit = x / scale.clone();
        let values = gradient / scale;
        let by_head = |parts: Tensor<2>| parts.reshape(heads).sum_dim(2).squeeze_dim::<2>(2);
        let by_unit = by_head(values.clone() * unit.clone().matmul(weight.clone()));
        let by_ones = norm
            .is_centred
            .then(|| by_head(values.clone() * weight.clone().sum_dim(0)));
        Gradient {
            heads: self.heads,
            weight: Some(weight),
            values,
            normed: Some(Along {
                unit,
                by_unit,
                by_ones,
            }),
        }
    }

    /// Of writers, what their heads wrote times a vector of the stream's width at each position,
    /// `[row, head]`; `None` for a vector of ones.
    fn times(&self, written: Tensor<2>, vector: Option<Tensor<2>>) -> Tensor<2> {
        let [rows, channels] = written.dims();
        let heads = [rows, self.heads, channels / self.heads];
        let other = match (&self.weight, vector) {
            (Some(weight), Some(vector)) => vector.matmul(of_writers(weight).transpose()),
            (Some(weight), None) => of_writers(weight).sum_dim(1).transpose(),
            (None, Some(vector)) => vector.repeat_dim(1, self.heads),
            (None, None) => Tensor::ones([1, channels], &written.device()),
        };
        (written * other).reshape(heads).sum_dim(2).squeeze_dim(2)
    }
}

/// A gradient at what readers read, as far as their norm: past it, from `g` at the normalised stream the
/// gradient at the stream is `(g - mean(g) - u mean(g u)) / s`, with `u` what is normalised and `s` what it
/// was divided by.
#[derive(Debug)]
pub(crate) struct Gradient {
    heads: usize,
    /// `[row, head * channel]`, divided by the norm's scale.
    values: Tensor<2>,
    /// `[width, head * channel]`.
    weight: Option<Tensor<2>>,
    normed: Option<Along>,
}

#[derive(Debug)]
struct Along {
    /// What is normalised, `[row, width]`.
    unit: Tensor<2>,
    /// The gradient at the normalised stream along it `[row, head]`, and along ones where a mean is taken
    /// away.
    by_unit: Tensor<2>,
    by_ones: Option<Tensor<2>>,
}

impl Gradient {
    /// What each head of the writers wrote along the gradient at each head of the readers, summed over
    /// examples and positions: `[writer's head, reader's head]`.
    pub(crate) fn along(&self, writer: &Group, written: Tensor<3>) -> Tensor<2> {
        let written = flat(written);
        let all = self.product(writer, written.clone());
        let Some(normed) = &self.normed else {
            return all;
        };
        let width = normed.unit.dims()[1] as f32;
        let unit = writer.times(written.clone(), Some(normed.unit.clone()));
        let mut lost = unit.transpose().matmul(normed.by_unit.clone());
        if let Some(by_ones) = &normed.by_ones {
            let ones = writer.times(written, None);
            lost = lost + ones.transpose().matmul(by_ones.clone());
        }
        all - lost / width
    }

    fn product(&self, writer: &Group, written: Tensor<2>) -> Tensor<2> {
        let heads = [writer.heads, self.heads];
        let ([rows, a], [_, b]) = (written.dims(), self.values.dims());
        let weight = match (writer.weight.as_ref().map(of_writers), &self.weight) {
            (Some(from), Some(to)) => from.matmul(to.clone()),
            (Some(from), None) => from.repeat_dim(1, self.heads),
            (None, Some(to)) => to.clone().repeat_dim(0, writer.heads),
            (None, None) => {
                // Vectors of one width: row by row of heads.
                let by_head = |x: Tensor<2>, heads: usize| {
                    let width = x.dims()[1] / heads;
                    let x = x.reshape([rows, heads, width]).swap_dims(0, 1);
                    x.reshape([heads, rows * width])
                };
                let from = by_head(written, writer.heads);
                let to = by_head(self.values.clone(), self.heads);
                return from.matmul(to.transpose());
            }
        };
        let products = written.transpose().matmul(self.values.clone()) * weight;
        products
            .reshape([heads[0], a / heads[0], heads[1], b / heads[1]])
            .sum_dim(3)
            .sum_dim(1)
            .reshape(heads)
    }
}

/// `[batch, position, channel]` as `[row, channel]`.
fn flat(x: Tensor<3>) -> Tensor<2> {
    x.flatten::<2>(0, 1)
}

/// `[head, channel, width]` as `[head * channel, width]`.
fn of_writers(weight: &Tensor<3>) -> Tensor<2> {
    weight.clone().flatten::<2>(0, 1)
}

/// `[head, width, channel]` as `[width, head * channel]`.
fn of_readers(weight: &Tensor<3>) -> Tensor<2> {
    weight.clone().swap_dims(0, 1).flatten::<2>(1, 2)
}
