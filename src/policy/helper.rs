//! Programs that act for others, and are reached by UNIX sockets: what they do goes through Tor only if
//! they run under this library themselves.

/// A program that acts for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Helper {
    /// Its name for the user.
    pub name: &'static str,
    /// The kernel's name of its process (`/proc/PID/comm`), where it goes into the background after it
    /// has begun to listen; empty for others.
    pub process: &'static [u8],
}

/// The helper that a program named `program` (the last part of its path) reaches by the socket at `path`,
/// if that is a well-known one; `is_agent` tells whether a path is that of ssh's agent.
/// Async-signal-safe.
pub fn at(program: &[u8], path: &[u8], is_agent: impl Fn(&[u8]) -> bool) -> Option<Helper> {
    let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let has = |part: &[u8]| path.windows(part.len()).any(|window| window == part);
    let is_bus = matches!(file, b"bus" | b"system_bus_socket");
    let (name, process): (_, &[u8]) = match (program, file) {
        (_, b"docker.sock" | b"podman.sock" | b"containerd.sock") => ("the container daemon", b""),
        (_, b"S.dirmngr") => ("dirmngr", b"dirmngr"),
        (_, b"S.gpg-agent") => ("gpg-agent", b"gpg-agent"),
        (_, b"SingletonSocket") => ("a browser that is open", b""),
        (_, b"snapd.socket" | b"snapd-snap.socket") => ("snapd", b""),
        (_, b"private") if path.ends_with(b"/systemd/private") => ("systemd", b""),
        (b"systemd-run" | b"systemctl", _) if is_bus => ("systemd", b""),
        (b"emacsclient", _) => ("an Emacs server", b"emacs"),
        (b"ssh" | b"scp" | b"sftp", _) if !is_agent(path) => ("ssh's master connection", b"ssh"),
        _ if has(b"/tmux-") => ("the tmux server", b"tmux: server"),
        _ if has(b"/run/screen/") || has(b"/.screen/") => ("the screen session", b"screen"),
        _ => return None,
    };
    Some(Helper { name, process })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn helper(program: &str, path: &str) -> Option<&'static str> {
        let is_agent = |path: &[u8]| path == b"/tmp/ssh-x/agent.1";
        at(program.as_bytes(), path.as_bytes(), is_agent).map(|helper| helper.name)
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
