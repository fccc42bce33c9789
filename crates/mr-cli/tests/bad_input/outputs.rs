//! Folders that cannot be written, or that hold something else: what is there stays.

use crate::says;
use crate::support::{Lab, NET};

#[test]
fn output_folders() {
    let lab = Lab::new();
    lab.net();
    lab.write("file", "mine");
    for words in [
        "train --arch mlp --out file/run",
        "train --arch mlp --out file",
        "eval --model net --out file/run",
        "attack --model net --epsilon 0.1 --out file/run",
        "measure --model net --out file/run",
    ] {
        says(&lab, words, &["--out", "file"]);
    }
    says(
        &lab,
        "attack --model net --epsilon 0.1 --save file/a",
        &["--save file/a: cannot write there"],
    );
    assert_eq!(lab.read("file"), b"mine");

    // Another run's results are not replaced unless that is asked for.
    let before = (
        lab.read("net/record.json"),
        lab.read("net/model.safetensors"),
    );
    for (words, part) in [
        (
            "train --config net.toml --seed 1 --out net",
            "(its seed is 0, not 1)",
        ),
        (
            "train --config net.toml --lr 0.1 --out net",
            "(its train.optimizer.lr is 0.001, not 0.1)",
        ),
        (
            "eval --model net --out net",
            "(of `mr train`, not `mr eval`)",
        ),
        (
            "attack --model net --epsilon 0.1 --out net",
            "(of `mr train`, not `mr attack`)",
        ),
    ] {
        says(
            &lab,
            words,
            &[
                "net/record.json is the record of another run",
                part,
                "--overwrite",
            ],
        );
    }
    assert_eq!(
        before,
        (
            lab.read("net/record.json"),
            lab.read("net/model.safetensors")
        )
    );
    lab.write("odd/record.json", "{}");
    says(
        &lab,
        "eval --model net --out odd",
        &["odd/record.json", "--overwrite"],
    );
    assert_eq!(lab.read("odd/record.json"), b"{}");
    lab.run("eval --model net --out odd --overwrite");
    std::fs::remove_file(lab.path("net/record.json")).unwrap();
    says(
        &lab,
        "train --config net.toml --out net",
        &["no record says of which run"],
    );
}

/// A shell that lets no file grow beyond `kib`, as a full disk would not.
#[cfg(unix)]
fn on_a_full_disk(lab: &Lab, kib: usize, words: &str) -> assert_cmd::Command {
    let mut shell = assert_cmd::Command::new("bash");
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" {words}");
    shell
        .args(["-c", &script, env!("CARGO_BIN_EXE_mr")])
        .current_dir(lab.path(""));
    shell
}

#[cfg(unix)]
#[test]
fn full_disks() {
    use predicates::str::contains;

    let lab = Lab::new();
    lab.net();
    lab.write("adversarial", "mine");
    let attack = "attack --model net --limit 200 --epsilon 0.1 --steps 1 --save adversarial";
    on_a_full_disk(&lab, 100, attack)
        .assert()
        .code(2)
        .stderr(contains("error: adversarial: "));
    assert_eq!(lab.read("adversarial"), b"mine");

    let record = lab.read("net/record.json");
    on_a_full_disk(&lab, 1, "train --config net.toml --out net --overwrite")
        .assert()
        .code(2)
        .stderr(contains("error: cannot write a checkpoint"));
    assert_eq!(lab.read("net/record.json"), record);
    let left: Vec<_> = std::fs::read_dir(lab.path("net")).unwrap().collect();
    assert_eq!(left.len(), 2, "no half-written file is left");

    let eval = "eval --model net --limit 10 --out judged";
    on_a_full_disk(&lab, 0, eval)
        .assert()
        .code(2)
        .stderr(contains("the record is not written"));
    assert!(!lab.path("judged/record.json").exists());
}

/// What a fit wrote before the disk was full is whole, and it goes on from there to the same dictionary.
#[cfg(unix)]
#[test]
fn dictionaries_on_full_disks() {
    use predicates::prelude::PredicateBooleanExt;
    use predicates::str::contains;

    let lab = Lab::new();
    lab.net();
    let fit = "sae train --model net --site linear1.hook_out --width 16 --k 2 --limit 64 --batch-size 8 --buffer 16 \
               --set sae.length.checkpoint=2 --steps";
    lab.run(&format!("{fit} 6 --out whole"));
    let advice = "make room and";
    on_a_full_disk(&lab, 4, &format!("{fit} 6 --out full"))
        .assert()
        .code(2)
        .stderr(contains("cannot write a checkpoint").and(contains(advice)));
    let shards = format!("{fit} 6 --shards shards --out from-shards");
    on_a_full_disk(&lab, 0, &shards)
        .assert()
        .code(2)
        .stderr(contains("00000.safetensors: File too large").and(contains(advice)));
    lab.run(&format!("{fit} 6 --out full"));
    lab.run(&shards);
    for folder in ["full", "from-shards"] {
        let left = std::fs::read_dir(lab.path(folder)).unwrap();
        let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(names.into_iter().all(|name| !name.starts_with('.')));
    }
    let file = "dictionary.safetensors";
    let read = |folder: &str| lab.read(&format!("{folder}/{file}"));
    assert_eq!(read("full"), read("whole"));

    // A shard that was damaged since is named, and the others are kept.
    let second = lab.path("shards/00001.safetensors");
    let bytes = std::fs::read(&second).unwrap();
    std::fs::write(&second, &bytes[..bytes.len() / 2]).unwrap();
    says(
        &lab,
        &format!("{shards} --overwrite"),
        &[
            "00001.safetensors",
            "remove it and write the activations again",
        ],
    );
    std::fs::remove_file(&second).unwrap();
    lab.run(&format!("{shards} --overwrite"));
    assert_eq!(std::fs::read(&second).unwrap(), bytes);
}

#[test]
fn checkpoints_of_another_run() {
    let lab = Lab::new();
    lab.write("net.toml", NET);
    lab.write(
        "slow.toml",
        "[train]\nsteps = 1000000\ncheckpoint = { every_steps = 10 }",
    );
    let words = "train --config net.toml --config slow.toml --out run";
    let mut process = lab.process(words).spawn().unwrap();
    let checkpoint = lab.path("run/checkpoint.safetensors");
    let start = std::time::Instant::now();
    while !checkpoint.exists() {
        assert!(start.elapsed().as_secs() < 60, "no checkpoint");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    let kept = std::fs::read(&checkpoint).unwrap();
    says(
        &lab,
        &format!("{words} --lr 0.5"),
        &[
            "is the checkpoint of another run: ",
            "optimizer.lr is 0.001 there and 0.5 here",
        ],
    );
    assert_eq!(std::fs::read(&checkpoint).unwrap(), kept);
    lab.write("run/checkpoint.safetensors", &kept[..kept.len() / 2]);
    says(
        &lab,
        words,
        &["checkpoint.safetensors: ", "remove it to start afresh"],
    );
}
