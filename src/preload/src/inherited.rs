//! Network sockets that the program inherits although it could just write to them: the launcher
//! withholds them, and here nothing has looked at them that was not started by it.

use epochsocks::inherited::{self, Fate};

use crate::log::{log, refused};
use crate::{datagrams, harmless, runtime};

/// Withholds them. Called once, by the constructor.
pub fn withhold() {
    inherited::withhold(runtime::loaded(), |fd, fate| match fate {
        Fate::Inherited => drop(harmless::insert_at_load(fd)),
        Fate::Confined => drop(datagrams::remember(fd)),
        Fate::Withheld(Ok(())) => refused!(
            Warning,
            Passed,
            "descriptor {fd} is a network socket that can't go through Tor: the program does not get \
             it (PassedSockets allow lets it)"
        ),
        Fate::Withheld(Err(errno)) => {
            log!(Warning, Passed, "descriptor {fd} can't be closed: {errno}")
        }
    });
}
