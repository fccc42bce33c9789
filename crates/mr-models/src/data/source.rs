//! Which data set is meant, and getting it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cache::DataCache;
use super::dataset::{Dataset, numbered};
use super::embedded::FASHION_CLASSES;
use super::error::DataError;
use super::language::{Counterfactual, SEQUENCE_NAMES};
use super::parity::SparseParity;
use super::sparse::{SparseFeatures, Teacher};
use super::{cifar, digits, embedded, idx};
use crate::error::hint;

/// The names that [`DataConfig::name`] may have.
pub const DATA_NAMES: [&str; 8] = [
    "fashion-mnist-mini",
    "fashion-mnist",
    "mnist",
    "cifar10",
    "digits",
    "sparse-features",
    "sparse-parity",
    "idx",
];

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// What models are trained on.
    Train,
    /// What they are judged on.
    #[default]
    Test,
}

/// A data set, as a configuration file names it.
///
/// Every field has a default; `name = "mnist"` alone is a whole configuration. A setting that the
/// named data set has no use for is not read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// One of [`DATA_NAMES`], or of [`SEQUENCE_NAMES`] for tokens; the default is the embedded
    /// `fashion-mnist-mini`.
    pub name: String,
    /// Only the first so many examples of each split. Synthetic data has as many as asked for,
    /// otherwise 10,000 for training and 2,000 for testing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only these classes, relabelled 0, 1, ... in this order. They are picked before `limit`
    /// counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<usize>>,
    /// `sparse-features`: length of a feature vector.
    pub features: usize,
    /// `sparse-features`: probability 1 - S that a feature is on.
    pub density: f32,
    /// `sparse-features`: classes of the random linear teacher that labels.
    pub teacher_classes: usize,
    /// `sparse-parity`: number of tasks.
    pub tasks: usize,
    /// `sparse-parity`: bits of each task.
    pub bits: usize,
    /// `sparse-features`, `sparse-parity` and tasks of language: what examples are drawn from.
    pub seed: u64,
    /// `idx`: the images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// `idx`: the labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// `idx`: the images of the test split; without them it is that of `images`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_images: Option<PathBuf>,
    /// `idx`: the labels of the test split; without them it is that of `labels`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_labels: Option<PathBuf>,
    /// `repeated`, `brackets`, `parity` and text: tokens that a model reads; 32 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<usize>,
    /// `repeated`, `modular-addition`: number of different tokens; 64 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<usize>,
    /// `indirect-object`: what the corrupt prompt is; `abc` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counterfactual: Option<Counterfactual>,
    /// `text`: a file of text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<PathBuf>,
    /// `shakespeare`, `text`: a `tokenizer.json`; without it each character is a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            name: "fashion-mnist-mini".into(),
            limit: None,
            classes: None,
            features: 50,
            density: 0.1,
            teacher_classes: 10,
            tasks: 3,
            bits: 4,
            seed: 0,
            images: None,
            labels: None,
            test_images: None,
            test_labels: None,
            context: None,
            vocabulary: None,
            counterfactual: None,
            text: None,
            tokenizer: None,
        }
    }
}

impl DataConfig {
    /// The data set of this name, all else by default.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The stream of feature vectors that the settings describe; its training split is stream 0.
    ///
    /// # Errors
    /// [`DataError::Setting`] for a setting outside its range.
    pub fn sparse_features(&self) -> Result<SparseFeatures, DataError> {
        SparseFeatures::new(self.features, self.density, self.seed)
    }
}

/// Reads or draws a split of a data set; fetched data is looked for in
/// [the platform's place](DataCache::platform).
///
/// # Errors
/// An unknown name, settings outside their range, data that has not been fetched (the error says
/// what to run), damaged files.
pub fn load(config: &DataConfig, split: Split) -> Result<Dataset, DataError> {
    load_with(config, split, &DataCache::platform)
}

