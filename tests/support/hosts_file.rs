//! A command that sees another file of the system, such as /etc/hosts.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::process::search_path;

/// `command` in a mount namespace of its own, where /etc/hosts has `entries`; `name` is the test's.
/// Nothing where namespaces are not permitted.
pub fn with_hosts_file(command: &Command, name: &str, entries: &str) -> Option<Command> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hosts-{name}"));
    fs::write(&file, entries).expect("a file can be written");
    with_file(command, &file, "/etc/hosts")
}

/// `command` in a mount namespace of its own, where `file` stands at `place`. Nothing where namespaces are not
/// permitted.
pub fn with_file(command: &Command, file: &Path, place: &str) -> Option<Command> {
    let script = format!(r#"mount --bind "$0" {place} && exec "$@""#);
    let inside = |user: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(user).args(["--mount", "sh", "-c"]).env("PATH", search_path());
        unshare
    };
    let permits = |user: &&[&str]| {
        let tried = inside(user).arg(&script).arg(file).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    };
    let users = [&[][..], &["--user", "--map-root-user"]];
    let Some(user) = users.into_iter().find(permits) else {
        super::skip::skip("namespaces are not permitted here");
        return None;
    };
    let mut whole = inside(user);
    whole.arg(script).arg(file).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => whole.env(name, value),
            None => whole.env_remove(name),
        };
    }
    Some(whole)
}
