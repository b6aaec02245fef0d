//! The scenes' stage: a probe under the library, and the proxies behind it.

use std::process::Command;
use std::time::Duration;

use crate::support::process::{finish, probe, text};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method, reply};
use crate::support::torify;

/// Far longer than what a scene does before it waits, far shorter than a test may take.
const LATE: Duration = Duration::from_millis(500);

/// A proxy whose answer to the request comes late.
pub fn late_proxy(code: u8) -> ScriptedProxy {
    use Action::{Delay, Echo, Greeting, Request};
    ScriptedProxy::start(&[Greeting, method(0), Request, Delay(LATE), reply(code), Echo])
}

/// A probe under the library, about to play `scene`.
pub fn command(program: &'static str, scene: &str, proxy: &ScriptedProxy) -> Command {
    let mut command = torify(probe(program));
    command.arg(scene).env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string());
    command
}

/// Lets `command` play its scene, which must come to its end.
pub fn ends(mut command: Command) {
    let output = finish(&mut command, Duration::from_secs(60));
    let seen = text(&output);
    assert!(output.status.success(), "{command:?}: {}: {seen}", output.status);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.ends_with("done\n"), "{command:?}: {seen}");
}

/// Plays `scene` of a probe before a proxy that accepts, late.
pub fn play(program: &'static str, scene: &str) {
    ends(command(program, scene, &late_proxy(0)));
}
