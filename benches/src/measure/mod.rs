//! The measuring code.
//!
//! A comparison is made in *rounds*: each round takes one sample of every subject, in an order that
//! rotates, so that whatever the machine does meanwhile falls on all of them. What is reported is
//! the median of a subject's samples, their quartiles, and the median of the ratios within each
//! round.

pub mod clock;
pub mod latency;
pub mod machine;
pub mod plan;
pub mod processor;
pub mod progress;
pub mod results;
pub mod rounds;
pub mod statistics;
pub mod stepping;
