//! Descriptors that the program does not inherit: network sockets that it could just write to.

use std::os::fd::{IntoRawFd, RawFd};
use std::{fs, io};

use epochsocks::config::Settings;
use epochsocks::policy::{SocketKind, pass};
use epochsocks::sys::net::{Answer, socket_number};

use crate::failure::warn;

/// Closes them, where they are standard input, output or error in favour of /dev/null, and says so.
pub fn withhold(settings: &Settings) {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let descriptors = open.filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    // All of them first: the directory itself is open while it is read.
    for fd in descriptors.collect::<Vec<_>>() {
        if pass::inherit(socket_kind(fd), settings) {
            continue;
        }
        match replace(fd) {
            Ok(()) => warn(format!(
                "descriptor {fd} is a network socket that can't go through Tor: the program does \
                 not get it (PassedSockets allow lets it)"
            )),
            Err(error) => warn(format!("descriptor {fd} can't be closed: {error}")),
        }
    }
}

fn socket_kind(fd: RawFd) -> Answer<SocketKind> {
    let ask = || {
        Ok(SocketKind {
            domain: socket_number(fd, libc::SO_DOMAIN)?,
            kind: socket_number(fd, libc::SO_TYPE)?,
            protocol: socket_number(fd, libc::SO_PROTOCOL)?,
        })
    };
    ask().into()
}

fn replace(fd: RawFd) -> io::Result<()> {
    let result = if fd <= libc::STDERR_FILENO {
        let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into_raw_fd();
        // SAFETY: two descriptors; nothing in this process owns the standard ones.
        unsafe { libc::dup2(null, fd) }
    } else {
        // SAFETY: a descriptor that nothing in this process owns.
        unsafe { libc::close(fd) }
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
