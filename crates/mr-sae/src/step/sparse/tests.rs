use burn::tensor::Device;

use super::*;

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
        norms: None,
    };
    // [3, 1]: codes 3, 1, 4; the largest is 4, which says [2, 2]: an error of [-1, 1].
    let terms = Terms {
        selection: Selection::Sample(1),
        prefixes: &[3],
        revive: None,
    };
    let step = rows.gradient(&[3.0, 1.0], &[3.0, 1.0], terms, Workers::new(1));
    assert_eq!(step.codes.sample(0), (&[2u32][..], &[4.0f32][..]));
    assert_eq!(
        (step.inner, step.squared_error, step.revival),
        (0.0, 2.0, 0.0)
    );
    assert_eq!(step.centre, [-2.0, 2.0]);
    assert_eq!(step.decoder, [0.0, 0.0, 0.0, 0.0, -8.0, 8.0]);
    // Half of both: the derivative by the code is 0.
    assert_eq!(step.bias, [0.0; 3]);
    assert_eq!(step.encoder, [0.0; 6]);
    // Of two nested dictionaries the inner one has the first two latents, of which none is on: [0, 0] for [3, 1].
    let nested = Terms {
        prefixes: &[2, 3],
        ..terms
    };
    let step = rows.gradient(&[3.0, 1.0], &[3.0, 1.0], nested, Workers::new(1));
    assert_eq!((step.inner, step.squared_error), (10.0, 2.0));
    assert_eq!(step.centre, [-8.0, 0.0]);
    assert_eq!(step.decoder, [0.0, 0.0, 0.0, 0.0, -8.0, 8.0]);
    // The first two are dead, and one of them says what is left, [1, -1]: latent 0 says [3, 0], an error of [2, 1].
    let dead = [true, true, false];
    let revive = Some(Revive {
        dead: &dead,
        k: 1,
        weight: 0.5,
    });
    let step = rows.gradient(
        &[3.0, 1.0],
        &[3.0, 1.0],
        Terms { revive, ..terms },
        Workers::new(1),
    );
    assert_eq!(step.revival, 2.5);
    assert_eq!(step.decoder, [6.0, 3.0, 0.0, 0.0, -8.0, 8.0]);
    assert_eq!(step.bias, [2.0, 0.0, 0.0]);
    assert_eq!(step.encoder, [6.0, 0.0, 0.0, 2.0, 0.0, 0.0]);
}
