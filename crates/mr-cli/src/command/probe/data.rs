//! What probes are fitted on: images with classes, or prompts with answers.

use anyhow::{Result, bail};
use burn::tensor::{Device, Int, Tensor};
use mr_circuits::Positions;
use mr_models::data::{Dataset, Prompts, load, load_prompts};
use mr_models::{Input, Model, ModelError};

use crate::opened::Examples;
use crate::settings::{ProbeSettings, ReadOut, Settings};
use crate::subject::Subject;

/// Examples with something to read in them.
#[derive(Debug)]
pub(super) enum Probed {
    Images(Dataset),
    Prompts(Prompts),
}

/// What each example is to be read as, and the names of that.
pub(super) type Labels = (Vec<usize>, Vec<String>);

impl Probed {
    pub(super) fn load(settings: &Settings, subject: &Subject) -> Result<Self> {
        if settings.data.is_sequences() {
            let prompts = load_prompts(&settings.data, settings.split)?;
            let found = Self::Prompts(prompts);
            let first = found.input(&[0], &subject.network.device());
            subject.network.spec().accepts(&first)?;
            return Ok(found);
        }
        let data = load(&settings.data, settings.split)?;
        subject.takes(&data)?;
        Ok(Self::Images(data))
    }

    pub(super) fn prompts(&self) -> Option<&Prompts> {
        match self {
            Self::Images(_) => None,
            Self::Prompts(prompts) => Some(prompts),
        }
    }

    /// The batch of these examples.
    pub(super) fn input(&self, rows: &[usize], device: &Device) -> Input {
        match self {
            Self::Images(data) => data.input(rows, device),
            Self::Prompts(prompts) => {
                let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
                let rows = Tensor::<1, Int>::from_data(rows.as_slice(), device);
                prompts.clean(device).select(rows)
            }
        }
    }

    /// What of a site is a sample where nothing says so: of a prompt the last position, after which its
    /// answer stands.
    pub(super) fn positions(&self) -> Positions {
        match self {
            Self::Images(_) => Positions::Mean,
            Self::Prompts(_) => Positions::Last,
        }
    }

    /// The values of every example and how many each has: pixels, or which token stands where.
    pub(super) fn values(&self) -> (Vec<f32>, usize) {
        match self {
            Self::Images(data) => {
                let values = (0..data.len()).flat_map(|row| data.image(row)).collect();
                (values, data.shape().iter().product())
            }
            Self::Prompts(prompts) => {
                let vocabulary = prompts.token_names().len();
                let all = prompts.prompts().iter();
                let mut values = vec![0.0; all.len() * prompts.positions() * vocabulary];
                for (at, &token) in all.flat_map(|prompt| &prompt.clean).enumerate() {
                    values[at * vocabulary + token] = 1.0;
                }
                (values, prompts.positions() * vocabulary)
            }
        }
    }

    /// The class of each example; of prompts those answers that occur, in the order of the vocabulary.
    pub(super) fn classes(&self) -> Labels {
        match self {
            Self::Images(data) => (data.labels().to_vec(), data.class_names().to_vec()),
            Self::Prompts(prompts) => {
                let answers: Vec<usize> = prompts.prompts().iter().map(|one| one.answer).collect();
                let mut occurring = answers.clone();
                occurring.sort_unstable();
                occurring.dedup();
                let number = |answer| occurring.partition_point(|&other| other < answer);
                let labels = answers.into_iter().map(number).collect();
                let names = occurring
                    .iter()
                    .map(|&token| prompts.token_names()[token].clone());
                (labels, names.collect())
            }
        }
    }

    /// The classes, or the concept that the settings name against the rest.
    pub(super) fn task(&self, settings: &ProbeSettings) -> Result<Labels> {
        let (labels, names) = self.classes();
        if settings.concept.is_empty() {
            if settings.kind == ReadOut::Cav {
                bail!(
                    "a concept activation vector is of a concept: name its classes with --concept, such \
                     as --concept {}",
                    names[0]
                );
            }
            return Ok((labels, names));
        }
        let class = |wanted: &String| -> Result<usize> {
            let found = names.iter().position(|name| name == wanted);
            let by_number = || {
                wanted
                    .parse()
                    .ok()
                    .filter(|&class: &usize| class < names.len())
            };
            if let Some(class) = found.or_else(by_number) {
                return Ok(class);
            }
            let valid = names.iter().map(String::as_str);
            Err(ModelError::unknown("class", wanted, valid).into())
        };
        let classes: Vec<usize> = settings.concept.iter().map(class).collect::<Result<_>>()?;
        let is = |label: &usize| usize::from(classes.contains(label));
        let labels: Vec<usize> = labels.iter().map(is).collect();
        let held = labels.iter().sum::<usize>();
        if held == 0 || held == labels.len() {
            bail!(
                "{held} of {} examples are of the concept: a probe needs both kinds",
                labels.len()
            );
        }
        let concept: Vec<&str> = classes.iter().map(|&class| names[class].as_str()).collect();
        Ok((labels, vec!["the rest".into(), concept.join(" or ")]))
    }
}

impl Examples for Probed {
    fn name(&self) -> &str {
        match self {
            Self::Images(data) => data.name(),
            Self::Prompts(prompts) => prompts.name(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Images(data) => data.len(),
            Self::Prompts(prompts) => prompts.len(),
        }
    }
}
