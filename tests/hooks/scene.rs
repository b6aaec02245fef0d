//! Scenes that a C probe plays under the library.

use std::process::Command;
use std::time::Duration;

use crate::support::process::{finish, probe, text};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method, reply};
use crate::support::torify;

/// A proxy that accepts everything and then echoes.
pub fn echoing_proxy() -> ScriptedProxy {
    ScriptedProxy::start(&[Action::Greeting, method(0), Action::Request, reply(0), Action::Echo])
}

/// Scenes that the hooks must play by themselves. They make sockets and connections past the hooks, as other
/// processes do, which a backstop would stop before the hooks have a say; or they ask for seccomp's strict mode, which
/// the kernel gives to nobody under a filter.
const ALONE: [(&str, &[&str]); 10] = [
    ("bypasses", &["datagrams"]),
    ("datagrams", &["confined", "foreign", "localhost", "own", "routes"]),
    ("denied_calls", &[]),
    ("descriptors", &["accept", "aliases"]),
    ("inbound", &["loopback"]),
    ("filters", &["allowed"]),
    ("hand_over", &["pass", "untold"]),
    ("passing", &["allow", "drop", "many", "refuse", "taken", "torified"]),
    ("sockets", &["dissolve", "quiet", "raw-close"]),
    ("unseen_sockets", &[]),
];

fn is_alone(name: &str, scene: &str) -> bool {
    let of_probe = ALONE.iter().find(|(probe, _)| *probe == name);
    of_probe.is_some_and(|(_, scenes)| scenes.is_empty() || scenes.contains(&scene))
}

/// tests/probes/`name`.c under the library, with `proxy` for Tor; plays `scene`.
pub fn command(name: &'static str, scene: &str, proxy: &ScriptedProxy) -> Command {
    let mut command = torify(probe(name));
    command.arg(scene).env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string());
    if is_alone(name, scene) {
        command.env("EPOCHSOCKS_BACKSTOP", "0");
    }
    command
}

/// Lets `command` play its scene, which must come to its end.
pub fn ends(mut command: Command) {
    let output = finish(&mut command, Duration::from_secs(30));
    let seen = text(&output);
    assert!(output.status.success(), "{command:?}: {}: {seen}", output.status);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.ends_with("done\n"), "{command:?}: {seen}");
}

/// Plays `scene` of the probe `name` to its end.
pub fn play(name: &'static str, scene: &str, proxy: &ScriptedProxy) {
    ends(command(name, scene, proxy));
}

/// As `play`, without a backstop: then the hooks rely on what they have seen of a number.
pub fn play_without_backstop(name: &'static str, scene: &str, proxy: &ScriptedProxy) {
    let mut command = command(name, scene, proxy);
    command.env("EPOCHSOCKS_BACKSTOP", "0");
    ends(command);
}
