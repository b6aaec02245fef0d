//! Pure decisions: a value in, a value out; the hooks and the launcher carry them out.

pub mod exec;
