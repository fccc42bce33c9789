//! What is run again when a spot of a run changes: what comes after it, and no more.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use mr_models::{Cache, Hook, Input, Labels, Model, Objective, Region, Site, State, floats};

use crate::error::CircuitError;
use crate::patching::question::Question;
use crate::patching::spot::Spot;

/// Spots that change together in one run; mostly one.
pub(crate) type Variant = Vec<Spot>;

/// The new activation of a spot in the variant of a number, from its old one `[batch, position, channel]`.
/// The region is the spot's, or what of it is computed at all.
pub(crate) type Rewrite<'a> = dyn Fn(usize, &Spot, &Region, Tensor<3>) -> Tensor<3> + Sync + 'a;

/// A variant and its number.
pub(crate) type Numbered<'a> = (usize, &'a Variant);

/// One batch of a run, kept from stage to stage, of which spots may be changed.
///
/// Where the objective reads the last position alone, the stages from `narrow` on, which treat every
/// position by itself, run that position alone.
pub(crate) struct Base<'a> {
    model: &'a dyn Model,
    objective: &'a dyn Objective,
    labels: &'a Labels,
    /// Before each stage.
    states: Vec<State>,
    /// What is changed and what the objective reads.
    cache: Cache,
    /// Stage of each site of the cache.
    stages: BTreeMap<String, usize>,
    sites: Vec<Site>,
    narrow: usize,
    last: usize,
    pub(crate) values: Vec<f32>,
}

impl<'a> Base<'a> {
    /// Runs a batch, and keeps what changes of these spots need.
    pub(crate) fn of(
        question: Question<'a>,
        input: Input,
        kept: &[&str],
        whole: bool,
    ) -> Result<Self, CircuitError> {
        let Question {
            model,
            objective,
            labels,
        } = question;
        let spec = model.spec();
        let read = objective.sites();
        let names: Vec<&str> = read
            .iter()
            .map(String::as_str)
            .chain(kept.iter().copied())
            .collect();
        let mut cache = Cache::of(spec, &names)?;
        let sites: Vec<Site> = (spec.sites.iter())
            .filter(|site| read.contains(&site.name))
            .cloned()
            .collect();
        let stages = model.stages();
        // Whoever is asked for activations is asked for all of them.
        let may_narrow = !whole && objective.reads_last() && read.is_empty();
        let by_itself = (0..stages).rev();
        let by_itself = by_itself.take_while(|&stage| may_narrow && model.is_by_position(stage));
        let narrow = stages - by_itself.count();
        let last = match &input {
            Input::Tokens(tokens) => tokens.dims()[1].saturating_sub(1),
            Input::Real(_) => 0,
        };
        let mut states = vec![State::Input(input)];
        for stage in 0..stages {
            let mut state = states[stage].clone();
            if stage == narrow {
                state = of_last(state);
                states[stage] = state.clone();
            }
            states.push(model.run_stages(stage..stage + 1, state, &mut cache));
        }
        let logits = states
            .pop()
            .expect("the last stage gives the logits")
            .logits();
        objective.judges(labels, logits.dims())?;
        let values = floats(objective.value(&logits, &cache, labels));
        // A model of one stage has its sites in that one, whatever they say of themselves.
        let at = |name: &str| spec.site(name).map(|site| site.stage.min(stages - 1));
        let stages = names.iter().map(|name| Ok((name.to_string(), at(name)?)));
        Ok(Self {
            model,
            objective,
            labels,
            states,
            cache,
            stages: stages.collect::<Result<_, CircuitError>>()?,
            sites,
            narrow,
            last,
            values,
        })
    }

    /// Where the model's weights lie.
    pub(crate) fn device(&self) -> Device {
        self.model.device()
    }

    /// The activation that was kept of a site.
    ///
    /// # Panics
    /// If none was.
    pub(crate) fn activation(&self, site: &str) -> &Tensor<3> {
        self.cache.expect(site)
    }

    /// This region of the activation that was kept of a site.
    pub(crate) fn cut(&self, site: &str, region: &Region) -> Tensor<3> {
        self.within(region, site).cut(self.cache.expect(site))
    }

