//! Dictionaries that are none, and of something else.

use crate::says;
use crate::support::Lab;

#[test]
fn files_that_hold_no_dictionary() {
    let lab = Lab::new();
    lab.net();
    lab.write("empty/cfg.json", "{\"d_in\": 4, \"d_sae\": 6}");
    lab.write("text/cfg.json", "no dictionary");
    for (path, parts) in [
        ("nowhere", ["nowhere", "No such file"]),
        ("net", ["cfg.json", "No such file"]),
        (
            "net/model.safetensors",
            ["holds no dictionary", "no cfg.json of SAELens or sparsify"],
        ),
        (
            "empty",
            [
                "holds no weights beside its cfg.json",
                "sae_weights.safetensors",
            ],
        ),
        ("text", ["text/cfg.json", "expected"]),
    ] {
        says(&lab, &format!("sae import {path}"), &parts);
        says(&lab, &format!("sae export {path} --out out"), &parts);
        let aim = "aim --model net --epsilon 0.1 --objective raise-latent(linear1.hook_out,0)";
        says(&lab, &format!("{aim} --dictionary {path}"), &parts);
    }
}

#[test]
fn dictionaries_that_cannot_be_fitted() {
    let lab = Lab::new();
    lab.net();
    let fit = "sae train --model net --site linear1.hook_out --out out --steps 5";
    for (words, parts) in [
        ("--k 0", ["k is 0, must be from 1 to d_sae", ""]),
        (
            "--k 129",
            ["k is 129, must be from 1 to d_sae, which is 128", ""],
        ),
        ("--k 2.5", ["k is 2.5", "whole number"]),
        ("--k -1", ["k is -1", "must be"]),
        ("--width 0", ["d_sae is 0, must be from 1", ""]),
        ("--width -3", ["--width", "invalid value"]),
        ("--width 99999999999", ["d_sae is 99999999999", "268435456"]),
        (
            "--kind topk",
            ["unknown kind of dictionary `topk`", "did you mean top-k"],
        ),
        (
            "--kind relu --sparsity -1",
            ["sparsity is -1", "at least 0"],
        ),
        (
            "--kind top-k --l0 4",
            ["l0: no kind without a k", "says itself"],
        ),
        ("--kind relu --l0 0", ["l0 is 0", "at most d_sae"]),
        ("--batch-size 0", ["batch_size is 0", "at least 1"]),
        ("--lr nan", ["lr is NaN", "above 0"]),
        ("--buffer 0", ["buffer is 0", "at least 1"]),
        (
            "--skip-positions 1",
            ["positions.skip is 1", "below 1, the number of positions"],
        ),
        (
            "--without-tokens 3",
            ["positions.without_tokens is [3]", "the data are no tokens"],
        ),
        (
            "--writes linear1.hook_ou",
            ["unknown site `linear1.hook_ou`", "linear1.hook_out"],
        ),
        ("--skip", ["only a transcoder has a linear map", ""]),
        (
            "--set sae.fit.lrr=1",
            ["unknown key `sae.fit.lrr`", "did you mean lr"],
        ),
        ("--tied", ["unit_norm", ""]),
    ] {
        if words == "--tied" {
            // A tied dictionary's recipe leaves its rows alone.
            says(
                &lab,
                &format!("{fit} --tied --set sae.fit.unit_norm=true"),
                &parts,
            );
        } else {
            says(&lab, &format!("{fit} {words}"), &parts);
        }
    }
    says(
        &lab,
        "sae train --model net --out out",
        &["no site", "mr models --sites"],
    );
    says(
        &lab,
        "sae train --model net --site linear1.hook_out",
        &["no folder to fit into", "--out"],
    );
    assert!(!lab.path("out/dictionary.safetensors").exists());
    says(
        &lab,
        "sae train --model net --site linear1.hook_pre,linear2.hook_out --out out",
        &["sites of 16 and 10 channels", "equally many"],
    );
    // What another stream wrote is not read as this one's.
    lab.run(&format!("{fit} --shards shards"));
    says(
        &lab,
        "sae train --model net --site linear1.hook_pre --out other --shards shards",
        &["is of other activations", "name another folder"],
    );
    lab.write("shards/00000.safetensors", "half a shard");
    says(
        &lab,
        "sae train --model net --site linear1.hook_out --out other --steps 5 --shards shards",
        &[
            "00000.safetensors",
            "remove it and write the activations again",
        ],
    );
}

