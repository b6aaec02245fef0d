//! Findings about a program: whether it would be protected, and which processes may act for it.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use epochsocks::config::Settings;

use super::report::Report;
use crate::look::Look;
use crate::preflight::{Check, Form, Passed, Supervisor};
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

/// Conditions under which programs are looked at.
pub struct Programs<'a> {
    /// The library in use.
    pub library: Option<&'a Path>,
    /// The settings.
    pub settings: &'a Settings,
    /// The supervisor that they would run under.
    pub supervisor: Supervisor,
}

impl Programs<'_> {
    /// Reports on `program` as the launcher and the hooks would treat it.
    pub fn examine(&self, program: &OsStr, report: &mut Report) {
        let &Programs { library, settings, supervisor } = self;
        let path = std::env::var_os("PATH");
        let path = path.as_deref();
        let step = format!("program {}", program.to_string_lossy());
        let found = search(program, path);
        let passed = found.clone().and_then(|file| {
            let check = Check { path, command: &[], settings, supervisor, library };
            check.of(&Look::at(&file)).map(|passed| (file, passed))
        });
        match passed {
            Ok((_, Passed { unprotected: Some(unprotected), .. })) => {
                report.note(&step, unprotected.notice);
            }
            Ok((file, passed)) => report.step(&step, Ok::<_, &str>(protection(&file, &passed))),
            Err(failure) => report.step(&step, Err::<&str, _>(failure.message)),
        }
        let Ok(file) = found else { return };
        notes(&file, library).for_each(|note| report.note(&step, note));
    }
}

fn protection(file: &Path, passed: &Passed) -> String {
    let by = if passed.form == Form::ByShell { " by /bin/sh" } else { "" };
    let how = if passed.is_out_of_reach { " under a supervisor" } else { "" };
    let file = file.display();
    format!("{file}{by}{how}: connections and names go through Tor, UDP is refused")
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
