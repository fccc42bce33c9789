//! What a network loses by speaking through dictionaries.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use mr_models::{Edit, Intervened, Model, OfLength, Rewrite, floats, predictions, run_with_cache};
use mr_sae::{Splice, Spliced, samples};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::pools::Pools;
use crate::source::TrainingData;

/// Examples that one thread runs at a time.
const BATCH: usize = 64;

/// The mean loss of a network by itself, with its sites replaced by reconstructions, and with them ablated: cross-entropy in
/// nats per label, a label being an example's class or a token that can be known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recovered {
    /// Labels.
    pub labels: usize,
    /// The network's own loss.
    pub clean: f64,
    /// With reconstructions.
    pub spliced: f64,
    /// With zeros.
    pub zero: f64,
    /// With the mean activation of each channel.
    pub mean: f64,
    /// `KL(clean || spliced)` in nats.
    pub kl: f64,
    /// Share of labels that the network itself gets right.
    pub accuracy: f64,
    /// The same with reconstructions.
    pub spliced_accuracy: f64,
}

impl Recovered {
    /// How much of the loss that zero ablation costs is not lost, `(zero - spliced) / (zero - clean)`: 1 where nothing is. NaN
    /// where ablation costs nothing.
    pub fn against_zero(&self) -> f64 {
        self.share(self.zero)
    }

    /// The same against mean ablation.
    pub fn against_mean(&self) -> f64 {
        self.share(self.mean)
    }

    fn share(&self, ablated: f64) -> f64 {
        if ablated == self.clean {
            return f64::NAN;
        }
        (ablated - self.spliced) / (ablated - self.clean)
    }
}

/// What the batch gives, summed over its labels.
#[derive(Default, Clone, Copy)]
struct Sums {
    labels: usize,
    losses: [f64; 4],
    kl: f64,
    right: [usize; 2],
}

/// Measures what splices cost over data. The result does not depend on the number of threads.
///
/// # Errors
/// [`TrainError::Data`] for data without labels, and if the model does not take them; those of [`Spliced::new`].
pub fn recovered<'a>(
    model: &dyn Model,
    data: impl Into<TrainingData<'a>>,
    splices: &[Splice],
) -> Result<Recovered, TrainError> {
    let data = data.into();
    data.fits(model.spec())?;
    let Some(count) = data.count() else {
        return Err(TrainError::Data(
            "a stream has no labels to judge by".into(),
        ));
    };
    let spec = data.spec_of(model)?;
    let mut zeros = Vec::new();
    for splice in splices {
        splice.fits(&spec)?;
        let site = splice.writes.as_ref().unwrap_or(&splice.site);
        zeros.push(Edit::at(site, Rewrite::Zero));
    }
    let pools = Pools::new(rayon::current_num_threads())?;
    let device = model.device();
    let batches: Vec<Vec<usize>> = (0..count.div_ceil(BATCH))
        .map(|batch| (batch * BATCH..count.min((batch + 1) * BATCH)).collect())
        .collect();
    let sites: Vec<&str> = zeros.iter().map(|edit| edit.site.as_str()).collect();
    let sums = pools.map(batches.len(), |at| {
        let input = data.input(&batches[at], &device);
        let (_, cache) = run_with_cache(model, &input, &sites)?;
        let each = sites.iter().map(|site| {
            let sum = samples(cache.get(site)?.clone()).sum_dim(0);
            Ok(floats(sum).into_iter().map(f64::from).collect::<Vec<f64>>())
        });
        each.collect::<Result<Vec<_>, TrainError>>()
    });
    let sums: Vec<Vec<Vec<f64>>> = sums.into_iter().collect::<Result<_, _>>()?;
    let mut means = zeros.clone();
    for (at, edit) in means.iter_mut().enumerate() {
        let site = spec.site(&edit.site)?;
        let total = (count * site.positions) as f64;
        let mean = |channel: usize| sums.iter().map(|sum| sum[at][channel]).sum::<f64>() / total;
        let row: Vec<f32> = (0..site.channels)
            .map(|channel| mean(channel) as f32)
            .collect();
        let values = row.repeat(site.positions);
        edit.rewrite = Rewrite::Mean { values };
    }
    let whole: Box<dyn Model + '_> = match &data {
        TrainingData::Sequences(data) => Box::new(OfLength::new(model, data.positions())?),
        TrainingData::Examples(_) | TrainingData::Sparse(_) => Box::new(model),
    };
    let whole = whole.as_ref();
    let spliced = Spliced::new(whole, splices.to_vec())?;
    let zero = Intervened::new(whole, zeros)?;
    let mean = Intervened::new(whole, means)?;
    let models: [&dyn Model; 4] = [model, &spliced, &zero, &mean];
    let parts = pools.map(batches.len(), |at| judged(&models, &data, &batches[at]));
    let mut all = Sums::default();
    for part in parts {
        all.labels += part.labels;
        all.kl += part.kl;
        for (sum, more) in all.losses.iter_mut().zip(part.losses) {
            *sum += more;
        }
        for (sum, more) in all.right.iter_mut().zip(part.right) {
            *sum += more;
        }
    }
    let n = all.labels as f64;
    let [clean, spliced, zero, mean] = all.losses.map(|loss| loss / n);
    Ok(Recovered {
        labels: all.labels,
        clean,
        spliced,
        zero,
        mean,
        kl: all.kl / n,
        accuracy: all.right[0] as f64 / n,
        spliced_accuracy: all.right[1] as f64 / n,
    })
}

