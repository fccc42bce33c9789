//! Laws of the whole workspace, each module one idea.

mod apgd;
mod company;
mod edits;
mod evaluation;
mod files;
mod golden;
mod gradients;
mod hooks;
mod journal;
mod masking;
mod nets;
mod odd_inputs;
mod shortcut;
mod square;
mod threats;
mod tiny;
mod training;
mod windowed;
