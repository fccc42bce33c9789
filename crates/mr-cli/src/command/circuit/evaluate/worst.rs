//! The input in an epsilon-ball for which a circuit explains its network worst.

use anyhow::{Result, bail};
use burn::tensor::{Int, Tensor};
use mr_attacks::{Draw, Goal, Meter, Never, ObjectiveAttack, ThreatModel, Victim};
use mr_circuits::{Ablation, Asked, AtPositions, Circuit, Divergence, Diverging, Pair};
use mr_models::{Input, InputKind, Labels, Model, Network, OfLength, Place, Workers, floats};

use crate::console::Console;

/// Random points of the ball that the attack is held against.
pub(super) const DRAWS: u32 = 20;

/// KL(network || circuit) of each example, in nats.
#[derive(Debug, Clone, Default)]
pub(super) struct Worst {
    /// At the clean input.
    pub(super) clean: Vec<f32>,
    /// At the pair's corrupt one.
    pub(super) corrupt: Vec<f32>,
    /// The largest at random points of the ball.
    pub(super) random: Vec<f32>,
    /// At the point that the attack found, or at the clean one where that is worse.
    pub(super) attacked: Vec<f32>,
}

/// How the circuit is attacked.
pub(super) struct Search<'a> {
    pub(super) threat: &'a ThreatModel,
    pub(super) attack: &'a dyn ObjectiveAttack,
    pub(super) seed: u64,
    pub(super) threads: usize,
}

impl Search<'_> {
    /// Finds out, before any work, whether this network can be attacked so.
    pub(super) fn fits(&self, network: &Network) -> Result<()> {
        let spec = network.spec();
        if let (InputKind::Tokens { .. }, Place::Input) = (spec.input, &self.threat.place) {
            bail!(
                "--epsilon: this network takes tokens, around which there is no ball; --place hook_embed puts it around \
                 their embeddings"
            );
        }
        self.threat.fits(spec)?;
        if self.threat.is_unbounded() {
            bail!("--epsilon inf: the worst input is sought in a ball");
        }
        Ok(self.attack.fits(spec, self.threat)?)
    }

    /// Attacks every clean example. Each is a run of its own: under resample ablation what cut edges carry is of
    /// its own corrupt example, and attacks may leave examples of a batch behind.
    pub(super) fn run(
        &self,
        (network, asked): (&Network, &Asked),
        circuit: &Circuit,
        pair: &Pair,
        ablation: &Ablation,
        console: &Console,
    ) -> Result<Worst> {
        let examples = pair.clean().batch();
        let bar = console.bar(&self.attack.name(), examples);
        let done = std::sync::atomic::AtomicUsize::new(0);
        let all = AtPositions::new(network, asked.clone());
        let shared = match ablation {
            Ablation::Resample(_) => None,
            _ if asked.is_by_example() => None,
            // What is cut carries the same for every example.
            ablation => Some(Diverging::new(&all, circuit, ablation)?),
        };
        let found = Workers::new(self.threads).map(examples, |example| {
            let row = Tensor::<1, Int>::from_data([example as i64], &network.device());
            let own = AtPositions::new(network, asked.select(row.clone()));
            let side = match (&shared, ablation) {
                (Some(shared), _) => shared.clone(),
                (None, Ablation::Resample(corrupt)) => {
                    let corrupt = Ablation::Resample(corrupt.select(row.clone()));
                    Diverging::new(&own, circuit, &corrupt)?
                }
                (None, ablation) => Diverging::new(&own, circuit, ablation)?,
            };
            let clean = pair.clean().select(row.clone());
            let corrupt = pair.corrupt().select(row);
            let example = example as u64;
            let found = match &clean {
                Input::Real(_) => self.one(&side, example, clean, &corrupt)?,
                // A site is as long as the text.
                Input::Tokens(tokens) => {
                    let sized = OfLength::new(&side, tokens.dims()[1])?;
                    self.one(&sized, example, clean, &corrupt)?
                }
            };
            let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            bar.at(done, String::new);
            anyhow::Ok(found)
        })?;
        let mut worst = Worst::default();
        for [clean, corrupt, random, attacked] in found {
            worst.clean.push(clean);
            worst.corrupt.push(corrupt);
            worst.random.push(random);
            worst.attacked.push(attacked);
        }
        Ok(worst)
    }

    /// The divergence of one example: clean, corrupt, at the worst random point, at the worst of all.
    fn one(
        &self,
        side: &dyn Model,
        example: u64,
        clean: Input,
        corrupt: &Input,
    ) -> Result<[f32; 4]> {
        // Its only logit is the divergence, which no criterion stops.
        let (goal, meter) = (
            Goal::Criterion(std::sync::Arc::new(Never)),
            Meter::default(),
        );
        let labels = Labels::of_classes(&[0], &side.device());
        let at_corrupt = floats(side.logits(corrupt))[0];
        let examples = vec![example];
        let given = (clean, labels);
        let victim = Victim::new(side, self.threat, &goal, given, examples, self.seed, &meter);
        let origin = victim.origin().clone();
        let at = |point: &Tensor<2>| floats(victim.logits(point))[0];
        let at_clean = at(&origin);
        let mut at_random = f32::NEG_INFINITY;
        for step in 0..DRAWS {
            let draw = Draw {
                seed: self.seed,
                attack: "random",
                restart: 0,
                step,
            };
            let point = self.threat.random_point(draw, &[example], &origin);
            at_random = at_random.max(at(&point));
        }
        let proposed = self.attack.run_on(&victim, &Divergence)?;
        let attacked = at(&self.threat.project(&origin, proposed));
        let found = [at_clean, at_corrupt, at_random, attacked.max(at_clean)];
        if let Some(value) = found.iter().find(|value| !value.is_finite()) {
            bail!(
                "example {example}: the divergence is {value} in the ball; are all activations finite?"
            );
        }
        Ok(found)
    }
}
