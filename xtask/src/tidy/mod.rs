//! `cargo xtask tidy`: what the compiler and clippy do not check.

mod check;
mod files;
mod source;

pub(crate) use check::run;
