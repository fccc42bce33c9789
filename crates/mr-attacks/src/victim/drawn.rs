//! A model with the random numbers of one pass.

use burn::tensor::{Device, Tensor};
use mr_models::{Hook, Input, Model, ModelSpec, Shortcut};

/// A 64-bit finaliser (Steele, Lea & Flood 2014, `SplitMix`): near keys give unrelated ones.
pub(super) fn mix(key: u64) -> u64 {
    let key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}

/// A model whose next pass draws by these keys.
pub(super) struct Drawn<'a> {
    pub(super) model: &'a dyn Model,
    pub(super) keys: Vec<u64>,
}

impl Model for Drawn<'_> {
    fn spec(&self) -> &ModelSpec {
        self.model.spec()
    }

    fn device(&self) -> Device {
        self.model.device()
    }

    fn run(&self, input: &Input, hook: &mut dyn Hook) -> Tensor<3> {
        if self.keys.is_empty() {
            self.model.run(input, hook)
        } else {
            self.model.run_drawn(input, &self.keys, hook)
        }
    }

    fn shortcut(&self, input: &Input) -> Option<Shortcut<'_>> {
        self.keys.is_empty().then(|| self.model.shortcut(input))?
    }
}
