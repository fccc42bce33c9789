//! Bad input: one clear line of error, exit code 2, and nothing lost.

mod cards;
mod circuits;
mod dictionaries;
mod outputs;
#[path = "../support/mod.rs"]
mod support;

use mr_models::{Architecture, Mlp, Network, write_tensors};
use support::{Lab, floats_with, idx};

fn says(lab: &Lab, words: &str, parts: &[&str]) {
    let error = lab.error(words);
    for part in parts {
        assert!(error.contains(part), "mr {words}\n{error}\nlacks {part}");
    }
}

/// Bare weights of a perceptron 784-4-10, with one of them changed.
fn weights(lab: &Lab, file: &str, change: impl FnOnce(&mut Vec<(String, Vec<usize>, Vec<f32>)>)) {
    let mlp = Mlp {
        hidden: vec![4],
        ..Mlp::default()
    };
    let device = burn::tensor::Device::flex();
    let net = Network::init(Architecture::Mlp(mlp), 0, &device).unwrap();
    let mut tensors = net.weights().to_host();
    change(&mut tensors);
    write_tensors(&lab.path(file), &tensors, &[]).unwrap();
}

#[test]
fn data_files() {
    let lab = Lab::new();
    let labels = idx(0x08, &[4], &[0, 1, 0, 1]);
    lab.write("labels", &labels);
    lab.write("three-labels", idx(0x08, &[3], &[0, 1, 0]));
    lab.write("no-labels", idx(0x08, &[0], &[]));
    lab.write("images", idx(0x08, &[4, 2, 2], &[7; 16]));
    lab.write("truncated", idx(0x08, &[4, 2, 2], &[7; 9]));
    lab.write("no-images", idx(0x08, &[0, 2, 2], &[]));
    lab.write("magic", b"GIF89a, a picture");
    lab.write("not-a-number", floats_with(f32::NAN));
    lab.write("outside", floats_with(1.5));
    let show = |images: &str, labels: &str| {
        format!("data show idx --set data.images={images} --set data.labels={labels}")
    };
    lab.run(&show("images", "labels"));
    for (images, labels, parts) in [
        (
            "missing",
            "labels",
            vec!["error: missing: ", "No such file"],
        ),
        (
            "truncated",
            "labels",
            vec!["truncated: truncated: expected 16 bytes of values, found 9"],
        ),
        (
            "magic",
            "labels",
            vec!["magic: magic number 0x47494638, expected an IDX file"],
        ),
        (
            "images",
            "three-labels",
            vec!["images and three-labels: 4 images but 3 labels"],
        ),
        ("no-images", "no-labels", vec!["the data set is empty"]),
        (
            "not-a-number",
            "labels",
            vec![
                "example 1 holds NaN at channel 0, row 1, column 0",
                "[0, 1]",
            ],
        ),
        (
            "outside",
            "labels",
            vec!["example 1 holds 1.5 at channel 0, row 1, column 0"],
        ),
    ] {
        says(&lab, &show(images, labels), &parts);
    }
    says(
        &lab,
        "data show mnist",
        &["is missing; `mr data fetch mnist` brings it"],
    );
    says(
        &lab,
        "data show mnst",
        &["unknown data set `mnst`; did you mean mnist"],
    );
    says(
        &lab,
        "data show digits --limit 0",
        &["limit is 0, must be at least 1"],
    );
    says(
        &lab,
        "data show digits --limit -3",
        &["--limit: `data.limit`: invalid value"],
    );
    says(
        &lab,
        "data fetch mnst",
        &["unknown thing to fetch `mnst`; did you mean mnist"],
    );
    says(&lab, "data fetch idx", &["`idx` needs no fetching"]);
    says(
        &lab,
        "data show idx",
        &["images is not set, must be the path of an IDX file"],
    );
}

