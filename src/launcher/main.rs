//! The `epochsocks` command: checks that a program can be protected, then becomes it.
//!
//! - [`flags`]: the command line; [`help`], [`manual`], [`completions`]: what is printed about it,
//!   from one [`listing`]
//! - [`settings`], [`environment`]: what the program gets to know
//! - [`locate`], [`registry`]: the preload library
//! - [`search`], [`preflight`], [`exec`]: the program, found, checked and executed
//! - [`backstop`], [`landlock`]: what the kernel refuses it
//! - [`supervisor`]: what carries out the calls of programs that the library can't reach
//! - [`inherited`]: what it does not inherit; [`launch`]: what it shares with those that it starts
//! - [`shell`]: `on`, `off`, `show`; [`undo`]: what `off` restores
//! - [`doctor`]: whether it all works here
//! - [`status`]: the sockets of programs that run under it; [`json`]: strings in it
//! - [`failure`]: how the command ends otherwise; [`persona`]: with whose exit statuses
//!
//! There is no `main` of Rust's runtime, which would set SIGPIPE to be ignored: the program would
//! inherit that.
#![cfg_attr(not(test), no_main)]

mod backstop;
mod completions;
mod doctor;
mod environment;
mod exec;
mod failure;
mod flags;
mod help;
mod inherited;
mod json;
mod landlock;
mod launch;
mod listing;
mod locate;
mod manual;
mod persona;
mod preflight;
mod registry;
mod search;
mod settings;
mod shell;
mod status;
mod supervisor;
mod undo;

use std::ffi::{OsStr, OsString, c_int};
use std::io::{IsTerminal, Write, stderr, stdin, stdout};
use std::os::unix::process::parent_id;
use std::path::Path;

use epochsocks::backstop::presence;
use epochsocks::config::{Backstop, Settings};

use environment::{AUDIT, Change, Changes, PRELOAD};
use failure::{Failure, Status};
use flags::{Action, Invocation};
use persona::Persona;
use shell::Syntax;
use supervisor::pieces::Lack;
use supervisor::tree::Ran;

// Found before std's own libgcc_s, whose loading would be a tenth of the start-up time. (Without
// link-time optimisation the order is the other way round, and nothing changes.)
#[link(name = "gcc_eh")]
unsafe extern "C" {}

/// Notice about what `on` can't do: the shell's children have the library, the shell itself has
/// not, so no hook checks its execs.
const UNJUDGED: &str = "the shell itself stays as it is, and runs what can't be protected (static, \
    Go, setuid) unprotected; a shell started by  epochsocks --shell  does not";

/// Said where something else than a person types `sh`.
const SHELL_IS_SHOW: &str = "`epochsocks sh` prints LD_PRELOAD, as `torsocks sh` does, and runs \
    nothing; a shell is run by  epochsocks -- sh";

/// The C entry point. The standard library takes the arguments from the loader itself.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn main() -> c_int {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let persona = Persona::of(std::env::args_os().next().as_deref(), &mut arguments);
    match run(persona, &arguments) {
        Ok(status) => status,
        Err(failure) => {
            failure::warn(&failure.message);
            persona.code(failure.status)
        }
    }
}

fn run(persona: Persona, arguments: &[OsString]) -> Result<c_int, Failure> {
    let parsed = flags::parse(arguments.iter().cloned());
    let is_evaluated = match &parsed {
        Ok(invocation) => matches!(invocation.action, Action::On(_) | Action::Off(_)),
        Err(_) => flags::ends_with_a_word_for_shells(arguments),
    };
    let outcome = parsed.and_then(|invocation| {
        persona.check(&invocation.action)?;
        let status = act(&invocation)?;
        persona.switched(&invocation.action).into_iter().for_each(failure::warn);
        Ok(status)
    });
    if is_evaluated && outcome.is_err() && !stdout().is_terminal() {
        print(shell::STOP);
    }
    outcome
}

