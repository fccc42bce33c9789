//! Trains a network on hierarchical equality, and asks whether it computes the two equalities that a causal
//! model of the task computes (Geiger et al. 2023, section 4).
//!
//! `cargo run --release -p mr-train --example hierarchical_equality`

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor};
use mr_circuits::{CausalModel, Task, interchange};
use mr_models::data::Dataset;
use mr_models::{Architecture, Input, Mlp, Network, Region};
use mr_train::{AlignmentConfig, TrainConfig, Trainer, fit_alignment};

/// Values of each of the four inputs.
const VALUES: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let equal = |values: &[usize]| usize::from(values[0] == values[1]);
    let causal = CausalModel::default()
        .input("a", VALUES)?
        .input("b", VALUES)?
        .input("c", VALUES)?
        .input("d", VALUES)?
        .computed("left", 2, &["a", "b"], equal)?
        .computed("right", 2, &["c", "d"], equal)?
        .computed("same", 2, &["left", "right"], equal)?;

    let all = causal.all_inputs();
    let answers: Result<Vec<usize>, _> = all.iter().map(|row| causal.output(row)).collect();
    let names = vec!["different".into(), "same".into()];
    let shape = [4 * VALUES, 1, 1];
    let data = Dataset::of_floats("equality", shape, names, one_hot(&all), answers?)?;
    let mlp = Mlp {
        input: shape,
        hidden: vec![32, 32],
        classes: 2,
        ..Mlp::default()
    };
    let network = Network::init(Architecture::Mlp(mlp), 0, &Device::flex())?;
    let config = TrainConfig {
        epochs: Some(400),
        batch_size: 64,
        ..TrainConfig::default()
    };
    let folder = tempfile::tempdir()?;
    let trained = Trainer::new(config, network, &data)?
        .resume_or_start(folder.path())?
        .run(&mut |_| ControlFlow::Continue(()))?;
    let network = trained.network;

    let task = Task {
        causal: &causal,
        encode: &encode,
    };
    let (seen, unseen) = (causal.draw(2, 1024, 0), causal.draw(2, 1024, 1));
    println!("interchange intervention accuracy, of interchanges that were not fitted to");
    for site in ["linear1.hook_out", "linear2.hook_out"] {
        for size in [1, 2, 4, 8] {
            let variables = [("left".to_string(), size), ("right".to_string(), size)];
            let config = AlignmentConfig::default();
            let whole = Region::default();
            let found = fit_alignment(&network, &task, site, &whole, &variables, &seen, &config)?;
            let right = interchange(&network, &task, &found.alignment, &unseen)?;
            println!("  {site}, {size} dimensions each: {:.3}", right.accuracy());
        }
    }
    Ok(())
}

fn one_hot(rows: &[Vec<usize>]) -> Vec<f32> {
    let values = rows.iter().flatten();
    let one = |&value: &usize| (0..VALUES).map(move |at| f32::from(u8::from(at == value)));
    values.flat_map(one).collect()
}

fn encode(rows: &[Vec<usize>], device: &Device) -> Input {
    let values = Tensor::<1>::from_floats(one_hot(rows).as_slice(), device);
    values.reshape([rows.len(), 4 * VALUES, 1, 1]).into()
}
