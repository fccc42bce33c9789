//! Path patching.

mod layers;

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use mr_models::{Edge, Hook, Joined, Model, ModelError, Port, Region, Site, Wiring, Workers};

use crate::error::CircuitError;
use crate::layered::Layered;
use crate::pair::Pair;
use crate::patching::question::Question;
use crate::patching::rerun::{Base, Variant};
use crate::patching::spot::Spot;
use crate::patching::sweep::{Batch, Direction, Patches, Plan, Progress, Sweep};

/// Path patching (Wang et al. 2022, appendix B; Goldowsky-Dill et al. 2023): what a sender changes reaches
/// the receivers alone, over the paths between them, and everything else stays what it was. The direct
/// effect of a head is that on `logits`.
///
/// Two passes for each sender. In the first the sender writes what it writes in the donor's run, every
/// other head writes what it wrote, and what the receivers then read is kept; in the second they read that.
/// So no receiver sees what another makes of it before the second pass.
///
/// Between layers every node but the sender writes what it wrote, so that a receiver gets what the edge from the
/// sender carries, if there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathPatch {
    /// Which run is changed.
    pub direction: Direction,
    /// Whether paths lead through MLPs, which then read what the sender changed (so Wang et al.);
    /// otherwise MLPs too write what they wrote, and an edge alone is patched.
    pub through_mlps: bool,
    /// How the runs are run.
    pub sweep: Sweep,
}

impl PathPatch {
    /// Patches the paths from each sender (`input`, `a0.h1`, `m0`) in turn to all receivers
    /// (`a1.h0<k>`, `m1`, `logits`), and reads the objective.
    ///
    /// # Errors
    /// [`CircuitError::Unwired`] for a network without edges, [`CircuitError::Unstreamed`] for paths through
    /// MLPs where there is no residual stream, [`CircuitError::Model`] for an unknown sender or receiver, with
    /// near matches, and those of [`Sweep::patch`].
    pub fn run(
        &self,
        question: Question<'_>,
        pair: &Pair,
        senders: &[String],
        receivers: &[String],
        progress: &mut Progress<'_>,
    ) -> Result<Patches, CircuitError> {
        let spec = question.model.spec();
        let wiring = &spec.wiring;
        let network = spec.name.clone();
        if wiring.writers.is_empty() {
            return Err(CircuitError::Unwired { network });
        }
        let layered = match &wiring.joined {
            Joined::Stream => None,
            Joined::Layers(_) if self.through_mlps => {
                return Err(CircuitError::Unstreamed { network });
            }
            Joined::Layers(_) => Some(Layered::of(question.model)?),
        };
        let from = find("sender", &wiring.writers, senders)?;
        let receivers = find("receiver", &wiring.readers, receivers)?;
        let senders: Vec<&Port> = from.iter().map(|&at| &wiring.writers[at]).collect();
        let frozen = frozen(wiring);
        // Channels of an input are no site.
        let sites = senders.iter().map(|port| port.site.clone());
        let mut kept: Vec<String> = sites.filter(|site| spec.site(site).is_ok()).collect();
        if self.through_mlps {
            kept.extend(frozen.iter().cloned());
        }
        let (base, donor) = self.direction.of(pair);
        let plan = Plan {
            input: base,
            donor: Some(donor),
            variants: from
                .iter()
                .map(|&sender| reached(wiring, sender, &receivers))
                .collect(),
            kept,
            whole: self.through_mlps,
        };
        self.sweep.over(question, &plan, progress, &|batch| {
            if let Some(layered) = &layered {
                let gained = from.iter();
                let gained = gained.map(|&at| layers::gained(layered, wiring, batch, at));
                let (base, gained) = (batch.base, gained.collect::<Vec<_>>());
                return Ok(Box::new(move |at, spot, region, _| {
                    base.cut(&spot.site, region) + region.cut(&gained[at][&spot.site])
                }));
            }
            let changes = senders.iter().map(|port| change(batch, port));
            let base = batch.base;
            if !self.through_mlps {
                let changes: Vec<_> = changes.collect();
                let sent: Vec<String> = senders.iter().map(|port| port.site.clone()).collect();
                return Ok(Box::new(move |at, spot, region, _| {
                    let positions = Region {
                        channels: None,
                        ..region.clone()
                    };
                    let change = base.within(&positions, &sent[at]).cut(&changes[at]);
                    base.cut(&spot.site, region) + change
                }));
            }
            let workers = Workers::new(batch.threads);
            let changes: Vec<_> = changes.collect();
            let received = workers.map(senders.len(), |at| {
                let sending = Sending {
                    base,
                    port: senders[at],
                    change: &changes[at],
                    frozen: &frozen,
                    wanted: plan.variants[at]
                        .iter()
                        .map(|spot| spot.site.as_str())
                        .collect(),
                    received: BTreeMap::new(),
                };
                Ok::<_, CircuitError>(sending.run(question.model))
            })?;
            Ok(Box::new(move |at, spot, region, _| {
                region.cut(&received[at][&spot.site])
            }))
        })
    }
}

