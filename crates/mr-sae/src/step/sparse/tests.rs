use burn::tensor::Distribution;
use burn::tensor::activation::relu;

use super::*;

struct Dense {
    encoder: Tensor<2>,
    bias: Tensor<2>,
    decoder: Tensor<2>,
    centre: Tensor<2>,
}

fn draw(rows: usize, columns: usize, scale: f64) -> Tensor<2> {
    Tensor::random(
        [rows, columns],
        Distribution::Normal(0.0, scale),
        &Device::flex(),
    )
}

impl Dense {
    fn draw(d_in: usize, d_sae: usize, d_out: usize) -> Self {
        Self {
            encoder: draw(d_in, d_sae, 0.4),
            bias: draw(1, d_sae, 0.1),
            decoder: draw(d_sae, d_out, 0.4),
            centre: draw(1, d_out, 0.2),
        }
    }

    /// What autodiff makes of the same loss, given which latents are on, `[sample, d_sae]` of 0 and 1.
    fn step(
        &self,
        x: &Tensor<2>,
        target: &Tensor<2>,
        on: &Tensor<2>,
        dead_on: Option<(&Tensor<2>, f32)>,
        prefixes: &[usize],
        centred: bool,
    ) -> (f32, [Vec<f32>; 4]) {
        let leaf = |tensor: &Tensor<2>| tensor.clone().autodiff().require_grad();
        let weights = [&self.encoder, &self.bias, &self.decoder, &self.centre].map(leaf);
        let [encoder, bias, decoder, centre] = weights.clone();
        let lift = |tensor: &Tensor<2>| tensor.clone().autodiff();
        let (x, target, on) = (lift(x), lift(target), lift(on));
        let input = if centred { x - centre.clone() } else { x };
        let before = relu(input.matmul(encoder) + bias);
        let code = before.clone() * on;
        let count = code.dims()[0] as f32;
        let mut loss = Tensor::<1>::zeros([1], &Device::flex()).autodiff();
        let mut left = target.clone();
        for &end in prefixes {
            let inner = code.clone().narrow(1, 0, end);
            let out = inner.matmul(decoder.clone().narrow(0, 0, end)) + centre.clone();
            left = out - target.clone();
            loss = loss + left.clone().square().sum() / count;
        }
        if let Some((dead_on, weight)) = dead_on {
            let explained = (before * lift(dead_on)).matmul(decoder.clone());
            let left = left.detach() + explained;
            loss = loss + left.square().sum() * (weight / count);
        }
        let mut gradients = loss.backward();
        let gradients = weights.map(|weight| floats(weight.grad_remove(&mut gradients).unwrap()));
        (floats(loss.inner())[0], gradients)
    }
}

fn close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3f32, |most, v| most.max(v.abs()));
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= 2e-6 * scale,
            "{what} {at}: {a}, expected {b}"
        );
    }
}

/// Which latents of a mask are on: those of codes.
fn mask(codes: &Codes) -> Tensor<2> {
    codes.dense(&Device::flex()).greater_elem(0.0).float()
}

