//! A block of samples, forward and back.

use super::super::codes::{Codes, add, dot};
use super::super::select::top_k;
use super::{Revive, Rows, Terms};

/// A latent that is on in a sample.
pub(super) struct Active {
    pub(super) latent: u32,
    /// Its activity in units of its decoder row, which weighs that row's gradient.
    pub(super) activity: f32,
    /// The loss's derivative by that activity, which weighs the gradient of its encoder column.
    pub(super) slope: f32,
    /// Which derivative by the output its decoder row has: that of its nested dictionary, or of the term for the dead.
    pub(super) output: u32,
}

/// What a block of samples gives.
#[derive(Default)]
pub(super) struct Block {
    pub(super) codes: Codes,
    pub(super) active: Vec<Active>,
    /// Where each sample's active latents end.
    pub(super) ends: Vec<usize>,
    /// The loss's derivatives by outputs `[sample, output, d_out]`.
    pub(super) outputs: Vec<f32>,
    /// The encoder's input `[sample, d_in]`.
    pub(super) input: Vec<f32>,
    pub(super) inner: f64,
    pub(super) squared_error: f64,
    pub(super) revival: f64,
}

impl Rows<'_> {
    /// Reconstructions of a block, their errors, and the derivatives by outputs and by active values. `before` are its
    /// pre-activations, `count` the samples of the whole batch.
    pub(super) fn backward(
        &self,
        input: Vec<f32>,
        before: &[f32],
        codes: Codes,
        target: &[f32],
        terms: Terms<'_>,
        count: usize,
    ) -> Block {
        let [_, d_sae, d_out] = self.widths();
        let mut outputs = vec![0.0; codes.len() * terms.outputs() * d_out];
        let mut block = Block {
            input,
            ..Block::default()
        };
        let mut sample = Sample {
            rows: self,
            terms,
            slope: 2.0 / count as f32,
            left: vec![0.0; d_out],
            room: Vec::new(),
        };
        for (at, outputs) in outputs.chunks_mut(terms.outputs() * d_out).enumerate() {
            let target = &target[at * d_out..][..d_out];
            let (nested, dead) = outputs.split_at_mut(terms.prefixes.len() * d_out);
            let [inner, whole] = sample.decode(codes.sample(at), target, nested, &mut block.active);
            block.inner += inner;
            block.squared_error += whole;
            if let Some(revive) = terms.revive {
                let before = &before[at * d_sae..][..d_sae];
                block.revival += sample.revive(revive, before, dead, &mut block.active);
            }
            block.ends.push(block.active.len());
        }
        let share = 1.0 / count as f64;
        block.inner *= share;
        block.squared_error *= share;
        block.revival *= share;
        block.outputs = outputs;
        block.codes = codes;
        block
    }
}

/// One sample on its way.
struct Sample<'a> {
    rows: &'a Rows<'a>,
    terms: Terms<'a>,
    /// The derivative of a squared error by what is left, per unit.
    slope: f32,
    /// What is written without what should be, `[d_out]`.
    left: Vec<f32>,
    room: Vec<(f32, u32)>,
}

impl Sample<'_> {
    /// Writes the derivatives by what nested dictionaries write, adds the active latents, and gives the squared errors of
    /// the inner dictionaries together and of the whole one.
    fn decode(
        &mut self,
        (latents, values): (&[u32], &[f32]),
        target: &[f32],
        outputs: &mut [f32],
        active: &mut Vec<Active>,
    ) -> [f64; 2] {
        let (rows, first) = (self.rows, active.len());
        let d_out = target.len();
        let (mut inner, mut whole) = (0.0, 0.0);
        for ((left, &centre), &target) in self.left.iter_mut().zip(rows.centre).zip(target) {
            *left = centre - target;
        }
        let mut code = latents.iter().zip(values).peekable();
        for (nest, &end) in self.terms.prefixes.iter().enumerate() {
            while let Some((&latent, &value)) =
                code.next_if(|&(&latent, _)| (latent as usize) < end)
            {
                let activity = rows.activity(latent, value);
                add(&mut self.left, activity, rows.row(latent));
                active.push(Active {
                    latent,
                    activity,
                    slope: 0.0,
                    output: nest as u32,
                });
            }
            add(
                &mut outputs[nest * d_out..][..d_out],
                self.slope,
                &self.left,
            );
            inner += whole;
            whole = square(&self.left);
        }
        // A row of an inner dictionary is part of all the outer ones.
        for nest in (1..self.terms.prefixes.len()).rev() {
            let (inner, outer) = outputs.split_at_mut(nest * d_out);
            add(&mut inner[(nest - 1) * d_out..], 1.0, &outer[..d_out]);
        }
        for active in &mut active[first..] {
            let output = &outputs[active.output as usize * d_out..][..d_out];
            active.slope = dot(output, rows.row(active.latent));
        }
        [inner, whole]
    }

    /// The same for the dead latents of largest pre-activation, which are to write what the living left. That is taken as
    /// given. No ReLU: a dead latent is below 0.
    fn revive(
        &mut self,
        revive: Revive<'_>,
        before: &[f32],
        output: &mut [f32],
        active: &mut Vec<Active>,
    ) -> f64 {
        let (rows, first) = (self.rows, active.len());
        let living = f32::NEG_INFINITY;
        let dead = before.iter().zip(revive.dead);
        let dead: Vec<f32> = dead
            .map(|(&value, &dead)| if dead { value } else { living })
            .collect();
        let nested = self.terms.prefixes.len() as u32;
        let left = &mut self.left;
        top_k(&dead, revive.k, living, &mut self.room, |latent, value| {
            let activity = rows.activity(latent, value);
            add(left, activity, rows.row(latent));
            active.push(Active {
                latent,
                activity,
                slope: 0.0,
                output: nested,
            });
        });
        add(output, self.slope * revive.weight, &self.left);
        for active in &mut active[first..] {
            active.slope = dot(output, rows.row(active.latent));
        }
        square(&self.left) * f64::from(revive.weight)
    }
}

fn square(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v) * f64::from(v)).sum()
}
