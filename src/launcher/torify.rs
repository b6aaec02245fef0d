//! A command that runs under the library: [`run`] checks it, sets it up, and becomes it or leads it.

use std::ffi::{CStr, OsStr, OsString, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use epochsocks::backstop::presence;
use epochsocks::config::{Backstop, Settings, godebug, value_of};

use crate::environment::{self, AUDIT, Change, Changes, PRELOAD};
use crate::failure::{Failure, Status, warn};
use crate::flags::Invocation;
use crate::look::Look;
use crate::need::Need;
use crate::preflight::{Check, Supervisor};
use crate::search::search;
use crate::supervisor::tree::{self, Ran};
use crate::{backstop, exec, inherited, launch, locate, settings};

/// Runs `command` under the library. Comes back with the reason why it could not, or, where a supervisor
/// runs it, with its exit status.
pub fn run(invocation: &Invocation, command: &[OsString]) -> Result<c_int, Failure> {
    let settings = settings::resolve(&invocation.given)?;
    let library = library(invocation)?;
    let mut changes = protection(invocation, &settings, &library);
    let path = std::env::var_os("PATH");
    let name = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let file = search(name, path.as_deref())?;
    let look = Look::at(&file);
    let is_served = presence::is_supervised();
    let supervisor = Supervisor::of(invocation.redirect);
    let path = path.as_deref();
    let library = Some(library.as_path());
    let check = Check { path, command, settings: &settings, supervisor, library };
    let passed = check.of(&look)?;
    if let Some(unprotected) = &passed.unprotected {
        unprotected.say(&settings);
    }
    let need = Need::of(&look, passed.is_out_of_reach, invocation.redirect, &settings);
    let is_needed = matches!(need, Need::Asked | Need::OutOfReach);
    if is_needed && !is_served && backstop::surrounds() {
        let message = "the epochsocks around this one refuses what a supervisor would lead through Tor, \
            and nothing can undo it: start this one outside of it, or that one with  --redirect";
        return Err(Failure::new(Status::Own, message));
    }
    inherited::withhold(&settings);
    // The linker of a program of another C library, or of none, would end it.
    if (is_served || need != Need::Nothing) && !look.may_load() {
        changes.retain(|(name, _)| name != PRELOAD);
        changes.push((OsString::from(PRELOAD), Change::Unset));
    }
    if let Ok(facts) = &look.facts
        && (is_served || need != Need::Nothing)
    {
        let names_onion = || godebug::names_onion(command.iter().map(|word| word.as_bytes()));
        if facts.asks_c_library() {
            changes.extend(go_names());
        } else if facts.asks_only_by_go()
            && settings.log_level >= settings::WARNINGS
            && names_onion()
        {
            warn(format!("{} {}", file.display(), godebug::REFUSES));
        }
    }
    let mut execute = |more: Changes| {
        changes.extend(more);
        let environment = environment::apply(std::env::vars_os(), &changes);
        exec::replace(&file, &passed.form, command, environment)
    };
    let mut backstop = settings.backstop;
    if need != Need::Nothing && !is_served {
        let said = |more| {
            need.say(&file, &settings);
            execute(more)
        };
        match tree::run(&settings, said)? {
            Ran::Ended(status) => return Ok(status),
            Ran::Unserved(lack) => need.do_without(lack, &file, &settings)?,
        }
        // A program that the library can't reach has the filter, or is not run.
        if need == Need::OutOfReach {
            backstop = Backstop::Always;
        }
    }
    let mut more: Changes = launch::begun_here().into_iter().collect();
    more.extend(backstop::put_up(&Settings { backstop, ..settings })?);
    Err(execute(more))
}

/// The variable for which a program of Go's looks names up by the C library, where it is to change.
fn go_names() -> Option<(OsString, Change)> {
    let value = std::env::var_os(godebug::VARIABLE);
    let entry = godebug::by_c_library(value.as_deref().map(OsStr::as_bytes))?;
    let entry = CStr::from_bytes_with_nul(entry.as_slice()).ok()?.to_bytes();
    let value = OsStr::from_bytes(value_of(entry, godebug::VARIABLE.as_bytes())?);
    Some((OsString::from(godebug::VARIABLE), Change::Set(value.to_owned())))
}

/// The preload library of the registry that is asked for.
pub fn library(invocation: &Invocation) -> Result<PathBuf, Failure> {
    let named = std::env::var_os(locate::VARIABLE);
    locate::locate(invocation.registry, named.as_deref())
}

/// Variables that protect a program: the library and the settings.
pub fn protection(invocation: &Invocation, settings: &Settings, library: &Path) -> Changes {
    let mut changes = settings::changes(settings);
    if settings.log_level >= settings::WARNINGS {
        invocation.registry.caveats().for_each(warn);
    }
    let preload = environment::with_library(std::env::var_os(PRELOAD).as_deref(), library);
    changes.push((OsString::from(PRELOAD), Change::Set(preload)));
    if std::env::var_os(AUDIT).is_some() {
        if settings.log_level >= settings::WARNINGS {
            warn("LD_AUDIT left out: audit libraries call a C library without hooks");
        }
        changes.push((OsString::from(AUDIT), Change::Unset));
    }
    changes
}
