//! The lettered guarantees as values, and what each backend can give.

/// One of the guarantees that the [registry](super) states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Guarantee {
    A,
    B,
    C,
    D,
    E,
    F,
    G,
    H,
    I,
    J,
}

/// What a backend lacks, each letter with the reason; it gives all the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guarantees {
    /// The missing ones.
    pub missing: &'static [(Guarantee, &'static str)],
}

impl Guarantees {
    /// Every guarantee.
    pub const ALL: Guarantees = Guarantees { missing: &[] };

    /// Says whether `letter` is given.
    pub fn has(self, letter: Guarantee) -> bool {
        self.missing.iter().all(|(missing, _)| *missing != letter)
    }
}

/// The name and the guarantees that a registry over this domain has.
pub trait Backend {
    /// What `epochsocks --registry` takes.
    const NAME: &'static str;
    /// What it gives.
    const GUARANTEES: Guarantees;
}