fn check(selection: Selection, prefixes: &[usize], revive: bool, centred: bool, d_out: usize) {
    let (d_in, d_sae, count) = (9, 40, 300);
    let dense = Dense::draw(d_in, d_sae, d_out);
    let (x, target) = (draw(count, d_in, 1.0), draw(count, d_out, 1.0));
    let (bias, decoder) = (floats(dense.bias.clone()), floats(dense.decoder.clone()));
    let centre = floats(dense.centre.clone());
    let rows = Rows {
        encoder: &dense.encoder,
        bias: &bias,
        decoder: &decoder,
        centre: &centre,
        centred,
    };
    let dead: Vec<bool> = (0..d_sae).map(|latent| latent % 4 == 1).collect();
    let revive = revive.then_some(Revive {
        dead: &dead,
        k: 3,
        weight: 0.5,
    });
    let terms = Terms {
        selection,
        prefixes,
        revive,
    };
    let (values, wanted) = (floats(x.clone()), floats(target.clone()));
    let step = rows.step(&values, &wanted, terms, Workers::new(1));
    let many = rows.step(&values, &wanted, terms, Workers::new(3));
    assert_eq!(step, many, "the bits do not depend on the threads");
    let kept = match selection {
        Selection::Sample(k) | Selection::Batch(k) => k * count,
    };
    assert!(step.codes.active() <= kept && step.codes.active() > kept / 2);
    assert_eq!(step.codes, rows.codes(&values, selection, Workers::new(2)));

    // The largest three of those that are dead, sample by sample, by sorting.
    let (_, before) = rows.encode(&values, &Device::flex());
    let mut dead_on = vec![0.0; count * d_sae];
    for (row, on) in before.chunks(d_sae).zip(dead_on.chunks_mut(d_sae)) {
        let mut order: Vec<usize> = (0..d_sae).filter(|&i| dead[i] && row[i] > 0.0).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        order.iter().take(3).for_each(|&i| on[i] = 1.0);
    }
    let dead_on = TensorData::new(dead_on, [count, d_sae]);
    let dead_on = Tensor::<2>::from_data(dead_on, &Device::flex());
    let dead_on = revive.map(|revive| (&dead_on, revive.weight));
    let on = mask(&step.codes);
    let (loss, [encoder, bias, decoder, centre]) =
        dense.step(&x, &target, &on, dead_on, prefixes, centred);
    assert!(
        (step.loss as f32 - loss).abs() < 1e-5 * loss,
        "{} {loss}",
        step.loss
    );
    close(&step.encoder, &encoder, "W_enc");
    close(&step.bias, &bias, "b_enc");
    close(&step.decoder, &decoder, "W_dec");
    close(&step.centre, &centre, "b_dec");
}

#[test]
fn the_k_of_each_sample_have_the_dense_gradient() {
    check(Selection::Sample(4), &[40], false, true, 9);
    check(Selection::Sample(4), &[40], false, false, 6);
}

#[test]
fn the_k_of_the_batch_and_nested_dictionaries_have_the_dense_gradient() {
    check(Selection::Batch(4), &[40], false, true, 9);
    check(Selection::Batch(5), &[10, 20, 40], false, true, 9);
}

#[test]
fn dead_latents_have_the_gradient_of_the_residual() {
    check(Selection::Sample(4), &[40], true, true, 9);
    check(Selection::Batch(4), &[10, 40], true, false, 5);
}

#[test]
fn a_dictionary_by_hand() {
    let device = Device::flex();
    // Latents read x0, x1, x0 + x1 and write the first axis, the second and half of both.
    let encoder = Tensor::<1>::from_floats([1., 0., 1., 0., 1., 1.], &device).reshape([2, 3]);
    let decoder = [1.0, 0.0, 0.0, 1.0, 0.5, 0.5];
    let rows = Rows {
        encoder: &encoder,
        bias: &[0.0; 3],
        decoder: &decoder,
        centre: &[0.0; 2],
        centred: false,
    };
    // [3, 1]: codes 3, 1, 4; the largest is 4, which says [2, 2]: an error of [-1, 1].
    let terms = Terms {
        selection: Selection::Sample(1),
        prefixes: &[3],
        revive: None,
    };
    let step = rows.step(&[3.0, 1.0], &[3.0, 1.0], terms, Workers::new(1));
    assert_eq!(step.codes.sample(0), (&[2u32][..], &[4.0f32][..]));
    assert_eq!(rows.decode(&step.codes), [2.0, 2.0]);
    assert_eq!((step.loss, step.squared_error), (2.0, 2.0));
    assert_eq!(step.centre, [-2.0, 2.0]);
    assert_eq!(step.decoder, [0.0, 0.0, 0.0, 0.0, -8.0, 8.0]);
    // Half of both: the derivative by the code is 0.
    assert_eq!(step.bias, [0.0; 3]);
    assert_eq!(step.encoder, [0.0; 6]);
}
