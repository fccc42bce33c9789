//! Networks by name, for `--arch`.

use anyhow::{Result, bail};
use mr_models::{Architecture, ConvNet, Mlp, ResNet, Toy, Transformer, hint};

/// A network that has a name.
pub(crate) struct Preset {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    make: fn() -> Architecture,
}

/// Every preset.
pub(crate) const PRESETS: [Preset; 7] = [
    Preset {
        name: "mlp",
        about: "one hidden layer of 128 units",
        make: || Architecture::Mlp(Mlp::default()),
    },
    Preset {
        name: "convnet",
        about: "two 3x3 convolutions of 16 and 32 filters, one hidden layer of 128 units",
        make: || Architecture::Convnet(ConvNet::default()),
    },
    Preset {
        name: "lenet5",
        about: "the MNIST pair of `mr data fetch lenet5`: 32 and 64 filters, 200 hidden units",
        make: Architecture::lenet5,
    },
    Preset {
        name: "cifar-lenet",
        about: "the CIFAR-10 net of `mr data fetch cifar-lenet`: 6 and 16 filters of 5x5",
        make: Architecture::cifar_lenet,
    },
    Preset {
        name: "resnet18",
        about: "the ResNet-18 for 32x32 images, 64 wide",
        make: || Architecture::Resnet(ResNet::default()),
    },
    Preset {
        name: "toy",
        about: "the toy model of superposition: 50 features in 10 hidden units",
        make: || Architecture::Toy(Toy::default()),
    },
    Preset {
        name: "transformer",
        about: "2 blocks, 64 wide, 4 heads, MLPs of 256 neurons (d_mlp = 0 for none): a decoder of tokens, a vision transformer",
        make: || Architecture::Transformer(Transformer::default()),
    },
];

impl Preset {
    pub(crate) fn architecture(&self) -> Architecture {
        (self.make)()
    }
}

/// The names of all presets.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|preset| preset.name)
}

/// The network of this name.
pub(crate) fn named(name: &str) -> Result<Architecture> {
    match PRESETS.iter().find(|preset| preset.name == name) {
        Some(preset) => Ok(preset.architecture()),
        None => bail!("--arch: unknown model `{name}`; {}", hint(name, names())),
    }
}
