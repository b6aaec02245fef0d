//! The second lock: the kernel itself lets nothing connect by TCP but to Tor's port (Landlock, Linux 6.7),
//! whatever call asks for it.

use epochsocks::config::{OutboundLocalhost, Settings};
use landlock::{
    AccessNet, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError,
};

/// Tells whether Tor's port is the only one that the program's connections reach, as far as Landlock can tell:
/// it knows ports, and no addresses.
pub fn fits(settings: &Settings) -> bool {
    settings.allow_outbound_localhost == OutboundLocalhost::Never && settings.allow_direct.is_none()
}

/// Lets this process, and so all that it starts, connect to `port` only. It needs that no new privileges are
/// to be had. Errors: what the kernel lacks, or refuses.
pub fn lock(port: u16) -> Result<(), RulesetError> {
    // All or nothing: without rules of ports nothing is left of it.
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessNet::ConnectTcp)?
        .create()?
        .add_rule(NetPort::new(port, AccessNet::ConnectTcp))?
        // No program can listen there: hooks connect a socket to it whose connect has failed, so that the
        // kernel tells of an error.
        .add_rule(NetPort::new(0, AccessNet::ConnectTcp))?;
    ruleset.restrict_self().map(drop)
}

/// Tells whether a lock on `port` forbids what `settings` want to reach.
pub fn forbids(port: u16, settings: &Settings) -> bool {
    !fits(settings) || port != settings.tor_port
}
