//! What is written comes back, whole.

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::Device;
use mr_models::data::{DataConfig, Split, load as load_data};
use mr_models::{Architecture, ConvNet, Model, Network, floats, load, save};
use mr_train::{Augmentation, OptimizerConfig, Sgd, TrainConfig, Trainer};
use serde_json::Map;

use crate::nets::all;

#[test]
fn a_saved_net_reloads_to_the_same_bits_without_being_told_what_it_is() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    for golden in all() {
        let net = golden.network(&device);
        let path = folder.path().join(&golden.file);
        save(&net, &Map::new(), &path).unwrap();
        let again = load(&path, None, &device).unwrap().network;
        assert_eq!(again.architecture(), &golden.architecture);
        assert_eq!(again.weights().to_host(), net.weights().to_host());
        let input = golden.input(&device);
        assert_eq!(floats(again.logits(&input)), floats(net.logits(&input)));
        let bytes = std::fs::read(&path).unwrap();
        save(&again, &Map::new(), &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{}", golden.file);
    }
}

/// Trains with everything that has state, stopping after each of `stops` steps and going on.
fn trained(folder: &Path, stops: &[usize]) -> Vec<u8> {
    let data = load_data(&DataConfig::default(), Split::Train)
        .unwrap()
        .take(120)
        .unwrap();
    let architecture = Architecture::Convnet(ConvNet {
        widths: vec![3],
        hidden: vec![8],
        batch_norm: true,
        dropout: 0.3,
        ..ConvNet::default()
    });
    let config = TrainConfig {
        epochs: Some(3),
        batch_size: 30,
        optimizer: OptimizerConfig::Sgd(Sgd {
            lr: 0.05,
            momentum: 0.9,
            ..Sgd::default()
        }),
        augmentation: Augmentation {
            crop: 2,
            flip: true,
        },
        ..TrainConfig::default()
    };
    let device = Device::flex();
    let mut stops = stops.iter().copied();
    loop {
        let net = Network::init(architecture.clone(), 4, &device).unwrap();
        let stop = stops.next();
        let trainer = Trainer::new(config.clone(), net, &data)
            .unwrap()
            .resume_or_start(folder)
            .unwrap();
        let result = trainer
            .run(&mut |progress| {
                if stop.is_some_and(|stop| progress.step >= stop) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
            .unwrap();
        if stop.is_none() {
            let path = folder.join("net.safetensors");
            save(&result.network, &Map::new(), &path).unwrap();
            return std::fs::read(path).unwrap();
        }
    }
}

#[test]
fn a_stopped_training_resumes_to_the_bits_of_an_unstopped_one() {
    let whole = tempfile::tempdir().unwrap();
    let parts = tempfile::tempdir().unwrap();
    let unstopped = trained(whole.path(), &[]);
    assert_eq!(trained(parts.path(), &[1, 5, 6]), unstopped);
}
