//! A dictionary at its place in a network.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::Tensor;
use clap::Args;
use mr_models::{Input, Model, ModelError, Network, run_with_cache};
use mr_sae::{Arrangement, Dictionary, Sae, samples};

use super::held;
use crate::report::natural;
use crate::subject::digest;

/// Values of codes that are held at a time.
const HELD: usize = 1 << 22;

/// Flags that say where a dictionary belongs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dictionary")]
pub(in crate::command) struct PlaceFlags {
    /// The site that it reads [default: the one that it was fitted to]
    #[arg(long, value_name = "SITE")]
    pub(in crate::command) site: Option<String>,
    /// Take a dictionary that was fitted to other weights
    #[arg(long)]
    transfer: bool,
}

/// Flags that name one dictionary.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dictionary")]
pub(super) struct OneFlags {
    /// The dictionary: a file, or a folder that `mr sae train`, SAELens or sparsify made
    #[arg(long, value_name = "FILE|DIR")]
    pub(super) dictionary: PathBuf,
    #[command(flatten)]
    pub(super) place: PlaceFlags,
}

impl OneFlags {
    /// Opens it at its place in the network.
    pub(super) fn place<'a>(&self, network: &'a Network) -> Result<Placed<'a>> {
        self.place.place(network, &self.dictionary)
    }
}

/// Flags that name one dictionary or several.
#[derive(Debug, Args)]
#[command(next_help_heading = "Dictionary")]
pub(in crate::command) struct ManyFlags {
    /// A dictionary: a file, or a folder that `mr sae train`, SAELens or sparsify made; may be repeated
    #[arg(long, value_name = "FILE|DIR", required = true)]
    pub(in crate::command) dictionary: Vec<PathBuf>,
    #[command(flatten)]
    pub(in crate::command) place: PlaceFlags,
}

impl ManyFlags {
    /// Their files, of which a folder may hold several.
    pub(in crate::command) fn paths(&self) -> Result<Vec<PathBuf>> {
        let paths = expanded(&self.dictionary)?;
        if paths.is_empty() {
            bail!("--dictionary: there is none in this folder");
        }
        Ok(paths)
    }
}

/// A dictionary, and what of a network it reads and writes.
pub(in crate::command) struct Placed<'a> {
    pub(in crate::command) network: &'a Network,
    /// The second network of a crosscoder of two, which is read at the same sites.
    pub(in crate::command) other: Option<&'a Network>,
    pub(in crate::command) sae: Sae,
    /// The sites that it reads, one after the other.
    pub(in crate::command) reads: Vec<String>,
    /// The site that it writes.
    pub(in crate::command) writes: String,
    /// What it is called.
    pub(in crate::command) name: String,
}

/// What passed, as samples.
pub(super) struct Passed {
    /// What is read, `[sample, channel]`.
    pub(super) x: Tensor<2>,
    /// What is to be written.
    pub(super) target: Tensor<2>,
}

impl PlaceFlags {
    /// Opens a dictionary and finds out whether it belongs to the network.
    pub(in crate::command) fn place<'a>(
        &self,
        network: &'a Network,
        path: &Path,
    ) -> Result<Placed<'a>> {
        let placed = self.place_in(network, None, path)?;
        placed.with_context(|| {
            format!(
                "--dictionary {}: a crosscoder of two networks has no place in one; `mr sae eval --other` judges it",
                path.display()
            )
        })
    }

    /// The same, between two networks if it is a crosscoder of two; none if that is one and there is no second network.
    pub(in crate::command) fn place_in<'a>(
        &self,
        network: &'a Network,
        other: Option<&'a Network>,
        path: &Path,
    ) -> Result<Option<Placed<'a>>> {
        let shown = path.display();
        let opened = held::open(path, &network.device()).context("--dictionary")?;
        let about = &opened.about;
        let Some(named) = self.site.as_deref().or(held::site(about)) else {
            bail!("--dictionary {shown}: it does not say which site it reads: name it with --site");
        };
        let spec = network.spec();
        let mut reads = vec![
            spec.resolve(named)
                .context("the dictionary's site")?
                .name
                .clone(),
        ];
        if let (None, Some(sites)) = (&self.site, about.get("sites").and_then(|s| s.as_array())) {
            let sites = sites.iter().filter_map(|site| site.as_str());
            let sites = sites.map(|site| spec.site(site).map(|site| site.name.clone()));
            reads = sites.collect::<Result<_, ModelError>>()?;
        }
        let config = opened.sae.config();
        let theirs = about
            .get("other_weights")
            .and_then(|weights| weights.as_str());
        let other = match (theirs, other) {
            (None, _) => None,
            (Some(_), None) => return Ok(None),
            (Some(weights), Some(other)) => {
                if !self.transfer && weights != digest(other) {
                    bail!(
                        "--dictionary {shown}: its second network has other weights than --other: give that network, or \
                         --transfer"
                    );
                }
                Some(other)
            }
        };
        let mut have = 0;
        for spec in std::iter::once(spec).chain(other.map(Model::spec)) {
            for site in &reads {
                have += spec.site(site)?.channels;
            }
        }
        if have != config.d_in {
            let fitting: Vec<&str> = spec
                .sites
                .iter()
                .filter(|site| site.channels == config.d_in)
                .map(|site| site.name.as_str())
                .take(8)
                .collect();
            let fitting = if fitting.is_empty() {
                "no site of this network has as many".into()
            } else {
                format!("as many have {}", fitting.join(", "))
            };
            bail!(
                "--dictionary {shown}: it reads {} channels, and {} has {have}; {fitting}",
                config.d_in,
                reads.join(" with ")
            );
        }
        let writes = match config.arrangement {
            Arrangement::Transcoder { d_out, .. } => {
                let writes = about.get("writes").and_then(|site| site.as_str());
                let writes = writes.with_context(|| {
                    format!(
                        "--dictionary {shown}: a transcoder that does not say which site it writes"
                    )
                })?;
                let site = spec.resolve(writes)?;
                if site.channels != d_out {
                    bail!(
                        "--dictionary {shown}: it writes {d_out} channels, and {} has {}",
                        site.name,
                        site.channels
                    );
                }
                site.name.clone()
            }
            _ => reads[0].clone(),
        };
        let weights = about.get("weights").and_then(|digest| digest.as_str());
        if let Some(weights) = weights
            && !self.transfer
            && weights != digest(network)
        {
            let of = about.get("model_name").and_then(|name| name.as_str());
            bail!(
                "--dictionary {shown}: it was fitted to other weights ({}): give that network, or --transfer",
                of.unwrap_or("of unknown name")
            );
        }
        let name = about.get("name").and_then(|name| name.as_str());
        Ok(Some(Placed {
            network,
            other,
            name: name.map_or_else(|| shown.to_string(), String::from),
            sae: opened.sae,
            reads,
            writes,
        }))
    }
}

