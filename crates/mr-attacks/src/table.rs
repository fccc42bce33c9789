//! What is known of each example while an evaluation runs.

use crate::evaluate::Found;
use crate::evaluation::{Attempt, Counts, Judged};

/// Examples in the order of the data, and how many attacks have been through with each.
pub(crate) struct Table {
    pub(crate) attacks: Vec<String>,
    pub(crate) examples: Vec<Judged>,
    /// Attacks that are done with each example; one that an attack broke is done with those after it.
    pub(crate) finished: Vec<usize>,
    /// For each attack how many examples it was given.
    pub(crate) attacked: Vec<usize>,
    /// The attack that broke each example last.
    pub(crate) by: Vec<Option<usize>>,
    pub(crate) counts: Counts,
    pub(crate) points: Option<Vec<f32>>,
}

impl Table {
    pub(crate) fn new(attacks: &[String], examples: Vec<Judged>, counts: Counts) -> Self {
        Self {
            attacks: attacks.to_vec(),
            finished: vec![0; examples.len()],
            attacked: vec![0; attacks.len()],
            by: vec![None; examples.len()],
            counts,
            examples,
            points: None,
        }
    }

    /// The examples that an attack is to be given.
    pub(crate) fn open(&self, attack: usize, unbounded: bool) -> Vec<usize> {
        (0..self.examples.len())
            .filter(|&row| {
                let one = &self.examples[row];
                let wanted = if unbounded {
                    one.distance != Some(0.0)
                } else {
                    !one.success
                };
                wanted && self.finished[row] <= attack
            })
            .collect()
    }

    /// Enters what an attack found for these examples.
    pub(crate) fn enter(
        &mut self,
        attack: usize,
        rows: &[usize],
        found: Vec<Found>,
        counts: Counts,
    ) {
        self.attacked[attack] += rows.len();
        self.counts += counts;
        let count = self.examples.len();
        for (&row, found) in rows.iter().zip(found) {
            self.finished[row] = attack + 1;
            let one = &mut self.examples[row];
            let nearer = one.distance.is_none_or(|before| found.distance < before);
            if !(found.success && nearer) {
                continue;
            }
            one.success = true;
            one.adversarial = found.adversarial;
            one.distance = Some(found.distance);
            one.attack = Some(self.attacks[attack].clone());
            self.by[row] = Some(attack);
            if let (Some(points), Some(point)) = (&mut self.points, found.point) {
                let width = points.len() / count;
                points[row * width..(row + 1) * width].copy_from_slice(&point);
            }
        }
    }

    /// How many examples are right and broken by nothing.
    pub(crate) fn robust(&self) -> usize {
        self.examples.iter().filter(|one| one.is_robust()).count()
    }

    /// What each attack did. Examples broken by several count for the one that came nearest.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        let mut attempts: Vec<Attempt> = self
            .attacks
            .iter()
            .zip(&self.attacked)
            .map(|(attack, &attacked)| Attempt {
                attack: attack.clone(),
                attacked,
                broken: 0,
                robust: self.robust(),
            })
            .collect();
        for (one, by) in self.examples.iter().zip(&self.by) {
            let Some(by) = *by else { continue };
            attempts[by].broken += 1;
            if one.clean == one.label {
                // Robust still while the attacks before that one ran.
                attempts[..by]
                    .iter_mut()
                    .for_each(|before| before.robust += 1);
            }
        }
        attempts
    }
}
