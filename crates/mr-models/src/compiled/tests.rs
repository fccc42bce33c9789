use super::*;
use crate::host::floats;
use crate::model::Model;

#[test]
fn every_program_says_what_it_should_of_every_input() {
    for program in all(&Device::flex()) {
        let said = program.network.logits(&program.clean);
        assert_eq!(said.dims(), program.meant.dims());
        let [said, meant] = [said, program.meant].map(floats);
        let far = said.iter().zip(&meant).map(|(a, b)| (a - b).abs());
        let far = far.fold(0.0, f32::max);
        assert!(far < 1e-3, "{}: {far}", program.name);
        let answers = meant.iter().filter(|&&logit| logit > 0.0).count();
        assert!(answers > 0 && answers < meant.len());
    }
}

#[test]
fn true_edges_are_edges_and_resampling_needs_no_more() {
    for program in all(&Device::flex()) {
        let wiring = &program.network.spec().wiring;
        for name in &program.zero {
            wiring.edge(name).unwrap();
        }
        let needs = |name: &&str| program.zero.contains(name);
        assert!(program.resample.iter().all(needs), "{}", program.name);
        assert_eq!(program.clean.batch(), program.corrupt.batch());
    }
}