fn act(invocation: &Invocation) -> Result<c_int, Failure> {
    match &invocation.action {
        Action::Run(command) => torify(invocation, command),
        Action::Shell => {
            let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
            let shell = shell.unwrap_or_else(|| OsString::from("/bin/sh"));
            torify(invocation, &[shell])
        }
        Action::On(syntax) => {
            hint("on");
            let settings = settings::resolve(&invocation.given)?;
            let mut changes = protection(invocation, &settings)?;
            changes.extend(launch::begun_by_shell());
            if settings.log_level >= settings::WARNINGS {
                failure::warn(UNJUDGED);
            }
            let changes = undo::recorded(changes, &|name| std::env::var_os(name));
            Ok(print(&commands(&changes, *syntax)))
        }
        Action::Off(syntax) => {
            hint("off");
            refuse_in_protected_shell()?;
            Ok(print(&commands(&undo::undone(&|name| std::env::var_os(name)), *syntax)))
        }
        Action::Show { by_shells_name } => {
            if *by_shells_name && !stdin().is_terminal() {
                failure::warn(SHELL_IS_SHOW);
            }
            Ok(print(&shell::show(std::env::var_os(PRELOAD).as_deref())))
        }
        Action::Help => Ok(print(help::text().as_bytes())),
        Action::Version => Ok(print(help::version().as_bytes())),
        Action::Manual(page) => Ok(print(page.as_bytes())),
        Action::SampleConfiguration => Ok(print(manual::sample().as_bytes())),
        Action::Completions(script) => Ok(print(script.as_bytes())),
        Action::Doctor(question) => doctor::run(invocation, question),
        Action::Status(question) => Ok(status::run(question)),
        Action::Probe(arguments) => Ok(doctor::probe::run(arguments)),
    }
}

/// Runs `command` under the library. Comes back with the reason why it could not, or, where a supervisor
/// runs it, with its exit status.
fn torify(invocation: &Invocation, command: &[OsString]) -> Result<c_int, Failure> {
    let settings = settings::resolve(&invocation.given)?;
    let mut changes = protection(invocation, &settings)?;
    let path = std::env::var_os("PATH");
    let name = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let file = search::search(name, path.as_deref())?;
    // A launch inside of a supervised one has its supervisor: there can't be a second one.
    let is_served = presence::is_supervised();
    let check = |is_supervised| {
        let path = path.as_deref();
        preflight::Check { path, command, settings: &settings, is_supervised }.of(&file)
    };
    let (form, need) = match check(is_served || invocation.redirect == Some(true)) {
        Ok(form) if invocation.redirect == Some(true) => (form, Need::Asked),
        Ok(form) => {
            let may_have = invocation.redirect.is_none() && settings.backstop != Backstop::Never;
            let is_chosen = may_have
                && preflight::starts_what_it_likes(&file, &settings)
                && !backstop::surrounds();
            (form, if is_chosen { Need::Chosen } else { Need::Nothing })
        }
        Err(failure) if invocation.redirect.is_some() => return Err(failure),
        // Nothing is in the way but that the library can't reach it.
        Err(failure) => match check(true) {
            Ok(form) => (form, Need::OutOfReach),
            Err(_) => return Err(failure),
        },
    };
    let is_needed = matches!(need, Need::Asked | Need::OutOfReach);
    if is_needed && !is_served && backstop::surrounds() {
        let message = "the epochsocks around this one refuses what a supervisor would lead through Tor, \
            and nothing can undo it: start this one outside of it, or that one with  --redirect";
        return Err(Failure::new(Status::Own, message));
    }
    inherited::withhold(&settings);
    // The linker of a program of another C library, or of none, would end it.
    if (is_served || need != Need::Nothing) && !preflight::may_load(&file) {
        changes.retain(|(name, _)| name != PRELOAD);
        changes.push((OsString::from(PRELOAD), Change::Unset));
    }
    let mut execute = |more: Changes| {
        changes.extend(more);
        let environment = environment::apply(std::env::vars_os(), &changes);
        exec::replace(&file, &form, command, environment)
    };
    let mut backstop = settings.backstop;
    if need != Need::Nothing && !is_served {
        let said = |more| {
            need.say(&file, &settings);
            execute(more)
        };
        match supervisor::tree::run(&settings, said)? {
            Ran::Ended(status) => return Ok(status),
            Ran::Unserved(lack) => need.do_without(lack, &file, &settings)?,
        }
        // What the library can't reach has the filter, or is not run.
        if need == Need::OutOfReach {
            backstop = Backstop::Always;
        }
    }
    let mut more: Changes = launch::begun_here().into_iter().collect();
    more.extend(backstop::put_up(&Settings { backstop, ..settings })?);
    Err(execute(more))
}

