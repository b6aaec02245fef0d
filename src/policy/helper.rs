//! Programs that act for others, and are reached by UNIX sockets: what they do goes through Tor only if
//! they run under this library themselves.

/// Which helper a program named `program` (the last part of its path) reaches by the socket at `path`,
/// if that is a well-known one; `is_agent` tells whether a path is that of ssh's agent.
/// Async-signal-safe.
pub fn at(
    program: &[u8],
    path: &[u8],
    is_agent: impl FnOnce(&[u8]) -> bool,
) -> Option<&'static str> {
    let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let has = |part: &[u8]| path.windows(part.len()).any(|window| window == part);
    let is_bus = matches!(file, b"bus" | b"system_bus_socket");
    match (program, file) {
        (_, b"docker.sock" | b"podman.sock" | b"containerd.sock") => Some("the container daemon"),
        (_, b"S.dirmngr") => Some("dirmngr"),
        (_, b"S.gpg-agent") => Some("gpg-agent"),
        (_, b"SingletonSocket") => Some("a browser that is open"),
        (_, b"snapd.socket" | b"snapd-snap.socket") => Some("snapd"),
        (_, b"private") if path.ends_with(b"/systemd/private") => Some("systemd"),
        (b"systemd-run" | b"systemctl", _) if is_bus => Some("systemd"),
        (b"emacsclient", _) => Some("an Emacs server"),
        (b"ssh" | b"scp" | b"sftp", _) => (!is_agent(path)).then_some("ssh's master connection"),
        _ if has(b"/tmux-") => Some("the tmux server"),
        _ if has(b"/run/screen/") || has(b"/.screen/") => Some("the screen session"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn helper(program: &str, path: &str) -> Option<&'static str> {
        at(program.as_bytes(), path.as_bytes(), |path| path == b"/tmp/ssh-x/agent.1")
    }

    #[test]
    fn well_known_helpers_are_told_by_their_sockets() {
        for (program, path, helper_is) in [
            ("tmux", "/tmp/tmux-1000/default", "tmux"),
            ("screen", "/run/screen/S-me/12.pts", "screen"),
            ("docker", "/var/run/docker.sock", "container"),
            ("gpg", "/run/user/1000/gnupg/S.dirmngr", "dirmngr"),
            ("gpg", "/home/me/.gnupg/S.gpg-agent", "gpg-agent"),
            ("chromium", "/tmp/org.chromium.Chromium.AbC/SingletonSocket", "browser"),
            ("systemd-run", "/run/user/1000/systemd/private", "systemd"),
            ("systemd-run", "/run/user/1000/bus", "systemd"),
            ("emacsclient", "/run/user/1000/emacs/server", "Emacs"),
            ("ssh", "/home/me/.ssh/master-host", "ssh"),
        ] {
            assert!(helper(program, path).is_some_and(|is| is.contains(helper_is)), "{path}");
        }
    }

    #[test]
    fn what_speaks_for_nobody_is_none() {
        for (program, path) in [
            ("ssh", "/tmp/ssh-x/agent.1"),
            ("firefox", "/run/user/1000/bus"),
            ("firefox", "/tmp/.X11-unix/X0"),
            ("mpv", "/run/user/1000/pulse/native"),
            ("psql", "/run/postgresql/.s.PGSQL.5432"),
            ("anything", ""),
        ] {
            assert_eq!(helper(program, path), None, "{path}");
        }
    }
}
