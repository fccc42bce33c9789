//! Writes dictionaries for SAELens, and checks what SAELens saved of them.
//!
//! `write FOLDER` makes one folder for each kind and arrangement, with activations and what the
//! dictionary makes of them in `activations.safetensors`; `check FOLDER BACK` compares the folders of the
//! same names bit for bit. `fixtures/generate/round_trip.py` runs both, and SAELens between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::{floats, write_tensors};
use mr_sae::{
    Arrangement, BatchTopK, Dictionary, Gated, JumpRelu, Kind, Matryoshka, Normalization, Relu,
    Sae, SaeConfig, TopK, open, write_saelens,
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;

type Failed = Box<dyn std::error::Error>;

const D_IN: usize = 16;
const D_SAE: usize = 64;

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", folder] => write(Path::new(folder)),
        ["check", folder, back] => check(Path::new(folder), Path::new(back)),
        _ => Err("expected `write FOLDER` or `check FOLDER BACK`".into()),
    }
}

/// Every dictionary that SAELens has, by name.
fn dictionaries() -> Result<BTreeMap<String, Sae>, Failed> {
    let kinds: [Kind; 7] = [
        Relu::default().into(),
        Gated::default().into(),
        TopK::new(5).into(),
        TopK {
            k: 5,
            rescale: false,
        }
        .into(),
        BatchTopK::new(5.5).into(),
        Matryoshka::new(5.5, vec![8, 24]).into(),
        JumpRelu::default().into(),
    ];
    let arrangements = [
        ("autoencoder", Arrangement::Autoencoder),
        ("tied", Arrangement::Tied),
        (
            "transcoder",
            Arrangement::Transcoder {
                d_out: 12,
                skip: false,
            },
        ),
        (
            "skip",
            Arrangement::Transcoder {
                d_out: 12,
                skip: true,
            },
        ),
    ];
    let normalizations = [
        ("plain", Normalization::None),
        ("scaled", Normalization::ExpectedAverage { scale: 1.3 }),
        ("layer-norm", Normalization::LayerNorm),
        ("constant-norm", Normalization::ConstantNorm),
    ];
    let mut made = BTreeMap::new();
    for (at, kind) in kinds.into_iter().enumerate() {
        for (name, arrangement) in arrangements {
            for (normal, normalization) in normalizations {
                let transcoder = matches!(arrangement, Arrangement::Transcoder { .. });
                if transcoder && matches!(kind, Kind::Gated(_) | Kind::TopK(_)) {
                    continue;
                }
                let mut config = SaeConfig::new(D_IN, D_SAE, kind.clone()).arranged(arrangement);
                config.normalization = normalization;
                let seed = made.len() as u64;
                let sae = filled(Sae::init(config, 0, &Device::flex())?, seed);
                made.insert(format!("{at}-{}-{name}-{normal}", kind.name()), sae);
            }
        }
    }
    Ok(made)
}

/// The same with weights of which none is zero, unit or tied.
fn filled(sae: Sae, seed: u64) -> Sae {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    sae.with_weights(sae.weights().map(|entry| {
        let count = entry.shape.iter().product();
        let shared = rng.random_range(0.1f32..0.4);
        let values = (0..count).map(|_| match (entry.name.as_str(), entry.trainable) {
            // The threshold of a batch is one for all latents.
            ("threshold", false) => shared,
            ("threshold", true) => rng.random_range(0.0f32..0.4),
            _ => rng.random_range(-0.5f32..0.5),
        });
        let values: Vec<f32> = values.collect();
        Tensor::from_data(TensorData::new(values, [count]), &Device::flex())
    }))
}

fn write(folder: &Path) -> Result<(), Failed> {
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let values: Vec<f32> = (0..32 * D_IN)
        .map(|_| rng.random_range(-1.0f32..1.5))
        .collect();
    let x = Tensor::<2>::from_data(TensorData::new(values.clone(), [32, D_IN]), &Device::flex());
    let about = json!({"model_name": "tiny", "hook_name": "blocks.0.hook_resid_post"});
    let about = about.as_object().expect("it is an object");
    for (name, sae) in dictionaries()? {
        let path = folder.join(name);
        write_saelens(&sae, about, &path)?;
        let tensors = [
            ("x".into(), vec![32, D_IN], values.clone()),
            (
                "codes".into(),
                vec![32, D_SAE],
                floats(sae.encode(x.clone())),
            ),
            (
                "made".into(),
                vec![32, sae.d_out()],
                floats(sae.reconstruct(x.clone())),
            ),
        ];
        write_tensors(&path.join("activations.safetensors"), &tensors, &[])?;
    }
    Ok(())
}

fn check(folder: &Path, back: &Path) -> Result<(), Failed> {
    let mut checked = 0;
    for name in dictionaries()?.into_keys() {
        let of = |root: &Path| -> Result<_, Failed> {
            let path: PathBuf = root.join(&name);
            let opened = open(&path, &Device::flex())?;
            let bits: Vec<_> = opened
                .sae
                .weights()
                .to_host()
                .into_iter()
                .map(|(name, shape, values)| {
                    let bits: Vec<u32> = values.into_iter().map(f32::to_bits).collect();
                    (name, shape, bits)
                })
                .collect();
            Ok((opened.sae.config().clone(), bits))
        };
        if of(folder)? != of(back)? {
            return Err(format!("{name} is not what it was").into());
        }
        checked += 1;
    }
    println!("{checked} dictionaries came back bit for bit");
    Ok(())
}
