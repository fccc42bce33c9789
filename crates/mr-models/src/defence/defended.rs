//! A network with defences, which is again a network.

use burn::tensor::{Device, Tensor};

use super::smoothing::log_mean;
use super::{Defence, DefenceConfig, Stage};
use crate::error::ModelError;
use crate::hook::Hook;
use crate::input::Input;
use crate::model::Model;
use crate::site::{InputKind, ModelSpec, Site};

/// A model behind defences, each at its stage, in their order.
///
/// Hooks see a site as the defences there have left it, so an attack at such a site stands behind them.
/// Where a defence is random, [`run`](Model::run) draws as though every example had the key 0;
/// [`run_drawn`](Model::run_drawn) is what attacks and evaluations use.
#[derive(Debug, Clone)]
pub struct Defended<M> {
    model: M,
    defences: Vec<Defence>,
}

impl<M: Model> Defended<M> {
    /// The model behind these defences.
    ///
    /// # Errors
    /// [`ModelError::UnknownSite`], or [`ModelError::Unfit`] for a defence of the input of a model that
    /// takes tokens.
    pub fn new(model: M, defences: Vec<Defence>) -> Result<Self, ModelError> {
        let spec = model.spec();
        for defence in &defences {
            match &defence.stage {
                Stage::Site(site) => {
                    spec.site(site)?;
                }
                Stage::Input if matches!(spec.input, InputKind::Tokens { .. }) => {
                    return Err(ModelError::Unfit(
                        "a defence of the input takes real values, the model takes tokens: name a \
                         site, such as that of the embedding"
                            .into(),
                    ));
                }
                Stage::Input | Stage::Logits => {}
            }
        }
        Ok(Self { model, defences })
    }

    /// The model behind defences by their settings.
    ///
    /// # Errors
    /// Those of [`new`](Self::new), and [`ModelError::Setting`].
    pub fn by_config(model: M, configs: &[DefenceConfig]) -> Result<Self, ModelError> {
        let defences: Result<_, _> = configs.iter().map(DefenceConfig::defence).collect();
        Self::new(model, defences?)
    }

    /// The model without its defences.
    pub fn undefended(&self) -> &M {
        &self.model
    }

    /// The defences.
    pub fn defences(&self) -> &[Defence] {
        &self.defences
    }

    fn draws(&self) -> bool {
        self.defences.iter().any(|d| d.transform.is_random())
    }
}

/// Applies those of the defences that stand at a stage. Each draws by keys of its own.
pub(super) fn apply(
    defences: &[Defence],
    stage: impl Fn(&Stage) -> bool,
    values: Tensor<3>,
    keys: &[u64],
) -> Tensor<3> {
    let mut values = values;
    for (number, defence) in defences.iter().enumerate() {
        if stage(&defence.stage) {
            let own: Vec<u64> = keys
                .iter()
                .map(|key| key.wrapping_add((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
                .collect();
            values = defence.transform.apply(values, &own);
        }
    }
    values
}

impl<M: Model> Model for Defended<M> {
    fn spec(&self) -> &ModelSpec {
        self.model.spec()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        self.run_drawn(input, &vec![0; input.batch()], hook)
    }

    fn is_random(&self) -> bool {
        self.draws() || self.model.is_random()
    }

    fn run_drawn(&self, input: &Input, keys: &[u64], hook: &mut dyn Hook) -> Tensor<3> {
        let copies = self.defences.iter().filter_map(|d| d.transform.copies());
        let Some(copies) = copies.max() else {
            return self.once(input, keys, hook);
        };
        let each = (0..copies as u64).map(|copy| {
            let own = keys
                .iter()
                .map(|key| key.wrapping_add(copy.wrapping_mul(0xbf58_476d_1ce4_e5b9)));
            self.once(input, &own.collect::<Vec<u64>>(), hook)
        });
        log_mean(each.collect())
    }
}

impl<M: Model> Defended<M> {
    /// One pass of the network behind its defences.
    fn once(&self, input: &Input, keys: &[u64], hook: &mut dyn Hook) -> Tensor<3> {
        let defences = &self.defences;
        let input = match input {
            Input::Real(values) => {
                let [batch, channels, height, width] = values.dims();
                let flat = values.clone().reshape([batch, channels, height * width]);
                let flat = apply(defences, |stage| *stage == Stage::Input, flat, keys);
                Input::Real(flat.reshape([batch, channels, height, width]))
            }
            Input::Tokens(_) => input.clone(),
        };
        let mut defended = AtSites {
            defences,
            keys,
            hook,
        };
        let logits = self.model.run_drawn(&input, keys, &mut defended);
        apply(defences, |stage| *stage == Stage::Logits, logits, keys)
    }
}

struct AtSites<'a> {
    defences: &'a [Defence],
    keys: &'a [u64],
    hook: &'a mut dyn Hook,
}

impl AtSites<'_> {
    fn defends(&self, site: &Site) -> bool {
        let here =
            |defence: &Defence| matches!(&defence.stage, Stage::Site(name) if *name == site.name);
        self.defences.iter().any(here)
    }
}

impl Hook for AtSites<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.defends(site) || self.hook.wants(site)
    }

    fn at(&mut self, site: &Site, mut activation: Tensor<3>) -> Tensor<3> {
        if self.defends(site) {
            let here = |stage: &Stage| matches!(stage, Stage::Site(name) if *name == site.name);
            activation = apply(self.defences, here, activation, self.keys);
        }
        if self.hook.wants(site) {
            self.hook.at(site, activation)
        } else {
            activation
        }
    }
}
