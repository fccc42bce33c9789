//! A run on a network: what every command opens alike before its own work, and ends alike after it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mr_attacks::ThreatModel;
use mr_metrics::{ExperimentRecord, RecordKind};
use mr_models::data::{Dataset, Sequences, load};
use mr_models::{Network, write_atomic};
use serde_json::{Value, json};

use crate::console::{Console, Outcome};
use crate::device::NamedDevice;
use crate::layout::{Listing, plural};
use crate::output::{Output, draft};
use crate::settings::{Common, Layers, RunFlags, Settings};
use crate::subject::{self, NetworkFlags, Subject, SubjectFlags, json};

/// What a command looks at, and how.
#[derive(Debug)]
pub(crate) struct Opened<D = Dataset> {
    pub(crate) subject: Subject,
    pub(crate) data: D,
    pub(crate) settings: Settings,
    pub(crate) device: NamedDevice,
    /// What bare weights are the weights of.
    arch: Option<String>,
    overwrite: bool,
}

/// Examples that a command looks at.
pub(crate) trait Examples {
    /// What they are called, such as `mnist`.
    fn name(&self) -> &str;

    /// How many there are.
    fn count(&self) -> usize;

    /// What a record says of where they come from.
    fn about(&self, settings: &Settings) -> Result<Value> {
        Ok(json!({ "data": json(&settings.data)?, "split": settings.split }))
    }
}

impl Examples for Sequences {
    fn name(&self) -> &str {
        self.name()
    }

    fn count(&self) -> usize {
        self.len()
    }
}

/// None, of a command that looks at the network alone.
impl Examples for () {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn count(&self) -> usize {
        0
    }

    fn about(&self, _settings: &Settings) -> Result<Value> {
        Ok(json!({}))
    }
}

impl Examples for Dataset {
    fn name(&self) -> &str {
        self.name()
    }

    fn count(&self) -> usize {
        self.len()
    }
}

impl Opened {
    /// Reads the settings, loads network and data, and finds out whether they fit. `own` puts the
    /// flags of the command itself over the settings.
    pub(crate) fn of(
        on: &SubjectFlags,
        running: &RunFlags,
        own: impl FnOnce(&mut Layers) -> Result<()>,
    ) -> Result<Self> {
        Self::with(on, running, own, |settings, subject| {
            if settings.data.is_sequences() {
                bail!(
                    "`{}` holds sequences of tokens, and this command looks at images or vectors; networks of \
                     language are looked at by mr eval, probe, lens, circuit, sae and generate",
                    settings.data.name
                );
            }
            let data = load(&settings.data, settings.split)?;
            subject.takes(&data)?;
            Ok(data)
        })
    }

    /// The threat, of a command that cannot do without.
    pub(crate) fn threat(&self) -> Result<&ThreatModel> {
        let threat = self.settings.threat.as_ref();
        threat.context("no threat: give --epsilon (and --norm), or a [threat] table")
    }

    /// `net on mnist (9 examples), Linf 0.1 at the input`.
    pub(crate) fn title_under(&self, threat: &ThreatModel) -> String {
        format!(
            "{}, {} {} at the {}",
            self.title(),
            threat.norm,
            threat.epsilon,
            threat.place
        )
    }
}

impl<D: Examples> Opened<D> {
    /// As [`of`](Opened::of), with examples that `load` brings, of which it finds out whether the network
    /// takes them.
    pub(crate) fn with(
        on: &SubjectFlags,
        running: &RunFlags,
        own: impl FnOnce(&mut Layers) -> Result<()>,
        load: impl FnOnce(&Settings, &Subject) -> Result<D>,
    ) -> Result<Self> {
        let mut layers = running.layers()?;
        on.data.apply(&mut layers)?;
        own(&mut layers)?;
        Self::over((&on.network, &on.defence), layers, &running.common, load)
    }

    /// A network alone, without defences, and the examples that `load` brings, if any.
    pub(crate) fn network(
        on: &NetworkFlags,
        common: &Common,
        own: impl FnOnce(&mut Layers) -> Result<()>,
        load: impl FnOnce(&Settings, &Subject) -> Result<D>,
    ) -> Result<Self> {
        let mut layers = common.layers()?;
        own(&mut layers)?;
        let opened = Self::over((on, &[]), layers, common, load)?;
        opened.subject.undefended("this command")?;
        Ok(opened)
    }

    fn over(
        (network, defence): (&NetworkFlags, &[String]),
        mut layers: Layers,
        common: &Common,
        load: impl FnOnce(&Settings, &Subject) -> Result<D>,
    ) -> Result<Self> {
        let (subject, device) = Subject::open(network, defence, &mut layers)?;
        let settings = Settings::of(layers)?;
        let data = load(&settings, &subject)?;
        Ok(Self {
            subject,
            data,
            settings,
            device,
            arch: network.arch.clone(),
            overwrite: common.overwrite,
        })
    }

