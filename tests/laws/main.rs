//! Laws of the whole workspace, each module one idea.

mod apgd;
mod company;
mod edits;
mod evaluation;
mod files;
mod golden;
mod gradients;
mod hooks;
mod hugging_face;
mod journal;
mod lenses;
mod masking;
mod nets;
mod odd_inputs;
mod patching;
mod scores;
mod shortcut;
mod square;
mod stages;
mod threats;
mod tiny;
mod training;
mod transformers;
mod windowed;
