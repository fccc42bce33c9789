//! Laws of the whole workspace.
