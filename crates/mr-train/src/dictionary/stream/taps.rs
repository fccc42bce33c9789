//! What passes sites of models, as samples.

use mr_models::{Input, Model, floats, integers, run_with_cache};
use mr_sae::samples;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::pools::Pools;
use crate::source::TrainingData;

/// Examples that one thread runs at a time.
const BATCH: usize = 128;

/// Which positions of an example are samples. All of them by default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Positions {
    /// So many of the first positions are left out, such as that of a beginning-of-text token.
    pub skip: usize,
    /// Positions of these tokens are left out.
    pub without_tokens: Vec<usize>,
}

/// A site of a model.
#[derive(Clone, Copy)]
pub struct Tap<'a> {
    /// The model.
    pub model: &'a dyn Model,
    /// The site's name.
    pub site: &'a str,
}

/// Sites whose activations make a sample together, one after the other: one site for an autoencoder, the read and the
/// written one for a transcoder, several layers or models for a crosscoder.
pub struct Taps<'a> {
    each: Vec<Tap<'a>>,
    /// Channels of each.
    widths: Vec<usize>,
    positions: usize,
    filter: Positions,
}

impl<'a> Taps<'a> {
    /// Taps of data.
    ///
    /// # Errors
    /// If a model lacks its site or does not take the data, if sites have different numbers of positions, and if the filter
    /// leaves no position or names tokens where there are none.
    pub fn new(
        taps: Vec<Tap<'a>>,
        data: &TrainingData<'_>,
        filter: Positions,
    ) -> Result<Self, TrainError> {
        let mut widths = Vec::with_capacity(taps.len());
        let mut all = None;
        for tap in &taps {
            data.fits(tap.model.spec())?;
            let spec = data.spec_of(tap.model)?;
            let site = spec.site(tap.site)?;
            widths.push(site.channels);
            let (first, positions) = *all.get_or_insert((tap.site, site.positions));
            if positions != site.positions {
                return Err(TrainError::Data(format!(
                    "`{}` has {} positions and `{first}` {positions}: a sample needs the same position of all",
                    tap.site, site.positions
                )));
            }
        }
        let Some((_, positions)) = all else {
            return Err(TrainError::setting("sites", "[]", "one site at least"));
        };
        if filter.skip >= positions {
            return Err(TrainError::setting(
                "positions.skip",
                filter.skip,
                format!("below {positions}, the number of positions"),
            ));
        }
        if !filter.without_tokens.is_empty() && !matches!(data, TrainingData::Sequences(_)) {
            return Err(TrainError::setting(
                "positions.without_tokens",
                format!("{:?}", filter.without_tokens),
                "left out: the data are no tokens",
            ));
        }
        Ok(Self {
            each: taps,
            widths,
            positions,
            filter,
        })
    }

    /// Channels of a sample.
    pub fn width(&self) -> usize {
        self.widths.iter().sum()
    }

    /// Channels of each tap.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// Samples that an example gives at most.
    pub fn positions(&self) -> usize {
        self.positions - self.filter.skip
    }

    /// The filter.
    pub fn filter(&self) -> &Positions {
        &self.filter
    }

    /// The sites' names.
    pub fn sites(&self) -> impl Iterator<Item = &str> {
        self.each.iter().map(|tap| tap.site)
    }

    /// The samples of some examples, in their order, row-major `[sample, channel]`.
    ///
    /// # Errors
    /// If a model does not run.
    pub(crate) fn samples(
        &self,
        data: &TrainingData<'_>,
        examples: &[usize],
        pools: &Pools,
    ) -> Result<Vec<f32>, TrainError> {
        let batches: Vec<&[usize]> = examples.chunks(BATCH).collect();
        let parts = pools.map(batches.len(), |at| self.batch(data, batches[at]));
        let parts: Result<Vec<_>, TrainError> = parts.into_iter().collect();
        Ok(parts?.concat())
    }

    fn batch(&self, data: &TrainingData<'_>, rows: &[usize]) -> Result<Vec<f32>, TrainError> {
        let mut columns = Vec::with_capacity(self.each.len());
        let mut kept = vec![true; rows.len() * self.positions];
        for tap in &self.each {
            let input = data.input(rows, &tap.model.device());
            if columns.is_empty() {
                self.mark(&input, &mut kept);
            }
            let (_, cache) = run_with_cache(tap.model, &input, &[tap.site])?;
            columns.push(floats(samples(cache.get(tap.site)?.clone())));
        }
        let mut out = Vec::new();
        for (sample, _) in kept.iter().enumerate().filter(|&(_, &kept)| kept) {
            for (values, &width) in columns.iter().zip(&self.widths) {
                out.extend_from_slice(&values[sample * width..(sample + 1) * width]);
            }
        }
        Ok(out)
    }

    /// Marks what the filter leaves out.
    fn mark(&self, input: &Input, kept: &mut [bool]) {
        for example in kept.chunks_mut(self.positions) {
            example[..self.filter.skip].fill(false);
        }
        let Input::Tokens(tokens) = input else { return };
        if self.filter.without_tokens.is_empty() {
            return;
        }
        for (kept, token) in kept.iter_mut().zip(integers(tokens.clone())) {
            let token = usize::try_from(token).unwrap_or(usize::MAX);
            *kept &= !self.filter.without_tokens.contains(&token);
        }
    }
}
