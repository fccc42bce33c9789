//! A pass in pieces is the pass.

use burn::tensor::Device;
use mr_models::{Cache, Hook, Idle, Input, Model, Network, State, floats};

use crate::{nets, transformers};

fn every() -> Vec<(String, Network, Input)> {
    let device = Device::flex();
    let nets = nets::all()
        .into_iter()
        .map(|net| (net.file.clone(), net.network(&device), net.input(&device)));
    let transformers = transformers::all()
        .into_iter()
        .map(|net| (net.file.clone(), net.network(&device), net.input(&device)));
    nets.chain(transformers).collect()
}

#[test]
fn the_rest_of_a_pass_from_any_stage_has_the_bits_of_the_whole() {
    for (name, net, input) in every() {
        let whole = floats(net.logits(&input));
        let stages = net.stages();
        assert!(stages > 1, "{name}");
        let mut state = State::Input(input);
        for stage in 0..stages {
            let rest = net.run_stages(stage..stages, state.clone(), &mut Idle);
            assert_eq!(floats(rest.logits()), whole, "{name} from {stage}");
            state = net.run_stages(stage..stage + 1, state, &mut Idle);
        }
        assert_eq!(floats(state.logits()), whole, "{name}");
    }
}

#[test]
fn a_stage_passes_the_sites_that_say_so() {
    for (name, net, input) in every() {
        let sites = &net.spec().sites;
        assert!(sites.windows(2).all(|pair| pair[0].stage <= pair[1].stage));
        let mut state = State::Input(input);
        for stage in 0..net.stages() {
            let names: Vec<&str> = sites.iter().map(|site| site.name.as_str()).collect();
            let mut cache = Cache::of(net.spec(), &names).unwrap();
            let hook: &mut dyn Hook = &mut cache;
            state = net.run_stages(stage..stage + 1, state, hook);
            let there = sites.iter().filter(|site| site.stage == stage);
            assert!(there.clone().all(|site| cache.get(&site.name).is_ok()));
            assert_eq!(cache.iter().count(), there.count(), "{name} {stage}");
        }
    }
}
