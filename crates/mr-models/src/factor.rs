//! How heads read and write a residual stream through fewer channels than it has.

use burn::tensor::Tensor;

/// A site whose channels are those of a few heads, and the linear maps between it and the ports of the
/// stream (Elhage et al. 2021): what head h writes is its part of the site times `weight[h]`, and what it
/// has at the site is what it reads, normalised, times `weight[h]`, plus a term. Whatever is linear in
/// what a port holds can be computed at this site, in as many fewer operations as it is narrower.
#[derive(Debug, Clone)]
pub struct Factor {
    /// The narrow site `[batch, position, head * channel]`.
    pub site: String,
    /// By head, `[head, channel, width]` of writers and `[head, width, channel]` of readers, where width is
    /// that of the stream. A norm's scale is multiplied in.
    pub weight: Tensor<3>,
    /// What normalises what is read.
    pub norm: Option<Normed>,
}

/// The norm between a stream and what reads it: `(x - mean) / sqrt(mean square + epsilon)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Normed {
    /// The site of the stream.
    pub site: String,
    /// Whether the mean is taken away first.
    pub is_centred: bool,
    /// Added to the mean square.
    pub epsilon: f64,
}