    /// The same with other examples, and those that it had.
    pub(crate) fn put<E>(self, data: E) -> (D, Opened<E>) {
        let opened = Opened {
            subject: self.subject,
            data,
            settings: self.settings,
            device: self.device,
            arch: self.arch,
            overwrite: self.overwrite,
        };
        (self.data, opened)
    }

    /// Another network, if a flag names one: of the same architecture where its file does not say.
    pub(crate) fn other(&self, flag: &str, path: Option<&PathBuf>) -> Result<Option<Network>> {
        let Some(path) = path else {
            return Ok(None);
        };
        let table = self.settings.model.as_ref();
        let load = || {
            let file = subject::locate(path)?;
            subject::load(&file, self.arch.as_deref(), table, &self.device.device)
        };
        Ok(Some(load().with_context(|| flag.to_string())?.network))
    }

    /// Refuses a network without classes.
    pub(crate) fn classifies(&self) -> Result<()> {
        if self.subject.is_autoencoder() {
            bail!(
                "{}: an autoencoder classifies nothing; `mr measure` has the attack on it",
                self.subject.path
            );
        }
        Ok(())
    }

    /// `net on mnist (9 examples)`.
    pub(crate) fn title(&self) -> String {
        format!(
            "{} on {} ({})",
            self.subject.title(),
            self.data.name(),
            plural(self.data.count(), "example")
        )
    }

    /// Drafts the record of a run and opens its folder. `own` is what its settings have besides data
    /// and network.
    pub(crate) fn begin(&self, kind: RecordKind, own: Value) -> Result<Begun<'_>> {
        let settings = &self.settings;
        let mut config = json!({ "trained": self.subject.trained });
        for part in [self.data.about(settings)?, own] {
            if let (Value::Object(config), Value::Object(part)) = (&mut config, part) {
                config.extend(part);
            }
        }
        let seed = settings.seed.unwrap_or(0);
        let name = settings.name.as_deref();
        let record = draft(kind, name, config, seed, &self.device.name);
        let output = match &settings.out {
            Some(folder) => Some(Output::open(folder, &record, self.overwrite)?),
            None => None,
        };
        Ok(Begun {
            settings,
            count: self.data.count(),
            record,
            output,
            started: Instant::now(),
        })
    }
}

/// A run under way: what it is to write can be written.
#[derive(Debug)]
pub(crate) struct Begun<'a> {
    settings: &'a Settings,
    /// Number of examples.
    count: usize,
    pub(crate) record: ExperimentRecord,
    pub(crate) output: Option<Output>,
    started: Instant,
}

/// What came out, besides what the record holds.
#[derive(Debug)]
pub(crate) struct Told {
    /// For a person.
    pub(crate) listing: Listing,
    /// The same of each example, if that is asked for.
    pub(crate) examples: Option<Listing>,
    /// For a program.
    pub(crate) object: Value,
}

impl Begun<'_> {
    /// The record for a program, and of how many examples it is.
    pub(crate) fn object(&self) -> Value {
        let mut object = self.record.to_json();
        object["n"] = self.count.into();
        object
    }

    /// Puts a plot beside the record, and into the file of `--plot`.
    pub(crate) fn draw(&mut self, name: &str, svg: &str, plot: Option<&PathBuf>) -> Result<()> {
        if let Some(path) = plot {
            write_atomic(path, svg.as_bytes())
                .with_context(|| format!("--plot {}", path.display()))?;
        }
        self.keep("plot", name, svg.as_bytes())
    }

    /// Puts a file beside the record, which knows it as `what`.
    pub(crate) fn keep(&mut self, what: &str, name: &str, bytes: &[u8]) -> Result<()> {
        self.keep_by(what, name, |path| Ok(write_atomic(path, bytes)?))
    }

    /// The same of what writes its file itself.
    pub(crate) fn keep_by(
        &mut self,
        what: &str,
        name: &str,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        if let Some(output) = &self.output {
            write(&output.path(name))?;
            self.record.artifacts.insert(what.into(), name.into());
        }
        Ok(())
    }

    /// Writes the record, and says what came out and how long it took.
    pub(crate) fn finish(&self, told: Told, console: &Console) -> Result<Outcome> {
        let Told {
            mut listing,
            examples,
            mut object,
        } = told;
        let seconds = self.started.elapsed().as_secs_f64();
        listing.line("time", format!("{seconds:.1} s"));
        object["seconds"] = seconds.into();
        if let Some(output) = &self.output {
            output.write(&self.record)?;
            object["out"] = json!(self.settings.out);
        }
        console.say(listing);
        if let Some(examples) = examples {
            console.say(examples);
        }
        for warning in &self.record.warnings {
            console.warn(warning);
        }
        console.object(&object)?;
        Ok(Outcome::Done)
    }
}