/// Like [`load`], with the cache in a given place.
///
/// # Errors
/// Those of [`load`].
pub fn load_from(
    config: &DataConfig,
    split: Split,
    cache: &DataCache,
) -> Result<Dataset, DataError> {
    load_with(config, split, &|| Ok(cache.clone()))
}

/// The cache is asked for only by data that lies there.
type FindCache<'a> = &'a dyn Fn() -> Result<DataCache, DataError>;

fn load_with(
    config: &DataConfig,
    split: Split,
    cache: FindCache<'_>,
) -> Result<Dataset, DataError> {
    if config.limit == Some(0) {
        return Err(DataError::setting("limit", 0, "at least 1"));
    }
    let whole = read(config, split, cache)?;
    let picked = match &config.classes {
        Some(classes) => whole.only_classes(classes)?,
        None => whole,
    };
    match config.limit {
        Some(limit) if limit < picked.len() => picked.take(limit),
        _ => Ok(picked),
    }
}

fn read(config: &DataConfig, split: Split, cache: FindCache<'_>) -> Result<Dataset, DataError> {
    let stream = match split {
        Split::Train => 0,
        Split::Test => 1,
    };
    let count = config.limit.unwrap_or(match split {
        Split::Train => 10_000,
        Split::Test => 2_000,
    });
    match config.name.as_str() {
        "fashion-mnist-mini" => embedded::fashion_mnist(split),
        "fashion-mnist" => {
            let names = FASHION_CLASSES.map(String::from).to_vec();
            fetched_idx(&cache()?, "fashion-mnist", ".gz", split, names)
        }
        "mnist" => fetched_idx(&cache()?, "mnist", "", split, numbered(10)),
        "cifar10" => {
            // The first file that a split needs stands for all: a fetch brings them together.
            let first = match split {
                Split::Train => "data_batch_1.png",
                Split::Test => "test_batch.png",
            };
            let cache = cache()?;
            cache.file("cifar10", first)?;
            let limit = config.limit.filter(|_| config.classes.is_none());
            cifar::read(&cache.folder("cifar10"), split, limit)
        }
        "digits" => digits::read(&cache()?.file("digits", "digits.xy")?, split),
        "sparse-features" => {
            let teacher = Teacher::new(config.features, config.teacher_classes, config.seed)?;
            let features = config.sparse_features()?;
            features.stream(stream).dataset(count, &teacher)
        }
        "sparse-parity" => SparseParity::new(config.tasks, config.bits, config.seed)?
            .stream(stream)
            .dataset(count),
        "idx" => given_idx(config, split),
        name if SEQUENCE_NAMES.contains(&name) => Err(DataError::Tokens { name: name.into() }),
        name => Err(DataError::Unknown {
            what: "data set",
            name: name.into(),
            hint: hint(name, DATA_NAMES.into_iter().chain(SEQUENCE_NAMES)),
        }),
    }
}

fn fetched_idx(
    cache: &DataCache,
    name: &str,
    ending: &str,
    split: Split,
    class_names: Vec<String>,
) -> Result<Dataset, DataError> {
    let part = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let images = cache.file(name, &format!("{part}-images-idx3-ubyte{ending}"))?;
    let labels = cache.file(name, &format!("{part}-labels-idx1-ubyte{ending}"))?;
    idx::read(name, &images, &labels, Some(class_names))
}