/// The indices of the ports of these names.
fn find(kind: &'static str, ports: &[Port], names: &[String]) -> Result<Vec<usize>, CircuitError> {
    let known: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let found = names.iter().map(|name| {
        let at = known.iter().position(|known| known == name);
        let unknown = || ModelError::unknown(kind, name, known.iter().map(String::as_str));
        Ok(at.ok_or_else(unknown)?)
    });
    found.collect()
}

/// What of the receivers a sender reaches. Heads that share keys and values are one reader.
fn reached(wiring: &Wiring, writer: usize, receivers: &[usize]) -> Variant {
    let mut spots = Variant::new();
    let receivers = receivers.iter().copied();
    for reader in receivers.filter(|&reader| wiring.reaches(Edge { writer, reader })) {
        let port = &wiring.readers[reader];
        let spot = Spot::new(&port.site, Region::channels(port.channels.clone()));
        if !spots.contains(&spot) {
            spots.push(spot);
        }
    }
    spots
}

/// Where the heads of each block write together.
fn frozen(wiring: &Wiring) -> Vec<String> {
    let heads = wiring.writers.iter();
    let blocks = heads.filter_map(|port| port.site.strip_suffix("attn.hook_result"));
    let mut sites: Vec<String> = blocks
        .map(|block| format!("{block}hook_attn_out"))
        .collect();
    sites.dedup();
    sites
}

/// By how much the donor's run writes more.
fn change(batch: &Batch<'_>, port: &Port) -> Tensor<3> {
    let written = |run: &Base<'_>| {
        run.activation(&port.site)
            .clone()
            .slice_dim(2, port.channels.clone())
    };
    written(batch.donor()) - written(batch.base)
}

/// The first pass: one sender writes something else, no head does.
struct Sending<'a> {
    base: &'a Base<'a>,
    port: &'a Port,
    change: &'a Tensor<3>,
    frozen: &'a [String],
    wanted: Vec<&'a str>,
    received: BTreeMap<String, Tensor<3>>,
}

impl Sending<'_> {
    /// What the receivers read, by site.
    fn run(mut self, model: &dyn Model) -> BTreeMap<String, Tensor<3>> {
        let last = self.wanted.iter().map(|site| self.base.stage(site)).max();
        let first = self.base.stage(&self.port.site);
        if let Some(last) = last {
            let state = self.base.state(first).clone();
            model.run_stages(first..last + 1, state, &mut self);
        }
        self.received
    }

    fn is_sender(&self, site: &Site) -> bool {
        site.name == self.port.site
    }

    fn is_frozen(&self, site: &Site) -> bool {
        site.stage > self.port.stage && self.frozen.contains(&site.name)
    }

    fn is_received(&self, site: &Site) -> bool {
        self.wanted.contains(&site.name.as_str())
    }
}

