//! Counting passes.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::evaluation::Counts;

/// Counts forward and backward passes, in examples, over all threads.
#[derive(Debug, Default)]
pub struct Meter {
    pub(crate) forwards: AtomicU64,
    pub(crate) backwards: AtomicU64,
    pub(crate) not_finite: AtomicU64,
}

impl Meter {
    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        Counts {
            forwards: self.forwards.load(Ordering::Relaxed),
            backwards: self.backwards.load(Ordering::Relaxed),
            not_finite: self.not_finite.load(Ordering::Relaxed),
        }
    }
}