    /// The same region in what was kept of a site, which may be the last position alone.
    pub(crate) fn within(&self, region: &Region, site: &str) -> Region {
        self.local(region, self.stages[site])
    }

    /// The stage of a site that was kept.
    pub(crate) fn stage(&self, site: &str) -> usize {
        self.stages[site]
    }

    /// The state before a stage.
    pub(crate) fn state(&self, stage: usize) -> &State {
        &self.states[stage]
    }

    /// By which variants can go together, and the earlier the more they cost.
    pub(crate) fn order(&self, variant: &Variant) -> (usize, bool) {
        let stage = variant.iter().map(|spot| self.stages[&spot.site]).min();
        (stage.unwrap_or(0), self.is_carried(variant))
    }

    /// Whether the stage of the change need not be run again.
    fn is_carried(&self, variant: &Variant) -> bool {
        let [spot] = variant.as_slice() else {
            return false;
        };
        let none = Tensor::zeros([1, 1, 1], &self.model.device());
        let channel = spot.region.channels.as_ref().map_or(0, |range| range.start);
        self.sites.is_empty()
            && self
                .model
                .carried(&spot.site, channel..channel + 1, none)
                .is_some()
    }

    /// The objective of each example with the changes of each of these variants, which are of one order.
    pub(crate) fn changed(
        &self,
        variants: &[Numbered<'_>],
        rewrite: &Rewrite<'_>,
    ) -> Vec<Vec<f32>> {
        let (stage, carried) = match variants.first() {
            Some((_, first)) => self.order(first),
            None => return Vec::new(),
        };
        // What is changed only where nobody looks changes nothing.
        let matters = |variant: &Variant| variant.iter().any(|spot| self.seen(spot).is_some());
        let run = variants
            .iter()
            .copied()
            .filter(|(_, variant)| matters(variant));
        let run: Vec<Numbered<'_>> = run.collect();
        let found = if run.is_empty() {
            Vec::new()
        } else if carried {
            self.after(stage + 1, self.carry(stage + 1, &run, rewrite), &run, None)
        } else {
            let state = self.states[stage].select(self.repeated(run.len()));
            self.after(stage, state, &run, Some(rewrite))
        };
        let mut found = found.into_iter();
        let of = |(_, variant): &Numbered<'_>| {
            let run = matters(variant).then(|| found.next());
            run.flatten().unwrap_or_else(|| self.values.clone())
        };
        variants.iter().map(of).collect()
    }

    fn batch(&self) -> usize {
        self.states[0].batch()
    }

    fn repeated(&self, times: usize) -> Tensor<1, Int> {
        let batch = self.batch() as i64;
        let rows: Vec<i64> = (0..times as i64 * batch).map(|row| row % batch).collect();
        let count = rows.len();
        Tensor::from_data(TensorData::new(rows, [count]), &self.model.device())
    }

    fn is_narrow(&self, stage: usize) -> bool {
        stage >= self.narrow
    }

    /// What of a spot's region is computed in its own stage; nothing may be.
    fn seen(&self, spot: &Spot) -> Option<Region> {
        self.seen_in(spot, self.stages[&spot.site])
    }

    fn seen_in(&self, spot: &Spot, stage: usize) -> Option<Region> {
        let mut region = spot.region.clone();
        if self.is_narrow(stage) {
            let all = 0..self.last + 1;
            if !region.positions.unwrap_or(all).contains(&self.last) {
                return None;
            }
            region.positions = Some(self.last..self.last + 1);
        }
        Some(region)
    }

    /// The same region in an activation of a stage.
    fn local(&self, region: &Region, stage: usize) -> Region {
        let mut region = region.clone();
        if self.is_narrow(stage) {
            region.positions = None;
        }
        region
    }