#[test]
fn weights_files() {
    let lab = Lab::new();
    lab.net();
    let whole = lab.read("net/model.safetensors");
    lab.write("truncated.safetensors", &whole[..whole.len() / 2]);
    lab.write("corrupt.safetensors", [&[255; 16], &whole[16..]].concat());
    lab.write("text.safetensors", "no weights");
    weights(&lab, "bare.safetensors", |_| ());
    weights(&lab, "nan.safetensors", |tensors| {
        tensors[0].2[5] = f32::NAN;
    });
    std::fs::create_dir(lab.path("empty")).unwrap();
    for (model, parts) in [
        (
            "missing.safetensors",
            vec!["missing.safetensors: No such file"],
        ),
        ("empty", vec!["empty: no model.safetensors in this folder"]),
        (
            "truncated.safetensors",
            vec!["truncated.safetensors: not a readable safetensors file"],
        ),
        (
            "corrupt.safetensors",
            vec!["corrupt.safetensors: not a readable safetensors file"],
        ),
        (
            "text.safetensors",
            vec!["text.safetensors: not a readable safetensors file"],
        ),
        (
            "bare.safetensors",
            vec!["do not say their architecture", "--arch", "lenet5"],
        ),
        (
            "bare.safetensors --arch mlp",
            vec!["`linear1.weight` has shape [4, 784]", "[128, 784]"],
        ),
        (
            "bare.safetensors --arch lenet5",
            vec!["lack `conv1.weight` [32, 1, 3, 3]"],
        ),
        (
            "nan.safetensors --set model.type=mlp --set model.hidden=[4]",
            vec!["weight `linear1.weight` holds NaN at position 5"],
        ),
        ("net --arch lenet5", vec!["the file holds Mlp"]),
        (
            "net --arch lenet",
            vec!["--arch: unknown model `lenet`; did you mean lenet5"],
        ),
    ] {
        says(&lab, &format!("eval --model {model}"), &parts);
        says(
            &lab,
            &format!("attack --epsilon 0.1 --model {model}"),
            &parts,
        );
    }
    says(&lab, "models empty", &["no model.safetensors"]);
    says(&lab, "models lenet6", &["lenet6: No such file"]);
    // What says itself what it is needs no name, and one that agrees does no harm.
    lab.run("eval --model bare.safetensors --set model.type=mlp --set model.hidden=[4] --limit 9");
}

#[test]
fn threats_and_attacks() {
    let lab = Lab::new();
    lab.net();
    for (flags, parts) in [
        ("", vec!["no threat: give --epsilon"]),
        (
            "--epsilon -0.1",
            vec!["epsilon is -0.1, must be a number, at least 0"],
        ),
        ("--epsilon nan", vec!["epsilon is NaN, must be a number"]),
        ("--epsilons 0.1,-0.2", vec!["epsilon is -0.2"]),
        (
            "--epsilon 0.1 --norm l3",
            vec!["--norm: unknown norm `l3`; ", "Linf"],
        ),
        (
            "--epsilon 0.1 --attack pgdd",
            vec!["--attack: unknown attack `pgdd`; did you mean pgd, apgd?"],
        ),
        (
            "--epsilon 0.1 --attack fgsm --steps 3",
            vec!["--steps: unknown key `attack.steps`", "objective"],
        ),
        (
            "--epsilon 0.1 --objective marginal",
            vec!["unknown objective `marginal`; did you mean margin?"],
        ),
        (
            "--epsilon 0.1 --place linear1.hook_ou",
            vec!["unknown site `linear1.hook_ou`; did you mean linear1.hook_out"],
        ),
        (
            "--epsilon 0.1 --target 10",
            vec!["target is 10, must be a class below 10"],
        ),
        (
            "--epsilon 0.1 --target first",
            vec!["--target", "a class such as 3, next, random"],
        ),
        (
            "--epsilon 0.1 --steps 0",
            vec!["steps is 0, must be at least 1"],
        ),
        ("--epsilon 0.1 --steps -4", vec!["--steps: `attack"]),
        (
            "--epsilon 0.1 --step-size -1",
            vec!["step_size is -1, must be a finite number above 0"],
        ),
        (
            "--epsilon 0.1 --batch-size 0",
            vec!["batch_size is 0, must be at least 1"],
        ),
        (
            "--epsilon 0.1 --limit 0",
            vec!["limit is 0, must be at least 1"],
        ),
        (
            "--epsilon 0.1 --data sparse-features",
            vec!["examples of [50, 1, 1] (channel, height, width), the model takes [1, 28, 28]"],
        ),
        (
            "--epsilon 0.1 --split tset",
            vec!["--split: unknown split `tset`; did you mean test?"],
        ),
        (
            "--epsilon 0.1 --set threat.bounds=[1.0,0.0]",
            vec!["bounds is [1.0, 0.0], must be two finite numbers"],
        ),
        (
            "--epsilon 0.1 --device flexx",
            vec!["unknown device `flexx`; did you mean flex?"],
        ),
        ("--epsilon 0.1 --device cuda:x", vec!["`x` is not a number"]),
    ] {
        says(&lab, &format!("attack --model net {flags}"), &parts);
    }
    #[cfg(not(feature = "cuda"))]
    says(
        &lab,
        "eval --model net --device cuda:1",
        &[
            "device `cuda` is not in this mr: build it with --features cuda",
            "flex",
        ],
    );
    says(
        &lab,
        "eval --model net --batch-size 0",
        &["batch_size is 0"],
    );
    says(
        &lab,
        "measure --model net --batch-size 0",
        &["batch_size is 0"],
    );
    says(
        &lab,
        "measure --model net --site linear1.hook",
        &["unknown site `linear1.hook`; did you mean linear1.hook_"],
    );
}