impl Hook for Sending<'_> {
    fn wants(&self, site: &Site) -> bool {
        self.is_sender(site) || self.is_frozen(site) || self.is_received(site)
    }

    fn only_reads(&self, site: &Site) -> bool {
        !self.is_sender(site) && !self.is_frozen(site)
    }

    fn at(&mut self, site: &Site, mut now: Tensor<3>) -> Tensor<3> {
        if self.is_frozen(site) {
            now = self.base.activation(&site.name).clone();
        }
        if self.is_sender(site) {
            let channels = Region::channels(self.port.channels.clone());
            let written = channels.cut(&now) + self.change.clone();
            now = channels.paste(now, written);
        }
        if self.is_received(site) {
            self.received.insert(site.name.clone(), now.clone());
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use mr_models::objective::by_name;
    use mr_models::{
        Edit, Intervened, Labels, NormKind, Objective, OfLength, Rewrite, class_tensor, floats,
        run_with_cache, values_at,
    };

    use super::*;
    use crate::attribution::tests::{net, pair, shared};
    use crate::{Ablation, Cut};

    fn labels() -> Labels {
        let device = Device::flex();
        Labels::of_classes(&[1, 3], &device).with_target(class_tensor(&[2, 0], &device))
    }

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(ToString::to_string).collect()
    }

    fn close(found: &[f32], expected: &[f32]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }

    #[test]
    fn a_path_of_one_edge_is_that_edge_cut() {
        let last = by_name("last(answer-difference)").unwrap();
        let all = by_name("logit-difference(1, 2)").unwrap();
        let objectives: [&dyn Objective; 2] = [last.as_ref(), all.as_ref()];
        let corrupt = Ablation::Resample(pair().corrupt().clone());
        for (net, objective) in [net(NormKind::Layer), shared()].iter().zip(objectives) {
            let labels = labels();
            let question = Question::new(net, objective, &labels);
            for (senders, receiver) in [
                (["input", "a0.h1"], "a1.h0<q>"),
                (["m0", "a0.h0"], "a1.h1<v>"),
                (["a1.h1", "m0"], "m1"),
                (["input", "m1"], "logits"),
            ] {
                let patching = PathPatch {
                    direction: Direction::Noise,
                    ..PathPatch::default()
                };
                let (from, to) = (names(&senders), names(&[receiver]));
                let found = patching.run(question, &pair(), &from, &to, &mut |_, _| {});
                for (sender, values) in senders.iter().zip(found.unwrap().patched) {
                    let edge = net
                        .spec()
                        .wiring
                        .edge(&format!("{sender}->{receiver}"))
                        .unwrap();
                    let cut = Cut::new(net, &[edge], &corrupt).unwrap();
                    let expected = values_at(&cut, pair().clean(), &labels, objective, &[]);
                    close(&values, &floats(expected.unwrap().0));
                }
            }
        }
    }

    #[test]
    fn paths_through_mlps_let_these_read_what_changed() {
        let net = net(NormKind::Layer);
        let sized = OfLength::new(&net, 6).unwrap();
        let labels = labels();
        let last = by_name("last(answer-difference)").unwrap();
        let question = Question::new(&sized, last.as_ref(), &labels);
        let patching = PathPatch {
            direction: Direction::Noise,
            through_mlps: true,
            ..PathPatch::default()
        };
        let (from, to) = (names(&["a0.h1"]), names(&["logits"]));
        let found = patching
            .run(question, &pair(), &from, &to, &mut |_, _| {})
            .unwrap();
        let written = |input, site: &str| {
            let (_, cache) = run_with_cache(&sized, input, &[site]).unwrap();
            cache.get(site).unwrap().clone()
        };
        let head = Region::channels(8..16);
        let (result, out) = ("blocks.0.attn.hook_result", "blocks.1.hook_attn_out");
        let edits = vec![
            Edit::at(
                result,
                Rewrite::patch(head.cut(&written(pair().corrupt(), result))),
            )
            .within(head),
            Edit::at(out, Rewrite::patch(written(pair().clean(), out))),
        ];
        let plain = Intervened::new(&sized, edits).unwrap();
        let expected = values_at(&plain, pair().clean(), &labels, last.as_ref(), &[]).unwrap();
        close(&found.patched[0], &floats(expected.0));
        assert!(
            (found.patched[0][0] - found.base[0]).abs() > 1e-4,
            "the path does something"
        );
    }

    #[test]
    fn nothing_flows_backwards_and_unknown_nodes_are_named() {
        let net = net(NormKind::Layer);
        let labels = labels();
        let last = by_name("last(answer-difference)").unwrap();
        let question = Question::new(&net, last.as_ref(), &labels);
        let ask = |from: &str, to: &str| {
            let (from, to) = (names(&[from]), names(&[to]));
            PathPatch::default().run(question, &pair(), &from, &to, &mut |_, _| {})
        };
        let found = ask("m1", "a0.h0<q>").unwrap();
        assert_eq!(found.patched[0], found.base);
        let error = |found: Result<Patches, CircuitError>| found.unwrap_err().to_string();
        assert!(error(ask("a0.h9", "m1")).contains("unknown sender `a0.h9`; did you mean a0.h"));
        assert!(error(ask("a0.h0", "a1.h0")).contains("unknown receiver"));
    }
}
