//! The registry's backends and their external peers, and what they are made to do.
//!
//! - [`subject`]: what a registry can do here, from whichever library; [`measured`]: one of any kind
//! - [`backends`]: one file a registry
//! - [`workloads`]: one file a workload
//! - [`throughput`], [`latency`], [`garbage`], [`fork`], [`signals`]: the experiments

pub mod backends;
pub mod fork;
pub mod garbage;
pub mod latency;
pub mod measured;
pub mod signals;
pub mod subject;
pub mod throughput;
pub mod workloads;
