//! The proofs that run: every backend against the sequential model, against signal handlers at every
//! instruction boundary, and against running out of claims. design/proofs.md says what is proved by
//! what; `EPOCHSOCKS_PROOFS=long` runs the long forms.

#[macro_use]
mod subject;
mod claims;
mod flat;
#[cfg(target_arch = "x86_64")]
mod guarantees;
#[cfg(target_arch = "x86_64")]
mod injection;
mod linearizability;
mod model;
mod planted;

/// Tells whether the long forms were asked for.
fn long() -> bool {
    std::env::var_os("EPOCHSOCKS_PROOFS").is_some_and(|form| form == "long")
}
