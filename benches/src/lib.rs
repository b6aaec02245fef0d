//! Measures the registry's backends and the preload library, and their peers.
//!
//! | module | what it is for |
//! | --- | --- |
//! | [`measure`] | the measuring code, and nothing that it measures: clocks, interleaved rounds, statistics, results |
//! | [`registry`] | the backends and their external peers, and what they are made to do |
//! | [`preload`] | processes under our library, torsocks and proxychains4 |
//! | [`scale`] | a cost model by threads, and a simulation that it is held against |
//! | [`report`] | results in; tables, plots and one HTML page out |
//!
//! README.md next to this says how to run it all and how to add a backend or a workload.

pub mod measure;
pub mod preload;
pub mod registry;
pub mod report;
pub mod scale;
