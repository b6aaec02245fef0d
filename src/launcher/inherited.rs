//! Descriptors that the program does not inherit: network sockets that it could just write to.

use epochsocks::config::Settings;
use epochsocks::inherited::{self, Fate};

use crate::failure::warn;

/// Closes them, where they are standard input, output or error in favour of /dev/null, and says so.
pub fn withhold(settings: &Settings) {
    inherited::withhold(settings, |fd, fate| match fate {
        Fate::Inherited | Fate::Confined => {}
        Fate::Withheld(Ok(())) => warn(format!(
            "descriptor {fd} is a network socket that can't go through Tor: the program does not get \
             it (PassedSockets allow lets it)"
        )),
        Fate::Withheld(Err(error)) => warn(format!("descriptor {fd} can't be closed: {error}")),
    });
}