#[test]
fn activations_that_are_no_numbers() {
    let lab = Lab::new();
    lab.net();
    let path = lab.path("net/model.safetensors");
    let device = burn::tensor::Device::flex();
    let saved = mr_models::load(&path, None, &device).unwrap();
    let weights = saved
        .network
        .weights()
        .map(|entry| entry.values.clone() * 1e38);
    let of = saved.network.architecture().clone();
    let net = mr_models::Network::with_weights(of, weights.to_host(), &device).unwrap();
    mr_models::save(&net, &saved.about, &lab.path("broken.safetensors")).unwrap();
    let words =
        "sae train --model broken.safetensors --site linear2.hook_out --out out --steps 5 --k 1";
    says(&lab, words, &["of the activations holds", "in channel"]);
}

#[test]
fn dictionaries_of_other_networks() {
    let lab = Lab::new();
    lab.net();
    let fit = "sae train --model net --site linear1.hook_out --steps 5 --batch-size 64 --k 4";
    lab.run(&format!("{fit} --out fitted"));
    lab.run("train --config net.toml --seed 1 --out other");
    let show = "sae features --limit 20 --out shown --dictionary fitted";
    says(
        &lab,
        &format!("{show} --model other"),
        &["was fitted to other weights (net)", "--transfer"],
    );
    lab.run(&format!("{show} --model other --transfer"));
    for (words, parts) in [
        (
            "--model net --site linear2.hook_out",
            [
                "it reads 16 channels, and linear2.hook_out has 10",
                "as many have linear1.hook_pre, linear1.hook_out",
            ],
        ),
        (
            "--model net --site linear1.hook_ou",
            ["unknown site", "linear1.hook_out"],
        ),
        (
            "--model net --latents 128",
            ["--latents 128", "128 latents, counted from 0"],
        ),
        ("--model net --count 0", ["--count", "at least 1"]),
    ] {
        says(&lab, &format!("{show} {words}"), &parts);
    }
    says(
        &lab,
        "sae features --model net --dictionary fitted",
        &["nowhere to write pages", "--out"],
    );
    lab.write("nothing/fit.svg", "");
    let judge = "sae eval --model net --limit 60 --dictionary";
    says(
        &lab,
        &format!("{judge} nothing"),
        &["there is none in this folder", ""],
    );
    says(&lab, &format!("{judge} net"), &["cfg.json", "No such file"]);
    for (k, part) in [("0", "--probe 0"), ("1,999", "--probe 999")] {
        let words = format!("{judge} fitted --probe {k}");
        says(&lab, &words, &[part, "latents to read"]);
    }
    says(
        &lab,
        "sae eval --model other --limit 20 --dictionary fitted",
        &["was fitted to other weights (net)", "--transfer"],
    );
    lab.run(&format!("{fit} --other other --out both"));
    says(
        &lab,
        "sae features --model net --dictionary both --out shown2",
        &["a crosscoder of two networks", ""],
    );
}

#[test]
fn benchmarks_that_cannot_be_run() {
    let lab = Lab::new();
    for (words, parts) in [
        ("--kind topk", ["--kind topk", "batch-top-k"]),
        ("--regime hard", ["--regime hard", "planted, easy"]),
        ("--seeds 0", ["--seeds 0", "from 1 to 1000"]),
        ("--l0 200", ["--l0 200", "the latents, 128"]),
        ("--features 0", ["features is 0", "from 1 to"]),
        ("--width 0", ["width is 0", "from 1 to"]),
        ("--steps 0 --regime easy", ["steps is 0", "at least 1"]),
    ] {
        says(&lab, &format!("sae bench {words}"), &parts);
    }
}
