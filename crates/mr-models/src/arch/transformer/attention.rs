//! Multi-head attention (Vaswani et al. 2017), with shared keys and values where the config says so.

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::config::{Placement, Transformer};
use super::norm::{norm, unseen};
use super::part::{Part, affine};
use super::rotary::rotate;
use crate::arch::Trace;
use crate::arch::trace::Changed;

/// What attention adds to the stream x `[batch, position, channel]`, past its sites.
///
/// What each head alone reads and writes is computed only for a hook that wants it; the difference
/// that an edit of it makes is added to what the heads do together.
pub(super) fn attention(
    net: &Transformer,
    part: &Part<'_>,
    x: Tensor<3>,
    trace: &mut Trace<'_>,
) -> Tensor<3> {
    let [_, positions, _] = x.dims();
    let (heads, sharing) = (net.heads, net.key_value_heads());
    let q_input = trace.aside("hook_q_input", || spread(&x, heads));
    let k_input = trace.aside("hook_k_input", || spread(&x, sharing));
    let v_input = trace.aside("hook_v_input", || spread(&x, sharing));
    let read = match net.placement {
        Placement::Pre => norm(net, part, "ln1", x, trace),
        Placement::Post => x,
    };
    // One product for every head's query, key and value.
    let all = part.affine("attn.W_QKV", "attn.b_QKV", read);
    let slot = |name, first, count| Slot {
        net,
        part,
        name,
        first,
        count,
    };
    let mut q = slot("q", 0, heads).of(&all, q_input, trace);
    let mut k = slot("k", heads, sharing).of(&all, k_input, trace);
    let v = slot("v", heads + sharing, sharing).of(&all, v_input, trace);
    if let Some((dims, base)) = net.rotary() {
        q = rotate(q, dims, base);
        q = trace.seen("attn.hook_rot_q", q, side_by_side, |q| one_by_one(q, heads));
        k = rotate(k, dims, base);
        k = trace.seen("attn.hook_rot_k", k, side_by_side, |k| {
            one_by_one(k, sharing)
        });
    }
    let scale = Tensor::full(
        [1, 1, 1, 1],
        1.0 / (net.d_head() as f32).sqrt(),
        &q.device().inner(),
    );
    let mut scores = (q * scale).matmul(shared(k, heads).transpose());
    if net.causal {
        let mask = future(positions, &scores.device().inner());
        scores = scores + mask;
    }
    let back = |x| one_by_one(x, heads);
    let scores = trace.seen("attn.hook_attn_scores", scores, side_by_side, back);
    let pattern = softmax(scores, 3);
    let pattern = trace.seen("attn.hook_pattern", pattern, side_by_side, back);
    let z = side_by_side(pattern.matmul(shared(v, heads)));
    let z = trace.sequence("attn.hook_z", z);

    let w = part.get::<3>("attn.W_O");
    let result = trace.aside("attn.hook_result", || by_head(z.clone(), w.clone()));
    let [_, width, out] = w.dims();
    let w = w.reshape([1, heads * width, out]);
    let mut sum = affine(z, w, part.term("attn.b_O"));
    if let Some(Changed { before, after }) = result {
        let [batch, positions, _] = before.dims();
        let change = (after - before).reshape([batch, positions, heads, out]);
        sum = sum + change.sum_dim(2).reshape([batch, positions, out]);
    }
    trace.sequence("hook_attn_out", sum)
}

/// The queries, the keys or the values of all heads.
struct Slot<'a> {
    net: &'a Transformer,
    part: &'a Part<'a>,
    /// `q`, `k` or `v`.
    name: &'static str,
    /// Its first head among those of the one product.
    first: usize,
    /// Number of its heads.
    count: usize,
}

impl Slot<'_> {
    /// Its part of the product `[batch, position, head * channel]`, as
    /// `[batch, head, position, channel]`, with what a change of single heads' inputs makes of it.
    fn of(&self, all: &Tensor<3>, input: Option<Changed>, trace: &mut Trace<'_>) -> Tensor<4> {
        let width = self.net.d_head();
        let [batch, positions, channels] = all.dims();
        let shape = [batch, positions, self.count, width];
        let mut flat = all
            .clone()
            .narrow(2, self.first * width, self.count * width);
        // A view of the same values, which the reshape of a view would copy.
        let mut heads = all
            .clone()
            .reshape([batch, positions, channels / width, width])
            .narrow(2, self.first, self.count);
        if let Some(Changed { before, after }) = input {
            // In parentheses, so that no change is exactly none.
            flat = flat + (self.of_inputs(after) - self.of_inputs(before));
            heads = flat.clone().reshape(shape);
        }
        let site = format!("attn.hook_{}", self.name);
        let heads = trace.seen(&site, heads, |_| flat, |changed| changed.reshape(shape));
        heads.swap_dims(1, 2)
    }

    /// Of an input for each head `[batch, position, head * channel]`, but for the term.
    fn of_inputs(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, positions, channels] = x.dims();
        let each = [batch, positions * self.count, self.net.d_model];
        let x = x.reshape(each);
        let x = match self.net.placement {
            Placement::Pre => unseen(self.net, self.part, "ln1", x),
            Placement::Post => x,
        };
        let weight = format!("attn.W_{}", self.name.to_uppercase());
        by_head(
            x.reshape([batch, positions, channels]),
            self.part.get(&weight),
        )
    }
}

/// The stream once for each head, `[batch, position, head * channel]`.
fn spread(x: &Tensor<3>, heads: usize) -> Tensor<3> {
    let [batch, positions, channels] = x.dims();
    x.clone()
        .reshape([batch, positions, 1, channels])
        .expand([batch, positions, heads, channels])
        .reshape([batch, positions, heads * channels])
}

/// Each head's part of x `[batch, position, head * in]` times its own w `[head, in, out]`.
fn by_head(x: Tensor<3>, w: Tensor<3>) -> Tensor<3> {
    let heads = w.dims()[0];
    side_by_side(one_by_one(x, heads).matmul(w.unsqueeze::<4>()))
}

/// `[batch, head, position, channel]` as a hook sees it: `[batch, position, head * channel]`.
fn side_by_side(x: Tensor<4>) -> Tensor<3> {
    let [batch, heads, positions, channels] = x.dims();
    // A product of tensors moves whole rows; the copy that the reshape would make moves single values.
    let one = Tensor::ones([1, 1, 1, 1], &x.device().inner());
    (x.swap_dims(1, 2) * one).reshape([batch, positions, heads * channels])
}

/// The way back.
fn one_by_one(x: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, positions, channels] = x.dims();
    x.reshape([batch, positions, heads, channels / heads])
        .swap_dims(1, 2)
}

/// Keys or values `[batch, head, position, channel]` for so many queries, in groups that share them.
fn shared(x: Tensor<4>, heads: usize) -> Tensor<4> {
    let [batch, sharing, positions, channels] = x.dims();
    if sharing == heads {
        return x;
    }
    x.reshape([batch, sharing, 1, positions, channels])
        .expand([batch, sharing, heads / sharing, positions, channels])
        .reshape([batch, heads, positions, channels])
}

/// Minus infinity where the key stands after the query, `[1, 1, query, key]`.
fn future(positions: usize, device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..positions * positions)
        .map(|at| {
            let is_future = at % positions > at / positions;
            if is_future { f32::NEG_INFINITY } else { 0.0 }
        })
        .collect();
    Tensor::from_data(
        TensorData::new(values, [1, 1, positions, positions]),
        device,
    )
}
