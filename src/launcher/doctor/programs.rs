//! Findings about a program: whether it would be protected, and which processes may act for it.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use epochsocks::config::Settings;

use super::report::Report;
use crate::look::Look;
use crate::preflight::{Check, Form, Supervisor};
use crate::search::search;

/// Programs that ask another process, which may run already and outside, with what to do.
const OUTSIDE: [(&[&str], &str); 6] = [
    (&["gpg", "gpg2"], "it asks a dirmngr that may run outside: `gpgconf --kill dirmngr` first"),
    (&["ssh", "scp", "sftp"], "a master connection may exist outside: -o ControlPath=none"),
    (&["tmux", "screen"], "a server that runs already starts its programs outside: -L NAME"),
    (
        &[
            "docker",
            "podman",
            "systemctl",
            "systemd-run",
            "lxc",
            "incus",
            "virsh",
            "nix",
            "nix-build",
            "nix-shell",
            "guix",
            "tailscale",
            "gio",
            "pkcon",
            "rpm-ostree",
            "resolvectl",
        ],
        "a daemon does the work, outside of Tor",
    ),
    (&["at", "batch", "crontab"], "a daemon starts the job later, outside of Tor"),
    (
        &["firefox", "chromium", "google-chrome", "thunderbird", "xdg-open"],
        "one that is open already takes the work over, outside: close it, or use a new profile",
    ),
];

/// Reports on `program` as the launcher and the hooks would treat it; `library` is the one in use.
pub fn examine(program: &OsStr, library: Option<&Path>, settings: &Settings, report: &mut Report) {
    let path = std::env::var_os("PATH");
    let name = program.to_string_lossy();
    let found = search(program, path.as_deref());
    let verdict = found.clone().and_then(|file| {
        let (path, supervisor) = (path.as_deref(), Supervisor::IfNeeded);
        let check = Check { path, command: &[], settings, supervisor, library };
        let passed = check.of(&Look::at(&file))?;
        Ok((file, passed))
    });
    report.step(
        &format!("program {name}"),
        verdict
            .map(|(file, passed)| {
                let by = if passed.form == Form::ByShell { " by /bin/sh" } else { "" };
                let how = if passed.is_out_of_reach { " under a supervisor" } else { "" };
                format!(
                    "{}{by}{how}: connections and names go through Tor, UDP is refused",
                    file.display()
                )
            })
            .map_err(|failure| failure.message),
    );
    let Ok(file) = found else { return };
    notes(&file, library).for_each(|note| report.note(&format!("program {name}"), note));
}

/// Notes what the check of the file can't see.
fn notes(file: &Path, library: Option<&Path>) -> impl Iterator<Item = String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let outside = OUTSIDE.iter().find(|(names, _)| names.contains(&name.as_str()));
    let profile = profile(file).map(|profile| {
        let library = library.map_or(String::new(), |library| library.display().to_string());
        format!(
            "AppArmor confines it by {}, which must let it map {library} (a line `{library} mr,` in \
             /etc/apparmor.d/local)",
            profile.display()
        )
    });
    outside.map(|(_, what)| (*what).to_owned()).into_iter().chain(profile)
}

/// The profile that AppArmor has for the file, by the usual name.
fn profile(file: &Path) -> Option<PathBuf> {
    let file = std::fs::canonicalize(file).ok()?;
    let name = file.to_str()?.trim_start_matches('/').replace('/', ".");
    Some(Path::new("/etc/apparmor.d").join(name)).filter(|profile| profile.exists())
}

/// The part of the library's path that other users can't pass or read, if there is one: a program that
/// becomes another user would be started without it.
pub fn unreadable_for_others(library: &Path) -> Option<&Path> {
    library.ancestors().find(|part| {
        let needed = if *part == library { 0o004 } else { 0o001 };
        std::fs::metadata(part).is_ok_and(|metadata| metadata.permissions().mode() & needed == 0)
    })
}

/// Reports on each of `programs`.
pub fn examine_all(
    programs: &[OsString],
    library: Option<&Path>,
    settings: &Settings,
    report: &mut Report,
) {
    programs.iter().for_each(|program| examine(program, library, settings, report));
}
