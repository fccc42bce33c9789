//! A file's tensors on their way to our weights.

use std::collections::BTreeMap;

use super::Named;
use crate::error::ModelError;

/// Tensors by the names of their family, and what was made of them so far.
pub(super) struct Given {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    made: Named,
    missing: Vec<String>,
    misshapen: Vec<String>,
}

impl Given {
    pub(super) fn new(named: Named, prefix: &str) -> Self {
        let bare = |name: String| match name.strip_prefix(prefix) {
            Some(rest) => rest.to_string(),
            None => name,
        };
        let named = named.into_iter();
        Self {
            tensors: named
                .map(|(name, shape, values)| (bare(name), (shape, values)))
                .collect(),
            made: Vec::new(),
            missing: Vec::new(),
            misshapen: Vec::new(),
        }
    }

    /// Whether there is a tensor of this name.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Length of a tensor's first axis.
    pub(super) fn length(&self, name: &str) -> Option<usize> {
        let (shape, _) = self.tensors.get(name)?;
        shape.first().copied()
    }

    /// The first of these names that there is a tensor of, or the first one.
    pub(super) fn either(&self, names: [String; 2]) -> String {
        let [first, second] = names;
        if self.holds(&second) { second } else { first }
    }

    /// The values of a tensor as an array of `shape` with its axes in another order.
    fn take(&mut self, name: &str, shape: &[usize], axes: &[usize]) -> Vec<f32> {
        let count = shape.iter().product();
        let Some((given, values)) = self.tensors.remove(name) else {
            self.missing.push(name.into());
            return vec![0.0; count];
        };
        if values.len() != count {
            self.misshapen.push(format!(
                "`{name}` has shape {given:?}, config.json makes it {count} numbers"
            ));
            return vec![0.0; count];
        }
        permuted(&values, shape, axes)
    }

    /// Our weight from their tensor: an array of the shape `theirs` whose axes come in the order `axes`.
    pub(super) fn give(&mut self, ours: String, name: &str, theirs: &[usize], axes: &[usize]) {
        let values = self.take(name, theirs, axes);
        let shape = axes.iter().map(|&axis| theirs[axis]).collect();
        self.made.push((ours, shape, values));
    }

    /// The same, cut along the first axis of ours into one weight for each name.
    pub(super) fn give_each(
        &mut self,
        ours: &[String],
        name: &str,
        theirs: &[usize],
        axes: &[usize],
    ) {
        let values = self.take(name, theirs, axes);
        let shape: Vec<usize> = axes[1..].iter().map(|&axis| theirs[axis]).collect();
        for (ours, values) in ours.iter().zip(values.chunks(shape.iter().product())) {
            self.made
                .push((ours.clone(), shape.clone(), values.to_vec()));
        }
    }

    /// Our weight is theirs.
    pub(super) fn same(&mut self, ours: impl Into<String>, name: &str, shape: &[usize]) {
        let axes: Vec<usize> = (0..shape.len()).collect();
        self.give(ours.into(), name, shape, &axes);
    }

    /// Our `[in, out]` from their `[out, in]`.
    pub(super) fn transposed(&mut self, ours: impl Into<String>, name: &str, [i, o]: [usize; 2]) {
        self.give(ours.into(), name, &[o, i], &[1, 0]);
    }

    /// `NAME.w` and `NAME.b` from `weight` and `bias`.
    pub(super) fn norm(&mut self, ours: &str, name: &str, width: usize) {
        self.same(format!("{ours}.w"), &format!("{name}.weight"), &[width]);
        self.same(format!("{ours}.b"), &format!("{name}.bias"), &[width]);
    }

    /// A linear map's `W` `[in, out]` and its term from `weight` `[out, in]` and `bias`.
    pub(super) fn linear(&mut self, ours: [String; 2], name: &str, shape: [usize; 2]) {
        let [w, b] = ours;
        self.transposed(w, &format!("{name}.weight"), shape);
        self.same(b, &format!("{name}.bias"), &shape[1..]);
    }

    /// What heads read: `W` `[head, model, width]` and its term from a linear map to them all.
    pub(super) fn reading(&mut self, ours: [String; 2], name: &str, shape: [usize; 3]) {
        let ([w, b], [heads, model, width]) = (ours, shape);
        let theirs = [heads, width, model];
        self.give(w, &format!("{name}.weight"), &theirs, &[0, 2, 1]);
        self.same(b, &format!("{name}.bias"), &[heads, width]);
    }

    /// What heads write: `W` `[head, width, model]` and its term from a linear map of them all.
    pub(super) fn writing(&mut self, ours: [String; 2], name: &str, shape: [usize; 3]) {
        let ([w, b], [heads, width, model]) = (ours, shape);
        let theirs = [model, heads, width];
        self.give(w, &format!("{name}.weight"), &theirs, &[1, 2, 0]);
        self.same(b, &format!("{name}.bias"), &[model]);
    }

    /// A term that they do not have.
    pub(super) fn zeros(&mut self, ours: impl Into<String>, shape: &[usize]) {
        let values = vec![0.0; shape.iter().product()];
        self.made.push((ours.into(), shape.to_vec(), values));
    }

    /// Our weights, when every tensor has been asked for.
    pub(super) fn finish(self, ignored: &[&str]) -> Result<Named, ModelError> {
        let left = self.tensors.into_keys();
        let unexpected: Vec<String> = left
            .filter(|name| !ignored.iter().any(|end| name.ends_with(end)))
            .collect();
        let mut wrong = self.misshapen;
        for (what, names) in [("lack", self.missing), ("hold unexpected", unexpected)] {
            if !names.is_empty() {
                wrong.push(format!("the tensors {what} `{}`", names.join("`, `")));
            }
        }
        if wrong.is_empty() {
            Ok(self.made)
        } else {
            Err(ModelError::Mismatch(wrong.join("; ")))
        }
    }
}

/// The values of an array with its axes in another order, row-major before and after.
fn permuted(values: &[f32], shape: &[usize], axes: &[usize]) -> Vec<f32> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let mut at: Vec<usize> = vec![0];
    for &axis in axes {
        let steps = || (0..shape[axis]).map(|i| i * strides[axis]);
        at = at
            .iter()
            .flat_map(|start| steps().map(move |step| start + step))
            .collect();
    }
    at.into_iter().map(|at| values[at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_change_places() {
        let values: Vec<f32> = (0..6).map(|i| i as f32).collect();
        let transposed = [0.0, 3.0, 1.0, 4.0, 2.0, 5.0];
        assert_eq!(permuted(&values, &[2, 3], &[1, 0]), transposed);
        assert_eq!(permuted(&values, &[1, 2, 3], &[2, 0, 1]), transposed);
        assert_eq!(permuted(&values, &[2, 3], &[0, 1]), values);
    }

    #[test]
    fn every_missing_and_every_unexpected_tensor_is_named() {
        let one = |name: &str| (name.to_string(), vec![1], vec![1.0]);
        let named = vec![one("bert.a"), one("b"), one("c.position_ids"), one("d")];
        let mut given = Given::new(named, "bert.");
        given.same("ours.a", "a", &[1]);
        given.same("ours.d", "d", &[2]);
        given.same("ours.e", "e", &[1]);
        let error = given.finish(&["position_ids"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`d` has shape [1], config.json makes it 2 numbers; the tensors lack `e`; \
             the tensors hold unexpected `b`"
        );
    }
}