#[test]
fn certificates() {
    let lab = Lab::new();
    lab.net();
    for (words, part) in [
        ("", "no threat: give --epsilon"),
        (
            "--epsilon -1",
            "epsilon is -1, must be a number, at least 0",
        ),
        (
            "--epsilon 0.1 --method crow",
            "unknown method `crow`; did you mean crown?",
        ),
        ("--epsilon 0.1 --norm l3", "unknown norm `l3`"),
        (
            "--epsilon 0.1 --norm l0",
            "ibp knows the norms Linf, L2, L1, not L0",
        ),
        ("--epsilon 0.1 --sigma 0.5", "unknown key `certify.sigma`"),
        (
            "--epsilon 0.1 --method smoothing --sigma 0",
            "sigma is 0, must be a finite number above 0",
        ),
        (
            "--epsilon 0.1 --method smoothing --n 0",
            "n is 0, must be from 1",
        ),
        (
            "--epsilon 0.1 --batch-size 0",
            "batch_size is 0, must be at least 1",
        ),
        (
            "--epsilons 0.1,-0.2",
            "epsilon is -0.2, must be a number, at least 0",
        ),
        (
            "--epsilon 0.1 --attack pgdd",
            "--attack: unknown attack `pgdd`; did you mean pgd, apgd?",
        ),
        (
            "--epsilon 0.1 --method smoothing --attack pgd",
            "leave --attack and the [attack] table out",
        ),
        (
            "--epsilon 0.1 --plot net.toml/a.svg",
            "--plot net.toml/a.svg: cannot write there",
        ),
    ] {
        says(&lab, &format!("certify --model net {words}"), &[part]);
    }
    lab.run("train --arch convnet --steps 1 --set data.limit=200 --out maps");
    says(
        &lab,
        "certify --model maps --epsilon 0.1 --method crown",
        &["crown bounds perceptrons (mlp), not a convnet; the methods ibp and smoothing know it"],
    );
}

#[test]
fn settings_files() {
    let lab = Lab::new();
    lab.write("typo.toml", "[train]\nepoch = 3");
    lab.write("table.toml", "[trian]\nepochs = 3");
    lab.write("syntax.toml", "[train]\nepochs = = 3");
    lab.write("latin.toml", b"name = \"\xe9\"");
    let train = "train --arch mlp --out run --config";
    for (file, parts) in [
        (
            "typo.toml",
            vec!["typo.toml: unknown key `train.epoch`; did you mean epochs?"],
        ),
        (
            "table.toml",
            vec!["table.toml: unknown key `trian`; did you mean train?"],
        ),
        ("syntax.toml", vec!["syntax.toml: line 2: "]),
        ("latin.toml", vec!["latin.toml: ", "UTF-8"]),
        ("missing.toml", vec!["missing.toml: No such file"]),
    ] {
        says(&lab, &format!("{train} {file}"), &parts);
    }
    let train = "train --arch mlp --out run";
    for (flags, parts) in [
        (
            "--set train.epoch=3",
            vec!["--set train.epoch=3: unknown key `train.epoch`"],
        ),
        ("--set train", vec!["must be KEY=VALUE"]),
        (
            "--batch-size 0",
            vec!["batch_size is 0, must be at least 1"],
        ),
        (
            "--lr -1",
            vec!["optimizer.lr is -1, must be a finite number above 0"],
        ),
        ("--lr nan", vec!["optimizer.lr is NaN"]),
        ("--epochs 0", vec!["epochs is 0, must be at least 1"]),
        (
            "--set train.loss.type=reconstuction",
            vec!["unknown loss `reconstuction`; did you mean reconstruction?"],
        ),
        ("--set model.hidden=[0]", vec!["hidden"]),
        ("--seed -1", vec!["-1"]),
    ] {
        let words = format!("{train} {flags}");
        if flags.starts_with("--seed") {
            lab.mr(&words).assert().code(2);
        } else {
            says(&lab, &words, &parts);
        }
    }
    says(
        &lab,
        "train --out run",
        &["no model: name one with --arch", "lenet5"],
    );
    says(&lab, "train --arch mlp", &["no folder to train into"]);
    assert!(!lab.path("run").exists(), "nothing was made of bad input");
    lab.mr("trian").assert().code(2);
    lab.mr("").assert().code(2);
}