impl Placed<'_> {
    /// Refuses a dictionary of several sites, on behalf of `what`: what its latents miss of an activation is not known at one
    /// of them.
    pub(in crate::command) fn at_one_site(&self, path: &Path, what: &str) -> Result<()> {
        let shown = path.display();
        match self.sae.config().arrangement {
            Arrangement::Transcoder { .. } => bail!(
                "--dictionary {shown}: a transcoder writes {} from {}: {what} follows codes and what they miss at one site; fit \
                 an autoencoder to either with `mr sae train --site`",
                self.writes,
                self.reads[0]
            ),
            Arrangement::Crosscoder { .. } => bail!(
                "--dictionary {shown}: a crosscoder of {}: {what} follows codes and what they miss at one site; fit an \
                 autoencoder to each with `mr sae train --site`, and `mr sae eval` judges the crosscoder",
                self.reads.join(", ")
            ),
            Arrangement::Autoencoder | Arrangement::Tied => Ok(()),
        }
    }

    /// Runs a batch past the sites.
    pub(super) fn pass(&self, input: &Input) -> Result<Passed> {
        let mut sites: Vec<&str> = self.reads.iter().map(String::as_str).collect();
        sites.push(&self.writes);
        let (_, cache) = run_with_cache(self.network, input, &sites)?;
        let of = |site: &str| -> Result<Tensor<2>> { Ok(samples(cache.get(site)?.clone())) };
        let parts = self.reads.iter().map(|site| of(site));
        let mut parts = parts.collect::<Result<Vec<_>>>()?;
        if let Some(other) = self.other {
            let (_, cache) = run_with_cache(other, input, &sites)?;
            for site in &self.reads {
                parts.push(samples(cache.get(site)?.clone()));
            }
        }
        let x = Tensor::cat(parts, 1);
        let target = match self.sae.config().arrangement {
            Arrangement::Transcoder { .. } => of(&self.writes)?,
            _ => x.clone(),
        };
        Ok(Passed { x, target })
    }

    /// Examples that are run at a time, of so many positions each.
    pub(super) fn batch(&self, positions: usize) -> usize {
        (HELD / (positions * self.sae.d_sae()).max(1)).clamp(1, 128)
    }

    /// Where the network reaches what is read.
    pub(super) fn positions(&self, input: &Input) -> Result<usize> {
        let (_, cache) = run_with_cache(self.network, input, &[&self.reads[0]])?;
        Ok(cache.get(&self.reads[0])?.dims()[1])
    }

    /// What a crosscoder reads, part by part: sites of a network, or the same ones of the first and of the second.
    pub(super) fn parts(&self) -> Vec<String> {
        let of = |network: &str| -> Vec<String> {
            match self.reads.as_slice() {
                [_] => vec![network.into()],
                sites => sites
                    .iter()
                    .map(|site| format!("{network}.{site}"))
                    .collect(),
            }
        };
        match self.other {
            None => self.reads.clone(),
            Some(_) => [of("first"), of("second")].concat(),
        }
    }

    /// `top-k-8 at conv2.hook_out`.
    pub(in crate::command) fn title(&self) -> String {
        format!("{} at {}", self.name, self.reads.join(", "))
    }
}

/// The dictionaries of these paths, of which a folder may hold several.
fn expanded(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in paths {
        let is_fitted = path.is_dir() && path.join("fit.svg").is_file();
        if !is_fitted || path.join(held::DICTIONARY).is_file() {
            all.push(path.clone());
            continue;
        }
        let mut files: Vec<PathBuf> = std::fs::read_dir(path)
            .with_context(|| path.display().to_string())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|file| file.extension().is_some_and(|end| end == "safetensors"))
            .filter(|file| {
                file.file_name()
                    .is_some_and(|name| name != mr_train::CHECKPOINT)
            })
            .collect();
        files.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
        all.extend(files);
    }
    Ok(all)
}