/// Reason for a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// There is none.
    Nothing,
    /// The program starts what it likes.
    Chosen,
    /// The library can't reach the program.
    OutOfReach,
    /// The user asks for it.
    Asked,
}

impl Need {
    /// Says that a supervisor was chosen. Of a program that goes through Tor without one it is said to people.
    fn say(self, file: &Path, settings: &Settings) {
        let file = file.display();
        let line = match self {
            Need::OutOfReach => {
                format!("{file} is out of the library's reach: a supervisor leads it through Tor")
            }
            Need::Chosen if stderr().is_terminal() || settings.log_level > settings::WARNINGS => {
                format!(
                    "what {file} starts out of the library's reach a supervisor leads through Tor"
                )
            }
            _ => return,
        };
        if settings.log_level >= settings::WARNINGS {
            failure::warn(line);
        }
    }

    /// Says how `file` runs without the supervisor that can't be had. Errors: it does not run.
    fn do_without(self, lack: Lack, file: &Path, settings: &Settings) -> Result<(), Failure> {
        let file = file.display();
        let what = match self {
            Need::OutOfReach => format!("{file} gets no socket but UNIX ones"),
            _ => format!("what {file} starts out of the library's reach is refused"),
        };
        let is_optional = self == Need::Chosen || settings.backstop == Backstop::BestEffort;
        if !is_optional {
            let message = format!(
                "{file} was not run, as there can't be a supervisor here: {lack}; --backstop best-effort \
                 runs it without: {what}"
            );
            return Err(Failure::new(Status::Refused, message));
        }
        if settings.log_level >= settings::WARNINGS {
            failure::warn(format!("there can't be a supervisor here: {lack}; {what}"));
        }
        Ok(())
    }
}

/// Variables that protect a program: the library and the settings.
fn protection(invocation: &Invocation, settings: &Settings) -> Result<Changes, Failure> {
    let mut changes = settings::changes(settings);
    let named = std::env::var_os(locate::VARIABLE);
    let library = locate::locate(invocation.registry, named.as_deref())?;
    if settings.log_level >= settings::WARNINGS {
        invocation.registry.caveats().for_each(failure::warn);
    }
    let preload = environment::with_library(std::env::var_os(PRELOAD).as_deref(), &library);
    changes.push((OsString::from(PRELOAD), Change::Set(preload)));
    if std::env::var_os(AUDIT).is_some() {
        if settings.log_level >= settings::WARNINGS {
            failure::warn("LD_AUDIT left out: audit libraries call a C library without hooks");
        }
        changes.push((OsString::from(AUDIT), Change::Unset));
    }
    Ok(changes)
}

/// Commands for the shell to evaluate, in its language. If the user did not name it, the shell's
/// process tells it.
fn commands(changes: &Changes, syntax: Option<Syntax>) -> Vec<u8> {
    shell::commands(changes, syntax.unwrap_or_else(Syntax::of_parent))
}

/// On a terminal nothing evaluates the output.
fn hint(word: &str) {
    if stdout().is_terminal() {
        failure::warn(format!("nothing has changed yet: type  eval \"$(epochsocks {word})\""));
    }
}

/// A shell that has the library loaded puts it back into all that it starts.
fn refuse_in_protected_shell() -> Result<(), Failure> {
    let maps = std::fs::read(format!("/proc/{}/maps", parent_id())).unwrap_or_default();
    if !maps.split(|&byte| byte == b'\n').any(registry::is_ours) {
        return Ok(());
    }
    let message = "this shell runs under epochsocks itself, as will all that it starts: leave it";
    Err(Failure::new(Status::Own, message))
}

fn print(text: &[u8]) -> c_int {
    match stdout().write_all(text).and_then(|()| stdout().flush()) {
        Ok(()) => 0,
        Err(_) => Persona::Epochsocks.code(Status::Own),
    }
}
