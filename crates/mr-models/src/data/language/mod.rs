//! Sequences of tokens: text, and tasks of language with a known answer.

mod acronyms;
mod addition;
mod brackets;
mod draw;
mod greater_than;
mod indirect_object;
mod parity;
mod prompts;
mod repeated;
mod sequences;
mod source;
mod task;
mod text;

pub use addition::ModularAddition;
pub use brackets::Brackets;
pub use indirect_object::{Counterfactual, IndirectObject};
pub use parity::Parity;
pub use prompts::Prompts;
pub use repeated::Repeated;
pub use sequences::Sequences;
pub use source::{
    SEQUENCE_NAMES, load_prompts, load_sequences, load_sequences_from, tokenizer, tokenizer_from,
};
pub use task::{Prompt, Task};