fn given_idx(config: &DataConfig, split: Split) -> Result<Dataset, DataError> {
    let given = |test: &Option<PathBuf>, both: &Option<PathBuf>, what: &str| {
        let path = match split {
            Split::Test => test.as_ref().or(both.as_ref()),
            Split::Train => both.as_ref(),
        };
        path.cloned().ok_or_else(|| {
            DataError::setting(what, "not set", "the path of an IDX file for `idx` data")
        })
    };
    let images = given(&config.test_images, &config.images, "images")?;
    let labels = given(&config.test_labels, &config.labels, "labels")?;
    idx::read("idx", &images, &labels, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> DataCache {
        DataCache::at("no-such-folder")
    }

    fn said(config: &DataConfig) -> String {
        load_from(config, Split::Test, &nowhere())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_default_needs_no_network() {
        let data = load_from(&DataConfig::default(), Split::Test, &nowhere()).unwrap();
        assert_eq!((data.name(), data.len()), ("fashion-mnist-mini", 2_000));
        assert_eq!(data.class_names()[9], "Ankle boot");
    }

    #[test]
    fn classes_are_picked_before_the_limit_counts() {
        let config = DataConfig {
            classes: Some(vec![9, 1]),
            limit: Some(250),
            ..DataConfig::default()
        };
        let data = load_from(&config, Split::Test, &nowhere()).unwrap();
        assert_eq!((data.len(), data.classes()), (250, 2));
        assert_eq!(
            data.labels()[..3],
            [0, 1, 1],
            "the full labels are 9, 2, 1, 1"
        );
    }

    #[test]
    fn synthetic_splits_differ_and_have_the_size_asked_for() {
        for name in ["sparse-features", "sparse-parity"] {
            let mut config = DataConfig::named(name);
            let sizes = [Split::Train, Split::Test]
                .map(|split| load_from(&config, split, &nowhere()).unwrap().len());
            assert_eq!(sizes, [10_000, 2_000]);
            config.limit = Some(20_000);
            let train = load_from(&config, Split::Train, &nowhere()).unwrap();
            let test = load_from(&config, Split::Test, &nowhere()).unwrap();
            assert_eq!((train.len(), test.len()), (20_000, 20_000));
            assert_ne!(train.labels(), test.labels());
        }
    }

    #[test]
    fn data_that_is_not_there_says_what_to_run() {
        for name in ["mnist", "fashion-mnist", "cifar10", "digits"] {
            let said = said(&DataConfig::named(name));
            let run = format!("`mr data fetch {name}` brings it");
            assert!(said.ends_with(&run), "{said}");
        }
    }

    #[test]
    fn unknown_names_and_bad_settings_are_refused() {
        assert_eq!(
            said(&DataConfig::named("mnits")),
            "unknown data set `mnits`; did you mean mnist?"
        );
        let none = DataConfig {
            limit: Some(0),
            ..DataConfig::default()
        };
        assert_eq!(said(&none), "limit is 0, must be at least 1");
        assert_eq!(
            said(&DataConfig::named("idx")),
            "images is not set, must be the path of an IDX file for `idx` data"
        );
        let negative = DataConfig {
            density: -1.0,
            ..DataConfig::named("sparse-features")
        };
        assert!(said(&negative).starts_with("density is -1"));
    }

    #[test]
    fn given_files_serve_both_splits_unless_test_files_are_given() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            Some(path)
        };
        let mut config = DataConfig {
            images: write("images", &[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 255]),
            labels: write("labels", &[0, 0, 8, 1, 0, 0, 0, 2, 1, 0]),
            ..DataConfig::named("idx")
        };
        let test = load_from(&config, Split::Test, &nowhere()).unwrap();
        assert_eq!((test.labels(), test.classes()), (&[1, 0][..], 2));
        config.test_images = write("t-images", &[0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 1, 51]);
        config.test_labels = write("t-labels", &[0, 0, 8, 1, 0, 0, 0, 1, 0]);
        let test = load_from(&config, Split::Test, &nowhere()).unwrap();
        assert_eq!(test.image(0), [0.2]);
        let train = load_from(&config, Split::Train, &nowhere()).unwrap();
        assert_eq!(train.len(), 2);
    }

    #[test]
    fn configurations_are_strict_and_round_trip() {
        let config: DataConfig = serde_json::from_str(r#"{"name": "mnist"}"#).unwrap();
        assert_eq!(config, DataConfig::named("mnist"));
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<DataConfig>(&text).unwrap(), config);
        let error = serde_json::from_str::<DataConfig>(r#"{"nmae": "mnist"}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `nmae`"));
    }
}
