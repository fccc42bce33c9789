//! The commands from end to end, on networks that train in a moment.

mod support;

use mr_metrics::ExperimentRecord;
use mr_models::read_tensors;
use predicates::str::contains;
use support::{Lab, NET};

#[test]
fn train_eval_attack_measure() {
    let lab = Lab::new();
    lab.net();
    let record = ExperimentRecord::read(&lab.path("net/record.json")).unwrap();
    assert_eq!(
        record.config["model"]["input"],
        serde_json::json!([1, 28, 28])
    );
    assert_eq!(record.config["model"]["classes"], 10);
    assert_eq!(record.numbers["steps"].value, Some(60.0));
    assert!(record.series["loss"].y.len() > 10);
    assert!(!lab.path("net/checkpoint.safetensors").exists());

    let eval = lab.json("eval --model net --limit 300 --out judged");
    let clean = eval["clean_accuracy"].as_f64().unwrap();
    assert!(clean > 0.3, "it has learned something: {clean}");
    let judged = ExperimentRecord::read(&lab.path("judged/record.json")).unwrap();
    assert_eq!(judged.numbers["clean_accuracy"].value, Some(clean));
    assert_eq!(judged.config["trained"]["train"]["steps"], 60);
    assert_eq!(judged.config["trained"]["model"]["hidden"][0], 16);
    // How much was trained on says nothing of what is judged on.
    assert_eq!(judged.config["data"]["limit"], 300);
    assert_eq!(judged.tables["classes"].rows.len(), 10);

    let attack = "attack --model net --limit 40 --epsilon 0.1 --steps 5 --epsilons 0.02,0.1";
    let attack = format!("{attack} --per-example --save adversarial.safetensors --out attacked");
    let found = lab.json(&attack);
    assert_eq!(found["n"], 40);
    assert_eq!(found["attack"], "pgd");
    assert_eq!(
        (&found["norm"], &found["epsilon"]),
        (&"Linf".into(), &0.1.into())
    );
    let robust = found["robust_accuracy"].as_f64().unwrap();
    assert!(robust <= found["clean_accuracy"].as_f64().unwrap());
    let ends = &found["robust_interval"];
    assert!(ends[0].as_f64() <= Some(robust) && ends[1].as_f64() >= Some(robust));
    assert_eq!(found["curve"].as_array().unwrap().len(), 2);
    assert_eq!(
        found["curve"][1]["robust_accuracy"],
        found["robust_accuracy"]
    );
    for key in ["seed", "forwards", "backwards", "seconds"] {
        assert!(found[key].is_number(), "{key}");
    }
    let examples = found["examples"].as_array().unwrap();
    assert_eq!(examples.len(), 40);
    let held = |e: &&serde_json::Value| e["clean"] == e["label"] && e["success"] == false;
    assert_eq!(examples.iter().filter(held).count() as f64 / 40.0, robust);
    for key in [
        "index",
        "label",
        "clean",
        "adversarial",
        "success",
        "distance",
    ] {
        assert!(examples[0].get(key).is_some(), "{key}");
    }

    // The examples that are saved are those that were judged.
    let (tensors, _) = read_tensors(&lab.path("adversarial.safetensors")).unwrap();
    let named = |name: &str| tensors.iter().find(|(other, _, _)| other == name).unwrap();
    let (_, shape, adversarial) = named("adversarial");
    assert_eq!(shape, &[40, 1, 28, 28]);
    for (i, example) in examples.iter().enumerate() {
        let row = i * 784..(i + 1) * 784;
        let pairs = adversarial[row.clone()].iter().zip(&named("clean").2[row]);
        let distance = pairs.map(|(a, c)| (a - c).abs()).fold(0.0_f32, f32::max);
        let judged = example["distance"].as_f64().unwrap_or(0.0) as f32;
        assert!((distance - judged).abs() < 1e-6, "{distance} {judged}");
        assert_eq!(
            named("label").2[i] as u64,
            example["label"].as_u64().unwrap()
        );
    }
    let record = ExperimentRecord::read(&lab.path("attacked/record.json")).unwrap();
    assert_eq!(record.series["security_curve"].x, [0.02, 0.1]);
    assert_eq!(record.artifacts["samples"], "samples.safetensors");
    let (few, _) = read_tensors(&lab.path("attacked/samples.safetensors")).unwrap();
    assert!(few.iter().all(|(_, shape, _)| (1..=8).contains(&shape[0])));

    let quick = "--limit 100 --set measure.dictionary.steps=50";
    let measured = lab.json(&format!("measure --model net {quick} --out measured"));
    let numbers = measured["numbers"].as_object().unwrap();
    for name in [
        "clean_accuracy",
        "saliency.alignment",
        "saliency.cosine",
        "effective_features.linear1.hook_out.F",
        "effective_features.linear1.hook_out.psi",
        "spectrum.linear1.hook_out.effective_rank",
        "spectrum.linear1.hook_out.participation_ratio",
    ] {
        assert!(numbers[name]["value"].as_f64().unwrap() > 0.0, "{name}");
    }
    assert!(!numbers.keys().any(|name| name.starts_with("superposition")));
}

