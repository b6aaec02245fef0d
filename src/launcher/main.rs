//! The `epochsocks` command: checks that a program can be protected, then becomes it.
//!
//! - [`flags`]: the command line; [`help`], [`manual`], [`completions`]: what is printed about it,
//!   from one [`listing`]
//! - [`settings`], [`environment`]: what the program gets to know
//! - [`locate`], [`registry`]: the preload library
//! - [`torify`]: a command that runs under it: [`search`], [`look`], [`preflight`], [`exec`] find, inspect,
//!   check and execute it
//! - [`backstop`], [`landlock`]: what the kernel refuses it
//! - [`supervisor`]: what carries out the calls of programs that the library can't reach; [`need`]: the reason
//!   for one
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
mod look;
mod manual;
mod need;
mod persona;
mod preflight;
mod registry;
mod search;
mod settings;
mod shell;
mod status;
mod supervisor;
mod torify;
mod undo;

use std::ffi::{OsString, c_int};
use std::io::{IsTerminal, stdin, stdout};
use std::os::unix::process::parent_id;

use environment::{Changes, PRELOAD};
use failure::{Failure, Status};
use flags::{Action, Invocation};
use persona::Persona;
use shell::Syntax;

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
        Err(_) => flags::has_a_word_for_shells(arguments),
    };
    let outcome = parsed.and_then(|invocation| {
        persona.check(&invocation.action)?;
        let status = act(&invocation)?;
        persona.switched(&invocation.action).into_iter().for_each(failure::warn);
        Ok(status)
    });
    if is_evaluated && outcome.is_err() && !stdout().is_terminal() {
        let _ = failure::print(shell::STOP);
    }
    outcome
}

fn act(invocation: &Invocation) -> Result<c_int, Failure> {
    match &invocation.action {
        Action::Run(command) => torify::run(invocation, command),
        Action::Shell => {
            let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
            let shell = shell.unwrap_or_else(|| OsString::from("/bin/sh"));
            torify::run(invocation, &[shell])
        }
        Action::On(syntax) => {
            hint("on");
            let settings = settings::resolve(&invocation.given)?;
            let library = torify::library(invocation)?;
            let mut changes = torify::protection(invocation, &settings, &library);
            changes.extend(launch::begun_by_shell());
            if settings.log_level >= settings::WARNINGS {
                failure::warn(UNJUDGED);
            }
            let changes = undo::recorded(changes, &|name| std::env::var_os(name));
            print(&commands(&changes, *syntax)?)
        }
        Action::Off(syntax) => {
            hint("off");
            refuse_in_protected_shell()?;
            print(&commands(&undo::undone(&|name| std::env::var_os(name)), *syntax)?)
        }
        Action::Show { by_shells_name } => {
            if *by_shells_name && !stdin().is_terminal() {
                failure::warn(SHELL_IS_SHOW);
            }
            print(&shell::show(std::env::var_os(PRELOAD).as_deref()))
        }
        Action::Help => print(help::text().as_bytes()),
        Action::Version => print(help::version().as_bytes()),
        Action::Manual(page) => print(page.as_bytes()),
        Action::SampleConfiguration => print(manual::sample().as_bytes()),
        Action::Completions(script) => print(script.as_bytes()),
        Action::Doctor(question) => doctor::run(invocation, question),
        Action::Status(question) => status::run(question),
        Action::Probe(arguments) => Ok(doctor::probe::run(arguments)),
    }
}

/// Commands for the shell to evaluate, in its language. If the user did not name it, the shell's
/// process tells it.
fn commands(changes: &Changes, syntax: Option<Syntax>) -> Result<Vec<u8>, Failure> {
    Ok(shell::commands(changes, syntax.map_or_else(Syntax::of_parent, Ok)?))
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

fn print(text: &[u8]) -> Result<c_int, Failure> {
    failure::print(text).map(|()| 0)
}
