//! Robustness cards that cannot be drawn up.

use crate::says;
use crate::support::{Lab, NET};

#[test]
fn cards_that_cannot_be_drawn_up() {
    let lab = Lab::new();
    lab.net();
    let fit = "sae train --model net --steps 5 --batch-size 64 --k 4 --width 32";
    lab.run(&format!("{fit} --site linear1.hook_out --out fitted"));
    lab.run("train --config net.toml --seed 1 --out other");
    let card = "sae card --limit 8 --dictionary fitted";
    let own = format!("{card} --model net");
    for (words, parts) in [
        (
            "--epsilons 0",
            ["epsilons is [0.0]", "at least one finite radius above 0"],
        ),
        ("--epsilons -0.1", ["epsilons is [-0.1]", "above 0"]),
        (
            "--epsilons 0.2,0.1",
            ["epsilons is [0.2, 0.1]", "in rising order"],
        ),
        ("--epsilons inf", ["epsilons is [inf]", "finite"]),
        ("--norm l7", ["l7", "L2"]),
        ("--halvings 0", ["halvings is 0", "1 to 16"]),
        ("--top 0", ["top is 0", "at least 1"]),
        (
            "--site linear2.hook_out",
            [
                "it reads 16 channels, and linear2.hook_out has 10",
                "as many have linear1.hook_pre",
            ],
        ),
        (
            "--site linear1.hook_ou",
            ["unknown site", "linear1.hook_out"],
        ),
        ("--beside nowhere", ["--beside", "nowhere"]),
        (
            "--beside net",
            ["--beside net: a record of train", "not of `mr sae card`"],
        ),
        (
            "--plot net/model.safetensors/x.svg",
            ["--plot", "model.safetensors"],
        ),
        (
            "--latents 3,32",
            [
                "latents is 32",
                "below 32: the dictionary's latents are counted from 0",
            ],
        ),
        (
            "--attack autoattack",
            ["autoattack cannot be aimed at an objective", "pgd"],
        ),
    ] {
        says(&lab, &format!("{own} {words}"), &parts);
    }
    says(
        &lab,
        &format!("{card} --model other"),
        &["was fitted to other weights (net)", "--transfer"],
    );
    let quick = "--epsilons 0.1 --steps 1 --halvings 1 --count 1";
    lab.run(&format!("{own} {quick} --norm l2 --out card"));
    says(
        &lab,
        &format!("{own} {quick} --beside card"),
        &[
            "--beside card: its radii are of \"L2\"",
            "of this card of \"Linf\"",
        ],
    );
}

#[test]
fn dictionaries_of_several_sites_have_no_card() {
    let lab = Lab::new();
    lab.net();
    let fit = "sae train --model net --steps 5 --batch-size 64 --k 4 --width 32";
    lab.run(&format!(
        "{fit} --site linear1.hook_pre --writes linear1.hook_out --out trans"
    ));
    lab.run(&format!(
        "{fit} --site linear1.hook_pre,linear1.hook_out --out cross"
    ));
    lab.run(&format!(
        "{fit} --site linear1.hook_out --other net --out both"
    ));
    let card = "sae card --model net --limit 8 --dictionary";
    for (dictionary, parts) in [
        (
            "trans",
            [
                "a transcoder writes linear1.hook_out from linear1.hook_pre",
                "fit an autoencoder",
            ],
        ),
        (
            "cross",
            [
                "a crosscoder of linear1.hook_pre, linear1.hook_out",
                "fit an autoencoder",
            ],
        ),
        (
            "both",
            ["a crosscoder of two networks has no place in one", ""],
        ),
    ] {
        says(&lab, &format!("{card} {dictionary}"), &parts);
    }
}

#[test]
fn a_network_that_is_always_wrong_has_no_card() {
    let lab = Lab::new();
    lab.net();
    lab.run("sae train --model net --site linear1.hook_out --steps 5 --k 4 --batch-size 64 --out fitted");
    // One class is all that it knows, and none of these is of it.
    let device = burn::tensor::Device::flex();
    let saved = mr_models::load(&lab.path("net/model.safetensors"), None, &device).unwrap();
    let mut weights = saved.network.weights().clone();
    let labels = mr_models::data::load(
        &mr_models::data::DataConfig::default(),
        mr_models::data::Split::Test,
    );
    let labels = labels.unwrap().labels()[..4].to_vec();
    let absent = (0..10).find(|class| !labels.contains(class)).unwrap();
    let bias: Vec<f32> = (0..10)
        .map(|class| if class == absent { 1e4 } else { 0.0 })
        .collect();
    weights.set(
        "linear2.bias",
        burn::tensor::Tensor::from_floats(bias.as_slice(), &device),
    );
    let of = saved.network.architecture().clone();
    let net = mr_models::Network::with_weights(of, weights.to_host(), &device).unwrap();
    mr_models::save(&net, &saved.about, &lab.path("wrong.safetensors")).unwrap();
    assert!(
        NET.contains("fashion-mnist-mini"),
        "the labels are of the data that the network learned"
    );
    says(
        &lab,
        "sae card --model wrong.safetensors --dictionary fitted --transfer --limit 4",
        &[
            "the network is right on none of 4 examples",
            "is it trained",
        ],
    );
}