#[test]
fn a_network_is_certified_below_what_attacks_leave() {
    let lab = Lab::new();
    lab.net();
    let about = "--model net --limit 60 --epsilon 0.01";
    let share = |value: &serde_json::Value, name: &str| value[name].as_f64().unwrap();
    let attacked = lab.json(&format!("attack {about} --steps 10"));
    let robust = share(&attacked, "robust_accuracy");
    let mut last = 0.0;
    for method in ["ibp", "crown"] {
        let found = lab.json(&format!(
            "certify {about} --method {method} --per-example --out {method}"
        ));
        let certified = share(&found, "certified_accuracy");
        assert_eq!(found["clean_accuracy"], attacked["clean_accuracy"]);
        assert!(
            last <= certified && certified <= robust,
            "{method}: {certified}"
        );
        let proven = |e: &&serde_json::Value| e["certified"] == true;
        let examples = found["examples"].as_array().unwrap();
        assert_eq!(
            examples.iter().filter(proven).count() as f64 / 60.0,
            certified
        );
        let record = ExperimentRecord::read(&lab.path(&format!("{method}/record.json"))).unwrap();
        assert_eq!(record.numbers["certified_accuracy"].value, Some(certified));
        assert_eq!(record.config["certify"]["type"], method);
        last = certified;
    }
    assert!(last > 0.1, "something is certified: {last}");

    let smoothing = "certify --model net --limit 8 --method smoothing --sigma 0.1 --n 200";
    let found = lab.json(&format!("{smoothing} --epsilon 0.05"));
    assert_eq!(found["norm"], "L2");
    let radius = share(&found, "average_radius");
    assert!(radius > 0.0 && radius < 0.3, "{radius}");
    let one_thread = lab.json(&format!("{smoothing} --epsilon 0.05 --threads 1"));
    assert_eq!(found["average_radius"], one_thread["average_radius"]);
}

#[test]
fn a_toy_is_measured() {
    let lab = Lab::new();
    let train = "train --arch toy --set data.name=sparse-features --set data.features=6 \
                 --set data.density=1.0 --set model.hidden=6 --set train.loss.type=reconstruction \
                 --lr 0.01 --steps 1500 --out toy";
    lab.run(train);
    let measured = lab.json(
        "measure --model toy --limit 500 --set measure.dictionary.steps=50 \
         --set measure.dictionaries=2 --set measure.lambdas=[0.1,0.01]",
    );
    let number = |name: &str| measured["numbers"][name]["value"].as_f64().unwrap();
    // As many hidden units as features: nothing is in superposition.
    assert!((number("superposition.features_per_dimension") - 1.0).abs() < 0.1);
    assert!((number("superposition.dimensionality_median") - 1.0).abs() < 0.1);
    assert!((number("vulnerability.one_direction") - 1.0).abs() < 0.2);
    let lambda = number("vulnerability.one_direction_lambda");
    let control = number("vulnerability.one_direction_control_raw");
    assert!((control / (lambda * lambda) - 1.0).abs() < 1e-3);
    let site = "effective_features.hook_hidden";
    assert_eq!(
        number(&format!("{site}.F")),
        number(&format!("{site}.lambda_0.1.F"))
    );
    assert_eq!(measured["numbers"][format!("{site}.F")]["n"], 2);
    assert!(number(&format!("{site}.lambda_0.01.F")) > 0.0);
    assert!(lab.json("eval --model toy")["reconstruction_error"].as_f64() < Some(0.1));
    let error = lab.error("attack --model toy --epsilon 0.1");
    assert!(
        error.contains("an autoencoder classifies nothing"),
        "{error}"
    );
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    let (one, other) = (Lab::new(), Lab::new());
    let commands = [
        "train --config net.toml --seed 3 --out net",
        "eval --model net --limit 100 --out judged",
        "attack --model net --limit 30 --epsilon 0.1 --steps 3 --out attacked --save saved",
        "measure --model net --limit 60 --set measure.dictionary.steps=20 --out measured",
    ];
    for (lab, threads) in [(&one, "1"), (&other, "3")] {
        lab.write("net.toml", NET);
        for words in commands {
            lab.mr(words)
                .env("RAYON_NUM_THREADS", threads)
                .assert()
                .success();
        }
    }
    for file in [
        "net/model.safetensors",
        "net/record.json",
        "judged/record.json",
        "attacked/record.json",
        "attacked/samples.safetensors",
        "saved",
        "measured/record.json",
    ] {
        assert_eq!(one.read(file), other.read(file), "{file}");
    }
    // The seed of the training is that of what is done with the network.
    let record = ExperimentRecord::read(&one.path("attacked/record.json")).unwrap();
    assert_eq!(
        (record.seed, &record.config["evaluation"]["seed"]),
        (3, &3.into())
    );

    one.run("train --config net.toml --seed 4 --out net-4");
    assert_ne!(
        one.read("net/model.safetensors"),
        one.read("net-4/model.safetensors")
    );
    // A run that came to its end is not repeated, and says so.
    let again = one.mr(commands[0]).assert().success();
    again.stderr(contains("net: already trained"));
}

