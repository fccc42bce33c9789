//! Dictionaries whose codes are mostly zero, computed where they are not.

mod codes;
mod select;
mod step;

pub use codes::Codes;
pub use step::{Revive, Rows, Selection, Step, Terms};
