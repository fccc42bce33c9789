//! Layer norm and root mean square norm.

use burn::tensor::Tensor;
use burn::tensor::module::layer_norm;

use super::config::{NormKind, Transformer};
use super::part::Part;
use crate::arch::Trace;

/// Normalises each position of x `[batch, position, channel]` by the weights `NAME.w` and `NAME.b`,
/// past the sites `NAME.hook_scale` and `NAME.hook_normalized`.
///
/// What passes is computed in one go; an edit at a site adds the difference that it makes, so that
/// looking changes no bit, and an edit that changes nothing neither.
pub(super) fn norm(
    net: &Transformer,
    part: &Part<'_>,
    name: &str,
    x: Tensor<3>,
    trace: &mut Trace<'_>,
) -> Tensor<3> {
    if net.norm == NormKind::None {
        return x;
    }
    let scale = trace.aside(&format!("{name}.hook_scale"), || scale(net, x.clone()));
    let rescaled = |unit: Tensor<3>| match &scale {
        Some(scale) => unit * (scale.before.clone() / scale.after.clone()),
        None => unit,
    };
    let normalized = trace.aside(&format!("{name}.hook_normalized"), || {
        rescaled(unit(net, x.clone()))
    });
    let change = match (&scale, normalized) {
        (None, None) => None,
        (_, Some(normalized)) => Some(normalized.after - unit(net, x.clone())),
        (Some(_), None) => {
            let unit = unit(net, x.clone());
            Some(rescaled(unit.clone()) - unit)
        }
    };
    let out = unseen(net, part, name, x);
    match change {
        Some(change) => out + change * part.get::<1>(&format!("{name}.w")).unsqueeze(),
        None => out,
    }
}

/// The same where there are no sites.
pub(super) fn unseen(net: &Transformer, part: &Part<'_>, name: &str, x: Tensor<3>) -> Tensor<3> {
    if net.norm == NormKind::None {
        return x;
    }
    let w = part.get::<1>(&format!("{name}.w"));
    match net.norm {
        NormKind::Layer => layer_norm(x, w, part.term(&format!("{name}.b")), net.epsilon),
        _ => unit(net, x) * w.unsqueeze(),
    }
}

/// Before scale and term of its own.
fn unit(net: &Transformer, x: Tensor<3>) -> Tensor<3> {
    match net.norm {
        NormKind::Layer => {
            let ones = Tensor::ones([net.d_model], &x.device().inner());
            layer_norm(x, ones, None, net.epsilon)
        }
        _ => x.clone() / scale(net, x),
    }
}

/// What each position is divided by `[batch, position, 1]`.
fn scale(net: &Transformer, x: Tensor<3>) -> Tensor<3> {
    let x = match net.norm {
        NormKind::Layer => x.clone() - x.mean_dim(2),
        _ => x,
    };
    // Each of these is free to write where it reads.
    (x.square().mean_dim(2) + net.epsilon).sqrt()
}
