//! The local ports of connections to Tor.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::preload::launcher;
use crate::support::process::{finish, probe_as, text};
use crate::support::skip;

/// The kernel gives a socket that is not bound to the loopback interface the local port of one that is, though both
/// go to Tor's port. The library's own sockets are bound as the program's are: else an answer that Tor gives to a
/// lookup would end the connection that has the port.
///
/// The program's connections take every other one of the sixteen ports that there are, which are those that the
/// kernel looks at first.
#[test]
fn a_lookup_takes_no_local_port_of_a_live_connection() {
    let missing = skip::missing(&["cc", "ip", "python3", "unshare"]);
    if !missing.is_empty() {
        return skip::skip(&format!("not installed: {}", missing.join(", ")));
    }
    let namespaces = ["--user", "--map-root-user", "--net"];
    let permitted = Command::new("unshare").args(namespaces).arg("true").output();
    if !permitted.is_ok_and(|output| output.status.success()) {
        return skip::skip("namespaces are not permitted here");
    }
    let beside_tor = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probes/local_ports.py");
    let dynamic = probe_as("local-ports", "local_ports", &[]);
    // A supervisor answers the lookups of this one.
    let fixed = probe_as("local-ports-static", "local_ports", &["-static", "-DSTATIC"]);
    for program in [dynamic, fixed] {
        let torified = launcher();
        let mut command = Command::new("unshare");
        command.args(namespaces).arg("python3").arg(&beside_tor).arg(torified.get_program());
        command.arg(&program).args(["8", "198.51.100.1", "7"]).env_remove("LD_PRELOAD");
        command.envs(torified.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = finish(&mut command, Duration::from_secs(60));
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said, "2 lookups, 8 echoes\n", "{}: {}", program.display(), text(&output));
    }
}
