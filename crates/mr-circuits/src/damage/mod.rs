//! What an attack does inside a network: the change of an objective, split over parts, and what patching
//! parts back to clean restores.

mod edges;
mod front;
mod integrate;
mod restore;
mod split;

pub use edges::{EdgeDamage, edge_damage, restore_edges};
pub use front::{Front, Part};
pub use integrate::Integration;
pub(crate) use integrate::{integrate, moved};
pub use restore::{Orders, Restored, restore, restore_own};
pub use split::{Damage, damage};

#[cfg(test)]
mod tests;