    /// The states before a stage, variant by variant, with what their changes in the stage before it add.
    fn carry(&self, stage: usize, variants: &[Numbered<'_>], rewrite: &Rewrite<'_>) -> State {
        let State::Sequence(state) = &self.states[stage] else {
            panic!("what is carried is added to a sequence");
        };
        let each = variants.iter().map(|(at, variant)| {
            let spot = &variant[0];
            let Some(region) = self.seen_in(spot, stage) else {
                return state.clone();
            };
            let activation = self.cache.expect(&spot.site);
            let before = self.local(&region, stage - 1).cut(activation);
            let after = rewrite(*at, spot, &region, before.clone());
            let channels = activation.dims()[2];
            let channels = region.channels.clone().unwrap_or(0..channels);
            let change = self.model.carried(&spot.site, channels, after - before);
            let change = change.expect("variants of one order are all carried");
            let rows = Region {
                channels: None,
                ..self.local(&region, stage)
            };
            if rows.is_all() {
                return state.clone() + change;
            }
            rows.paste(state.clone(), rows.cut(state) + change)
        });
        State::Sequence(Tensor::cat(each.collect(), 0))
    }

    /// Runs the rest from a stage on.
    fn after(
        &self,
        stage: usize,
        mut state: State,
        variants: &[Numbered<'_>],
        rewrite: Option<&Rewrite<'_>>,
    ) -> Vec<Vec<f32>> {
        let rows = self.repeated(variants.len());
        let names: Vec<&str> = self.sites.iter().map(|site| site.name.as_str()).collect();
        let mut cache = Cache::of(self.model.spec(), &names).expect("the base run had these sites");
        // What the objective reads before the change is what it was.
        for site in self.sites.iter().filter(|site| site.stage < stage) {
            let before = self.cache.expect(&site.name).clone();
            cache.at(site, before.select(0, rows.clone()));
        }
        let labels = match variants {
            [_] => self.labels.clone(),
            _ => self.labels.select(rows),
        };
        let mut changing = Changing {
            base: self,
            variants,
            rewrite,
            cache,
        };
        let stages = self.model.stages();
        let wide = stage.max(self.narrow);
        if stage < wide {
            state = self.model.run_stages(stage..wide, state, &mut changing);
            if wide < stages {
                state = of_last(state);
            }
        }
        if wide < stages {
            state = self.model.run_stages(wide..stages, state, &mut changing);
        }
        let logits = state.logits();
        let values = floats(self.objective.value(&logits, &changing.cache, &labels));
        values.chunks(self.batch()).map(<[f32]>::to_vec).collect()
    }
}

/// The last position of a sequence.
fn of_last(state: State) -> State {
    match state {
        State::Sequence(all) => {
            let positions = all.dims()[1];
            State::Sequence(all.narrow(1, positions - 1, 1))
        }
        other => other,
    }
}

/// Changes each variant's rows, and records what the objective reads.
struct Changing<'a> {
    base: &'a Base<'a>,
    variants: &'a [Numbered<'a>],
    rewrite: Option<&'a Rewrite<'a>>,
    cache: Cache,
}

impl Changing<'_> {
    fn changes(&self, site: &Site) -> bool {
        self.rewrite.is_some()
            && (self.variants.iter())
                .any(|(_, variant)| variant.iter().any(|spot| spot.site == site.name))
    }

    fn change(&self, (number, variant): Numbered<'_>, site: &Site, rows: Tensor<3>) -> Tensor<3> {
        let Some(rewrite) = self.rewrite else {
            return rows;
        };
        let spots = variant.iter().filter(|spot| spot.site == site.name);
        spots.fold(rows, |rows, spot| match self.base.seen(spot) {
            None => rows,
            Some(region) => {
                let local = self.base.within(&region, &spot.site);
                let after = rewrite(number, spot, &region, local.cut(&rows));
                if local.is_all() {
                    after
                } else {
                    local.paste(rows, after)
                }
            }
        })
    }
}

impl Hook for Changing<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.changes(site) || self.cache.wants(site)
    }

    fn only_reads(&self, site: &Site) -> bool {
        !self.changes(site)
    }

    fn at(&mut self, site: &Site, activation: Tensor<3>) -> Tensor<3> {
        let mut now = activation;
        if self.changes(site) {
            now = match self.variants {
                [variant] => self.change(*variant, site, now),
                variants => {
                    let batch = self.base.batch();
                    let each = variants.iter().enumerate().map(|(at, variant)| {
                        self.change(*variant, site, now.clone().narrow(0, at * batch, batch))
                    });
                    Tensor::cat(each.collect(), 0)
                }
            };
        }
        if self.cache.wants(site) {
            self.cache.at(site, now.clone());
        }
        now
    }
}