const SLOW: &str = "[train]\nsteps = 1500\ncheckpoint = { every_steps = 20 }";

#[cfg(unix)]
#[test]
fn killed_runs_resume_to_the_same_bytes() {
    use std::time::{Duration, Instant};

    let (whole, killed) = (Lab::new(), Lab::new());
    let words = "train --config net.toml --config slow.toml --out run";
    for lab in [&whole, &killed] {
        lab.write("net.toml", NET);
        lab.write("slow.toml", SLOW);
    }
    whole.run(words);

    // Waits until a run has written its state twice after its start.
    let checkpoint = killed.path("run/checkpoint.safetensors");
    let moves_on = || {
        let start = Instant::now();
        let mut seen = Vec::new();
        while seen.len() < 3 {
            assert!(start.elapsed() < Duration::from_mins(1), "no checkpoint");
            let now = std::fs::read(&checkpoint).unwrap_or_default();
            if !now.is_empty() && seen.last() != Some(&now) {
                seen.push(now);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    let mut process = killed.process(words).spawn().unwrap();
    moves_on();
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(
        !killed.path("run/model.safetensors").exists(),
        "it was killed on its way"
    );

    // Ctrl-C leaves a checkpoint too, and says how to go on.
    let mut process = killed.process(words);
    let process = process
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    moves_on();
    let interrupt = std::process::Command::new("kill")
        .args(["-INT", &process.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let output = process.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("goes on at step"), "{said}");
    assert!(
        said.contains("the same command goes on from there: mr train --config"),
        "{said}"
    );
    assert!(checkpoint.exists());

    killed.run(words);
    for file in ["run/model.safetensors", "run/record.json"] {
        assert!(whole.read(file) == killed.read(file), "{file} differs");
    }
    assert!(!checkpoint.exists());
}

#[test]
fn flags_override_files() {
    let lab = Lab::new();
    lab.net();
    lab.write(
        "attack.toml",
        "name = \"both\"\n[threat]\nnorm = \"L2\"\nepsilon = 1.0\n\
         [[attack]]\ntype = \"fgsm\"\n[[attack]]\ntype = \"pgd\"\nsteps = 3\n[data]\nlimit = 20",
    );
    let from_file = lab.json("attack --model net --config attack.toml --out both");
    assert_eq!(from_file["attack"], "fgsm+pgd");
    assert_eq!(
        (&from_file["norm"], &from_file["n"]),
        (&"L2".into(), &20.into())
    );
    let record = ExperimentRecord::read(&lab.path("both/record.json")).unwrap();
    assert_eq!(record.name, "both");
    let flags = "--attack pgd --norm linf --epsilon 0.2 --limit 10 --no-random-start --steps 2";
    let over = lab.json(&format!("attack --model net --config attack.toml {flags}"));
    assert_eq!(
        (&over["attack"], &over["norm"], &over["n"]),
        (&"pgd".into(), &"Linf".into(), &10.into())
    );
    let pgd = &over["attacks"][0];
    assert_eq!(
        (&pgd["steps"], &pgd["random_start"]),
        (&2.into(), &false.into())
    );
    let set = "--set attack.1.steps=4 --set threat.epsilon=0.5";
    let over = lab.json(&format!("attack --model net --config attack.toml {set}"));
    assert_eq!(
        (&over["attacks"][1]["steps"], &over["epsilon"]),
        (&4.into(), &0.5.into())
    );
    let set = "--epsilon 0.1 --limit 3 --set attack.stop_early=false --steps 2";
    let over = lab.json(&format!("attack --model net {set}"));
    let pgd = &over["attacks"][0];
    assert_eq!(
        (&pgd["type"], &pgd["steps"], &pgd["stop_early"]),
        (&"pgd".into(), &2.into(), &false.into())
    );
    let set = "--set attack.objective=margin --attack fgsm --epsilon 0.1 --limit 3";
    let over = lab.json(&format!("attack --model net {set}"));
    assert_eq!(over["attacks"][0]["objective"], "margin");
    // At a site what is added is measured there.
    let latent =
        "--place linear1.hook_out --norm l2 --epsilon 2 --target next --steps 3 --limit 10";
    let latent = lab.json(&format!("attack --model net {latent} --save latent"));
    assert_eq!(
        (&latent["place"], &latent["goal"]),
        (&"linear1.hook_out".into(), &"targeted(next)".into())
    );
    let (tensors, _) = read_tensors(&lab.path("latent")).unwrap();
    assert_eq!(tensors[0].1, [10, 1, 16]);
}

#[test]
fn what_is_there_is_listed() {
    let lab = Lab::new();
    lab.net();
    let models = lab.json("models");
    assert_eq!(models["architectures"][0], "mlp");
    assert!(
        models["presets"]
            .as_array()
            .unwrap()
            .iter()
            .any(|p| p["name"] == "lenet5")
    );
    let net = lab.json("models net --sites");
    assert_eq!(net["parameters"], 784 * 16 + 16 + 16 * 10 + 10);
    assert_eq!(net["sites"][0]["name"], "linear1.hook_pre");
    assert_eq!(net["trained"]["train"]["steps"], 60);
    let devices = lab.json("devices");
    assert_eq!(devices["devices"][0]["name"], "flex");
    let data = lab.json("data list");
    assert!(
        data["fetchable"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["state"] == "not here")
    );
    let shown = lab.json("data show sparse-parity --limit 8");
    assert_eq!(
        (&shown["examples"], &shown["shape"][0]),
        (&8.into(), &15.into())
    );
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = lab.run(&format!("completions {shell}")).stdout;
        assert!(
            String::from_utf8(script).unwrap().contains("per-example"),
            "{shell}"
        );
    }
}

#[test]
fn a_person_gets_lines_and_silence_where_asked() {
    let lab = Lab::new();
    lab.net();
    let eval = lab.run("eval --model net --limit 50");
    let said = String::from_utf8(eval.stdout).unwrap();
    assert!(
        said.starts_with("net on fashion-mnist-mini (50 examples)\n  clean accuracy "),
        "{said}"
    );
    assert!(eval.stderr.is_empty());
    let wordy = lab.run("eval --model net --limit 50 -v");
    let wordy = String::from_utf8(wordy.stderr).unwrap();
    assert!(wordy.contains("12730 parameters, on flex"), "{wordy}");
    let attack = lab.run("attack --model net --limit 5 --epsilon 0.1 --steps 2 --per-example -q");
    let said = String::from_utf8(attack.stdout).unwrap();
    assert!(
        said.contains("robust accuracy") && said.contains("index  label  clean"),
        "{said}"
    );
}

/// A reader that has seen enough is no error.
#[test]
fn a_closed_pipe_is_no_error() {
    let lab = Lab::new();
    for words in [
        "completions bash",
        "models --sites",
        "data list --json",
        "--help",
    ] {
        let mut process = lab.process(words);
        let process = process
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn();
        let mut process = process.unwrap();
        drop(process.stdout.take());
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && said.is_empty(),
            "mr {words}: {said}"
        );
    }
}

#[test]
fn help_is_what_it_was() {
    let lab = Lab::new();
    let help = |words: &str| String::from_utf8(lab.run(words).stdout).unwrap();
    insta::assert_snapshot!("help", help("--help"));
    insta::assert_snapshot!("help-attack", help("attack -h"));
    for command in [
        "train",
        "eval",
        "certify",
        "corrupt",
        "attack",
        "bench-attacks",
        "checklist",
        "circuit damage",
        "visualize",
        "verify",
        "report",
        "aim",
        "gain",
        "measure",
        "circuit attribute",
        "circuit discover",
        "circuit evaluate",
        "circuit draw",
        "circuit diff",
        "models",
        "devices",
        "completions",
        "data fetch",
        "data list",
        "data show",
    ] {
        let said = help(&format!("{command} --help"));
        assert!(said.contains("Examples:\n  mr "), "{said}");
    }
}
