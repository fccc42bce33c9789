//! Gradients against central differences.

use burn::tensor::{Device, Tensor, TensorData};
use mr_models::{
    Input, Labels, Model, Objective, Place, Tap, floats, objective, value_and_grad,
    value_and_grad_at,
};

use crate::nets::{Golden, all};

/// Half a step. Much smaller ones drown in rounding.
const STEP: f32 = 2e-3;

/// Rounding of the objective (about 1e-6) over the step, and the curvature over its square.
const TOLERANCE: f32 = 4e-3;

fn total(net: &dyn Model, input: &Input, labels: &Labels, at: Option<Tap>) -> f32 {
    let taps: Vec<Tap> = at.into_iter().collect();
    let objective: &dyn Objective = &objective::CrossEntropy;
    let found = value_and_grad_at(net, input, labels, objective, true, &taps).unwrap();
    floats(found.values).iter().sum()
}

/// Compares along coordinates spread over the whole. Where the two one-sided differences disagree
/// there is a kink (a rectified or pooled tie at 0), where no gradient is the derivative. Gives how
/// many coordinates were smooth, and how many there were.
fn check(
    golden: &Golden,
    what: &str,
    gradient: &[f32],
    value: impl Fn(usize, f32) -> f32,
) -> [usize; 2] {
    let scale = gradient.iter().fold(0.1_f32, |most, v| most.max(v.abs()));
    let here = value(0, 0.0);
    let stride = gradient.len().div_ceil(9);
    let (mut smooth, mut tried) = (0, 0);
    for i in (0..gradient.len()).step_by(stride) {
        tried += 1;
        let ahead = (value(i, STEP) - here) / STEP;
        let behind = (here - value(i, -STEP)) / STEP;
        if (ahead - behind).abs() > 2.0 * TOLERANCE * scale {
            continue;
        }
        smooth += 1;
        let difference = f32::midpoint(ahead, behind);
        assert!(
            (difference - gradient[i]).abs() <= TOLERANCE * scale,
            "{} {what} {i}: {difference} for {}",
            golden.file,
            gradient[i]
        );
    }
    [smooth, tried]
}

#[test]
fn at_the_input_and_at_every_site() {
    let device = Device::flex();
    for golden in all() {
        let net = golden.network(&device);
        let input = golden.input(&device);
        let labels = golden.labels(&device);
        let sites = net.spec().sites.clone();
        let mut places = vec![Place::Input];
        places.extend(sites.iter().map(|site| Place::site(&site.name)));
        let at = value_and_grad(&net, &input, &labels, &objective::CrossEntropy, &places).unwrap();

        let x = input.real();
        let values = floats(x.clone());
        let mut counts = [0, 0];
        let mut count = |[smooth, tried]: [usize; 2]| {
            assert!(smooth > 0);
            counts = [counts[0] + smooth, counts[1] + tried];
        };
        count(check(
            &golden,
            "input",
            &floats(at.input().clone()),
            |i, step| {
                let mut moved = values.clone();
                moved[i] += step;
                let moved = Tensor::<4>::from_data(TensorData::new(moved, x.dims()), &device);
                total(&net, &moved.into(), &labels, None)
            },
        ));
        for site in sites {
            let shape = [x.dims()[0], site.positions, site.channels];
            let gradient = floats(at.site(&site.name).clone());
            count(check(&golden, &site.name, &gradient, |i, step| {
                let mut added = vec![0.0; shape.iter().product()];
                added[i] = step;
                let added = Tensor::<3>::from_data(TensorData::new(added, shape), &device);
                let tap = Tap {
                    site: site.name.clone(),
                    added: Some(added),
                };
                total(&net, &input, &labels, Some(tap))
            }));
        }
        let [smooth, tried] = counts;
        assert!(
            4 * smooth >= 3 * tried,
            "{}: {smooth} of {tried}",
            golden.file
        );
    }
}
