//! A network's weights, under the names and in the layouts of a PyTorch state dict; those of
//! transformers as in TransformerLens.

use std::collections::HashMap;

use burn::tensor::{Device, Gradients, Tensor, TensorData};

use crate::error::ModelError;
use crate::host;

/// One named weight or running statistic.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name in a PyTorch state dict, such as `conv1.weight`.
    pub name: String,
    /// The shape in PyTorch's layout, such as `[out, in, height, width]`.
    pub shape: Vec<usize>,
    /// The values, flattened row-major.
    pub values: Tensor<1>,
    /// Whether an optimiser changes it; running statistics are not trainable.
    pub trainable: bool,
}

/// Named tensors in definition order. Plain values: cloning is cheap, and nothing is shared
/// between two networks but memory that neither writes to.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
}

impl Weights {
    /// Appends a weight from the host.
    ///
    /// # Panics
    /// If the values do not fill the shape, or the name is taken.
    pub fn push(
        &mut self,
        name: &str,
        shape: &[usize],
        values: Vec<f32>,
        trainable: bool,
        device: &Device,
    ) {
        assert_eq!(
            shape.iter().product::<usize>(),
            values.len(),
            "weight `{name}` of shape {shape:?}"
        );
        let values = Tensor::from_data(
            TensorData::new(values, [shape.iter().product::<usize>()]),
            device,
        );
        let taken = self.index.insert(name.into(), self.entries.len());
        assert!(taken.is_none(), "two weights are named `{name}`");
        self.entries.push(Entry {
            name: name.into(),
            shape: shape.to_vec(),
            values,
            trainable,
        });
    }

    /// Appends a weight that is made of others, on their graph.
    pub(crate) fn append(&mut self, name: &str, shape: &[usize], values: Tensor<1>) {
        self.index.insert(name.into(), self.entries.len());
        self.entries.push(Entry {
            name: name.into(),
            shape: shape.to_vec(),
            values,
            trainable: false,
        });
    }

    /// Whether gradients of them are wanted.
    pub(crate) fn are_tracked(&self) -> bool {
        self.entries.iter().any(|entry| entry.values.is_autodiff())
    }

    /// The entries in definition order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Where the weights lie.
    ///
    /// # Panics
    /// If there are none.
    pub fn device(&self) -> Device {
        self.entries[0].values.device()
    }

    /// Whether there is a weight of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// A weight in its own shape.
    ///
    /// # Panics
    /// If there is no such weight or it has another rank: an architecture names its own weights.
    pub fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        let entry = self.entry(name);
        let shape: [usize; D] =
            entry.shape.clone().try_into().unwrap_or_else(|shape| {
                panic!("weight `{name}` has shape {shape:?}, not rank {D}")
            });
        entry.values.clone().reshape(shape)
    }

    fn entry(&self, name: &str) -> &Entry {
        let index = self.index.get(name);
        &self.entries[*index.unwrap_or_else(|| panic!("no weight `{name}`"))]
    }

    /// Replaces the values of a weight.
    ///
    /// # Panics
    /// If there is no such weight.
    pub fn set(&mut self, name: &str, values: Tensor<1>) {
        let index = self.index[name];
        self.entries[index].values = values;
    }

    /// The same weights with every trainable one a leaf that keeps its gradient.
    pub fn tracked(&self) -> Self {
        self.map(|entry| {
            if entry.trainable {
                entry.values.clone().autodiff().require_grad()
            } else {
                entry.values.clone()
            }
        })
    }

    /// The same weights as constants.
    pub fn plain(&self) -> Self {
        self.map(|entry| {
            if entry.values.is_autodiff() {
                entry.values.clone().inner()
            } else {
                entry.values.clone()
            }
        })
    }

    /// The gradients of [`tracked`](Self::tracked) weights after a backward pass, by entry;
    /// `None` where no gradient came or the entry is not trainable.
    pub fn gradients(&self, gradients: &mut Gradients) -> Vec<Option<Tensor<1>>> {
        self.entries
            .iter()
            .map(|entry| {
                entry
                    .trainable
                    .then(|| entry.values.grad_remove(gradients))
                    .flatten()
            })
            .collect()
    }

    /// Maps each entry to new values of the same length.
    pub fn map(&self, mut values: impl FnMut(&Entry) -> Tensor<1>) -> Self {
        let entries = self
            .entries
            .iter()
            .map(|entry| Entry {
                values: values(entry),
                ..entry.clone()
            })
            .collect();
        Self {
            entries,
            index: self.index.clone(),
        }
    }

    /// The weights on another device.
    pub fn to_device(&self, device: &Device) -> Self {
        self.map(|entry| {
            Tensor::from_data(
                TensorData::new(
                    host::floats(entry.values.clone()),
                    [entry.shape.iter().product::<usize>()],
                ),
                device,
            )
        })
    }

    /// Number of trainable values.
    pub fn parameters(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.trainable)
            .map(|entry| entry.shape.iter().product::<usize>())
            .sum()
    }

    /// Names, shapes and host values, in definition order.
    pub fn to_host(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        self.entries
            .iter()
            .map(|entry| {
                (
                    entry.name.clone(),
                    entry.shape.clone(),
                    host::floats(entry.values.clone()),
                )
            })
            .collect()
    }

    /// Replaces every value by those of `named`, which must hold exactly these names and shapes.
    ///
    /// # Errors
    /// [`ModelError::Mismatch`] naming the first weight that is missing, of another shape or not
    /// this architecture's; [`ModelError::NotFinite`] for NaN and infinities.
    pub fn replaced_by(
        &self,
        named: Vec<(String, Vec<usize>, Vec<f32>)>,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let mut given: HashMap<String, (Vec<usize>, Vec<f32>)> = named
            .into_iter()
            .map(|(name, shape, values)| (name, (shape, values)))
            .collect();
        let mut weights = Self::default();
        for entry in &self.entries {
            let Some((shape, values)) = given.remove(&entry.name) else {
                let mut names: Vec<&String> = given.keys().collect();
                names.sort();
                return Err(ModelError::Mismatch(format!(
                    "the weights lack `{}` {:?}, which this architecture has; they also hold: {names:?}",
                    entry.name, entry.shape
                )));
            };
            if shape != entry.shape {
                return Err(ModelError::Mismatch(format!(
                    "weight `{}` has shape {shape:?}, this architecture needs {:?}",
                    entry.name, entry.shape
                )));
            }
            if let Some(position) = values.iter().position(|value| !value.is_finite()) {
                return Err(ModelError::NotFinite {
                    name: entry.name.clone(),
                    value: values[position],
                    position,
                });
            }
            weights.push(&entry.name, &shape, values, entry.trainable, device);
        }
        // PyTorch counts the batches that a BatchNorm has seen; evaluation does not need it.
        given.retain(|name, _| !name.ends_with(".num_batches_tracked"));
        if let Some(name) = given.keys().min() {
            return Err(ModelError::Mismatch(format!(
                "the weights hold `{name}` {:?}, which this architecture does not have",
                given[name].0
            )));
        }
        Ok(weights)
    }
}