fn judged(models: &[&dyn Model; 4], data: &TrainingData<'_>, rows: &[usize]) -> Sums {
    let device = models[0].device();
    let input = data.input(rows, &device);
    let (truth, known) = labels(data, rows, models[0]);
    let logits: Vec<Tensor<3>> = models.iter().map(|model| model.logits(&input)).collect();
    let log_p: Vec<Tensor<3>> = logits
        .iter()
        .map(|logits| log_softmax(logits.clone(), 2))
        .collect();
    let kl = log_p[0].clone().exp() * (log_p[0].clone() - log_p[1].clone());
    let kl = floats(kl.sum_dim(2));
    let classes = mr_models::integers(truth.clone());
    let mut sums = Sums {
        labels: known.iter().filter(|&&known| known).count(),
        ..Sums::default()
    };
    let add = |values: &[f32]| -> f64 {
        let known = values.iter().zip(&known).filter(|&(_, &known)| known);
        known.map(|(&value, _)| f64::from(value)).sum()
    };
    sums.kl = add(&kl);
    for (loss, log_p) in sums.losses.iter_mut().zip(&log_p) {
        let picked = log_p.clone().gather(2, truth.clone().unsqueeze_dim(2));
        *loss = -add(&floats(picked));
    }
    for (right, logits) in sums.right.iter_mut().zip(&logits) {
        let best = predictions(logits).concat();
        let each = best.iter().zip(&classes).zip(&known);
        *right = each
            .filter(|&((&best, &class), &known)| known && best as i64 == class)
            .count();
    }
    sums
}

/// The classes `[example, position]` of the logits, and which of them can be known.
fn labels(
    data: &TrainingData<'_>,
    rows: &[usize],
    model: &dyn Model,
) -> (Tensor<2, Int>, Vec<bool>) {
    let device = model.device();
    match data {
        TrainingData::Examples(data) => {
            (data.labels_of(rows, &device).truth, vec![true; rows.len()])
        }
        TrainingData::Sequences(data) => {
            let known = floats(data.mask(rows, &device));
            let known = known.into_iter().map(|known| known > 0.0).collect();
            (data.next(rows, &device), known)
        }
        TrainingData::Sparse(_) => unreachable!("a stream was refused"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use burn::tensor::Device;
    use mr_models::data::Dataset;
    use mr_models::{Architecture, Mlp, Network};
    use mr_sae::{ErrorTerm, LatentEdit, Sae, SaeConfig, TopK};

    use super::*;

    fn images() -> Dataset {
        let names = vec!["a".into(), "b".into(), "c".into()];
        let bytes = (0..130 * 4).map(|i| (i * 37 % 251) as u8).collect();
        let labels = (0..130).map(|i| i % 3).collect();
        Dataset::of_bytes("images", [1, 2, 2], names, bytes, labels).unwrap()
    }

    fn net() -> Network {
        let mlp = Mlp {
            input: [1, 2, 2],
            hidden: vec![5],
            classes: 3,
            ..Mlp::default()
        };
        Network::init(Architecture::Mlp(mlp), 0, &Device::flex()).unwrap()
    }

    fn splice(error: ErrorTerm) -> Splice {
        let net = net();
        let site = net
            .spec()
            .sites
            .iter()
            .find(|site| site.channels == 5)
            .unwrap();
        let sae = Sae::init(SaeConfig::new(5, 8, TopK::new(2)), 0, &Device::flex()).unwrap();
        Splice::new(Arc::new(sae), &site.name, error)
    }

    #[test]
    fn nothing_is_lost_with_the_error_and_all_with_no_latent() {
        let (net, data) = (net(), images());
        let kept = recovered(&net, &data, &[splice(ErrorTerm::Kept)]).unwrap();
        assert_eq!((kept.labels, kept.kl), (130, 0.0));
        assert_eq!(kept.clean, kept.spliced);
        assert_eq!((kept.against_zero(), kept.against_mean()), (1.0, 1.0));
        assert_eq!(kept.accuracy, kept.spliced_accuracy);
        let dropped = recovered(&net, &data, &[splice(ErrorTerm::Dropped)]).unwrap();
        assert!(dropped.kl > 0.0 && dropped.spliced != dropped.clean);
        assert_eq!((dropped.clean, dropped.zero), (kept.clean, kept.zero));
        // Without latents and with a bias of 0, the reconstruction is zero ablation.
        let none = splice(ErrorTerm::Dropped).edited(LatentEdit::ablate((0..8).collect()));
        let none = recovered(&net, &data, &[none]).unwrap();
        assert!((none.spliced - none.zero).abs() < 1e-6);
        assert!(none.against_zero().abs() < 1e-4, "{none:?}");
    }

    #[test]
    fn the_mean_is_that_of_the_data() {
        let (net, data) = (net(), images());
        let found = recovered(&net, &data, &[splice(ErrorTerm::Kept)]).unwrap();
        // By hand: one batch of everything.
        let rows: Vec<usize> = (0..130).collect();
        let input = data.input(&rows, &Device::flex());
        let site = splice(ErrorTerm::Kept).site;
        let (_, cache) = run_with_cache(&net, &input, &[&site]).unwrap();
        let mean = floats(samples(cache.get(&site).unwrap().clone()).mean_dim(0));
        let edit = Edit::at(&site, Rewrite::Mean { values: mean });
        let model = Intervened::new(&net, vec![edit]).unwrap();
        let log_p = log_softmax(model.logits(&input), 2);
        let truth = data.labels_of(&rows, &Device::flex()).truth;
        let picked = floats(log_p.gather(2, truth.unsqueeze_dim(2)));
        let loss = -picked.iter().map(|&v| f64::from(v)).sum::<f64>() / 130.0;
        assert!((found.mean - loss).abs() < 1e-6, "{} {loss}", found.mean);
    }
}
