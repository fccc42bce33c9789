//! Edge attribution along a residual stream.

use burn::tensor::Tensor;
use mr_models::{
    Cache, Edge, Edit, Input, Intervened, Labels, Model, Objective, OfLength, Rewrite, Tap, Wiring,
    floats, run_with_cache, value_and_grad_reading,
};

use super::{EdgeScores, Path};
use crate::attribution::group::{Group, groups};
use crate::error::CircuitError;
use crate::pair::Pair;

/// The attribution of every edge. Nothing as wide as the stream is computed for a single head: see
/// [`Group`].
pub(super) fn edge_attribution(
    model: &dyn Model,
    pair: &Pair,
    labels: &Labels,
    objective: &dyn Objective,
    path: Path,
) -> Result<EdgeScores, CircuitError> {
    let wiring = model.spec().wiring.clone();
    let writers = groups(model, &wiring.writers);
    let readers = groups(model, &wiring.readers);
    let sites: Vec<&str> = writers.iter().map(|group| group.site.as_str()).collect();
    let (_, before) = run_with_cache(model, pair.clean(), &sites)?;
    let (_, after) = run_with_cache(model, pair.corrupt(), &sites)?;
    let change = |site: &str| -> Result<Tensor<3>, CircuitError> {
        Ok(after.get(site)?.clone() - before.get(site)?.clone())
    };
    let changes = sites.iter().map(|site| change(site));
    let changes: Vec<Tensor<3>> = changes.collect::<Result<_, _>>()?;
    let norms: Vec<&str> = {
        let norms = readers.iter().filter_map(|group| group.norm.as_ref());
        norms.map(|norm| norm.site.as_str()).collect()
    };
    let taps = |start: Option<Tensor<3>>| {
        let mut taps = vec![Tap {
            site: sites[0].to_string(),
            added: start,
        }];
        for group in &readers {
            if taps.iter().all(|tap| tap.site != group.site) {
                taps.push(Tap {
                    site: group.site.clone(),
                    added: None,
                });
            }
        }
        taps
    };
    let mut sums = Sums::new(wiring, &writers, &readers);
    let pass = |model: &dyn Model, start| {
        value_and_grad_reading(
            model,
            pair.clean(),
            labels,
            objective,
            false,
            &taps(start),
            &norms,
        )
    };
    match path {
        Path::Clean => {
            let (found, at) = pass(model, None)?;
            sums.add(&changes, &|site| found.site(site), &at)?;
        }
        Path::Inputs(steps) => {
            for step in 1..=steps {
                let back = 1.0 - step as f32 / steps as f32;
                let start = (back > 0.0).then(|| changes[0].clone() * back);
                let (found, at) = pass(model, start)?;
                sums.add(&changes, &|site| found.site(site), &at)?;
            }
        }
        Path::Activations(steps) => {
            for (group, change) in writers.iter().zip(&changes) {
                for step in 1..=steps {
                    let back = 1.0 - step as f32 / steps as f32;
                    let between = before.get(&group.site)?.clone() + change.clone() * back;
                    let edit = Edit::at(&group.site, Rewrite::patch(between));
                    let (found, at) = match pair.clean() {
                        Input::Tokens(tokens) => {
                            let model = OfLength::new(model, tokens.dims()[1])?;
                            pass(&Intervened::new(model, vec![edit])?, None)?
                        }
                        Input::Real(_) => pass(&Intervened::new(model, vec![edit])?, None)?,
                    };
                    sums.add(&changes, &|site| found.site(site), &at)?;
                }
            }
        }
    }
    Ok(sums.mean(pair.clean().batch()))
}

/// Scores of edges, summed over a batch and the steps of a path.
struct Sums<'a> {
    scores: EdgeScores,
    writers: &'a [Group],
    readers: &'a [Group],
    /// By reader and writer, the place of their edge among the scores.
    places: Vec<Vec<Option<usize>>>,
    totals: Vec<f64>,
    steps: usize,
}

impl<'a> Sums<'a> {
    fn new(wiring: Wiring, writers: &'a [Group], readers: &'a [Group]) -> Self {
        let edges = wiring.edges();
        let mut places = vec![vec![None; wiring.writers.len()]; wiring.readers.len()];
        for (at, &Edge { writer, reader }) in edges.iter().enumerate() {
            places[reader][writer] = Some(at);
        }
        Self {
            totals: vec![0.0; edges.len()],
            scores: EdgeScores {
                wiring,
                scores: edges.into_iter().map(|edge| (edge, 0.0)).collect(),
            },
            writers,
            readers,
            places,
            steps: 0,
        }
    }

    /// Adds one step of the path: the gradients at the readers' sites, and what their norms normalise there.
    fn add<'g>(
        &mut self,
        changes: &[Tensor<3>],
        gradient: &dyn Fn(&str) -> &'g Tensor<3>,
        at: &Cache,
    ) -> Result<(), CircuitError> {
        for reader in self.readers {
            let stream = reader.norm.as_ref().map(|norm| at.get(&norm.site));
            let gradient = reader.read(gradient(&reader.site), stream.transpose()?);
            for (writer, change) in self.writers.iter().zip(changes) {
                let first = [reader.ports[0].0, writer.ports[0].0];
                if self.places[first[0]][first[1]].is_none() {
                    continue;
                }
                let along = floats(gradient.along(writer, change.clone()));
                for &(r, head) in &reader.ports {
                    for &(w, from) in &writer.ports {
                        if let Some(place) = self.places[r][w] {
                            self.totals[place] += f64::from(along[from * reader.heads + head]);
                        }
                    }
                }
            }
        }
        self.steps += 1;
        Ok(())
    }

    fn mean(mut self, batch: usize) -> EdgeScores {
        let share = 1.0 / (self.steps * batch.max(1)) as f64;
        for ((_, score), sum) in self.scores.scores.iter_mut().zip(self.totals) {
            *score = (sum * share) as f32;
        }
        self.scores
    }
}
