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
        (
            _,
            b"docker.sock" | b"podman.sock" | b"containerd.sock" | b"crio.sock" | b"buildkitd.sock",
        ) => ("the container daemon", b""),
        (_, b"unix.socket") if has(b"/lxd/") || has(b"/incus/") => ("the container daemon", b""),
        (_, b"libvirt-sock" | b"virtqemud-sock") => ("libvirt", b""),
        (_, b"socket") if path.ends_with(b"/nix/daemon-socket/socket") => ("the Nix daemon", b""),
        (_, b"socket") if path.ends_with(b"/guix/daemon-socket/socket") => ("the Guix daemon", b""),
        (_, b"tailscaled.sock") => ("tailscaled", b""),
        (_, b"S.dirmngr") => ("dirmngr", b"dirmngr"),
        (_, b"S.gpg-agent") => ("gpg-agent", b"gpg-agent"),
        (_, b"SingletonSocket") => ("a browser that is open", b""),
        (_, b"snapd.socket" | b"snapd-snap.socket") => ("snapd", b""),
        (_, b"private") if path.ends_with(b"/systemd/private") => ("systemd", b""),
        (b"systemd-run" | b"systemctl", _) if is_bus => ("systemd", b""),
        (b"resolvectl" | b"systemd-resolve", _) if is_bus => ("systemd-resolved", b""),
        (b"gio", _) if is_bus => ("GVfs", b""),
        (b"pkcon", _) if is_bus => ("PackageKit", b""),
        (b"rpm-ostree", _) if is_bus => ("rpm-ostree's daemon", b""),
        (b"emacsclient", _) => ("an Emacs server", b"emacs"),
        (b"ssh" | b"scp" | b"sftp", _) if !is_agent(path) => ("ssh's master connection", b"ssh"),
        _ if has(b"/tmux-") => ("the tmux server", b"tmux: server"),
        _ if has(b"/run/screen/") || has(b"/.screen/") => ("the screen session", b"screen"),
        _ => return None,
    };
    Some(Helper { name, process })
}

/// The sockets of services that look names up for others: nscd's, systemd-resolved's and Avahi's.
const LOOKUP_SERVICES: [&[u8]; 3] =
    [b"/nscd/socket", b"/systemd/resolve/io.systemd.Resolve", b"/avahi-daemon/socket"];

/// Tells whether `path` is the socket of a service that looks names up, on the networks that it knows. libc asks one
/// inside where it is linked into a program, and without it a name server.
pub fn looks_names_up(path: &[u8]) -> bool {
    LOOKUP_SERVICES.iter().any(|service| path.ends_with(service))
}

/// The path in `address`, a `sockaddr_un`; empty for other names.
pub fn path_in(address: &[u8]) -> &[u8] {
    let path = address.get(size_of::<libc::sa_family_t>()..).unwrap_or_default();
    path.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_look_names_up_are_told_by_their_sockets() {
        for path in [
            "/var/run/nscd/socket",
            "/run/systemd/resolve/io.systemd.Resolve",
            "/run/avahi-daemon/socket",
        ] {
            assert!(looks_names_up(path.as_bytes()), "{path}");
        }
        for path in
            ["", "/run/user/0/app/socket", "/run/systemd/resolve/io.systemd.Resolve.Monitor"]
        {
            assert!(!looks_names_up(path.as_bytes()), "{path}");
        }
        assert_eq!(path_in(b"\x01\0/a/b\0\0"), b"/a/b");
        assert_eq!(path_in(b"\x01\0/a"), b"/a");
        assert_eq!([path_in(b"\x01\0\0abstract"), path_in(b"\x01\0"), path_in(b"")], [b""; 3]);
    }

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
            ("lxc", "/var/snap/lxd/common/lxd/unix.socket", "container"),
            ("virsh", "/run/libvirt/libvirt-sock", "libvirt"),
            ("nix-build", "/nix/var/nix/daemon-socket/socket", "Nix"),
            ("guix", "/var/guix/daemon-socket/socket", "Guix"),
            ("tailscale", "/run/tailscale/tailscaled.sock", "tailscaled"),
            ("gio", "/run/user/1000/bus", "GVfs"),
            ("gpg", "/run/user/1000/gnupg/S.dirmngr", "dirmngr"),
            ("gpg", "/home/me/.gnupg/S.gpg-agent", "gpg-agent"),
            ("chromium", "/tmp/org.chromium.Chromium.AbC/SingletonSocket", "browser"),
            ("systemd-run", "/run/user/1000/systemd/private", "systemd"),
            ("systemd-run", "/run/user/1000/bus", "systemd"),
            ("resolvectl", "/run/dbus/system_bus_socket", "systemd-resolved"),
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
