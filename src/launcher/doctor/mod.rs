//! `epochsocks doctor`: does it work here, and what is missing if not?
//!
//! - [`question`]: what is asked; [`report`]: the lines that are printed
//! - [`kernel`], [`backstop`], [`supervisor`], [`configuration`], [`daemon`], [`programs`]: what is looked at
//! - [`self_test`]: real children against [`proxy`] and [`origin`], without any Tor; [`probe`] is
//!   one of the children

mod backstop;
mod configuration;
mod daemon;
mod kernel;
mod origin;
pub mod probe;
mod programs;
mod proxy;
pub mod question;
pub mod report;
mod self_test;
mod supervisor;

use std::ffi::c_int;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::environment::{self, PRELOAD, without_library};
use crate::failure::{Failure, Status};
use crate::flags::Invocation;
use crate::preflight::{Form, Supervisor};
use crate::{exec, locate, registry, settings};
use programs::Programs;
use question::Question;
use report::Report;

/// Tor Browser's SOCKS port.
const TOR_BROWSER: u16 = 9150;

/// Example of a command through Tor, with the launcher's name as it was typed.
fn real_thing() -> String {
    let typed = std::env::args_os().next().unwrap_or_else(|| "epochsocks".into());
    format!("{} curl https://check.torproject.org/api/ip", typed.display())
}

/// Examines library, kernel, configuration, Tor daemon and the programs that are named; 0 if all is
/// well. With a self-test a missing daemon is only noted.
pub fn run(invocation: &Invocation, question: &Question) -> Result<c_int, Failure> {
    if crate::backstop::surrounds() {
        let message = "this shell runs under epochsocks, whose backstop lets the doctor make no sockets of \
            its own: ask it outside, or in a shell that was started with  --no-backstop";
        return Err(Failure::new(Status::Own, message));
    }
    leave_protection()?;
    let mut report = Report::new(question.form);
    let named = std::env::var_os(locate::VARIABLE);
    let library = locate::locate(invocation.registry, named.as_deref());
    report.step(
        "library",
        match &library {
            Ok(library) => Ok(library.display()),
            Err(failure) => Err(&failure.message),
        },
    );
    if let Ok(library) = &library {
        check_library(library, &mut report);
    }
    kernel::examine(&mut report);
    if question.self_test
        && let Ok(library) = &library
    {
        self_test::run(library, &mut report);
    }
    let settings = settings::resolve(&invocation.given);
    let tor =
        settings.as_ref().map(|settings| SocketAddr::new(settings.tor_address, settings.tor_port));
    report.step(
        "configuration",
        match &tor {
            Ok(tor) => Ok(format!("Tor at {tor}")),
            Err(failure) => Err(failure.message.clone()),
        },
    );
    if let (Ok(settings), Ok(tor)) = (&settings, tor) {
        configuration::examine(&invocation.given, settings, &mut report);
        check_daemon(settings, tor, question.self_test, &mut report);
    }
    let settings = settings.as_ref().unwrap_or(&settings::Settings::DEFAULT);
    backstop::examine(settings, &mut report);
    supervisor::examine(&mut report);
    let supervisor = Supervisor::of(invocation.redirect);
    let programs = Programs { library: library.as_deref().ok(), settings, supervisor };
    question.programs.iter().for_each(|program| programs.examine(program, &mut report));
    let is_good = report.is_good();
    if is_good {
        report.advice(format!("With Tor, try the real thing: {}", real_thing()));
    }
    report.end()?;
    Ok(c_int::from(!is_good))
}

/// Notes where a program that becomes another user could not read the library.
fn check_library(library: &Path, report: &mut Report) {
    match programs::unreadable_for_others(library) {
        None => report.step("library mode", Ok::<_, &str>("every user can read it")),
        Some(part) => report.note(
            "library mode",
            format!(
                "other users can't read {}: a program that becomes one of them starts no other; \
                 install the library where all can read it",
                part.display()
            ),
        ),
    }
}

fn check_daemon(
    settings: &settings::Settings,
    tor: SocketAddr,
    optional: bool,
    report: &mut Report,
) {
    let credentials = settings.credentials(std::process::id() as i32, 0);
    let browser = SocketAddr::from((Ipv4Addr::LOCALHOST, TOR_BROWSER));
    match daemon::examine(tor, credentials.as_ref()) {
        Ok(()) => {
            report.step("Tor daemon", Ok::<_, &str>(format!("{tor} answers as Tor does")));
            return;
        }
        Err(problem) if optional => report.note("Tor daemon", format!("{tor}: {problem}")),
        Err(problem) => report.step("Tor daemon", Err::<&str, _>(format!("{tor}: {problem}"))),
    }
    if tor != browser && daemon::examine(browser, credentials.as_ref()).is_ok() {
        report.note("Tor Browser", format!("its Tor answers at {browser}: --port {TOR_BROWSER}"));
    }
}

/// In a torified shell the doctor's own servers and questions would be torified: start again
/// without the library.
fn leave_protection() -> Result<(), Failure> {
    let preload = std::env::var_os(PRELOAD);
    let is_protected = preload.as_deref().is_some_and(registry::lists_ours);
    if !is_protected {
        return Ok(());
    }
    let rest = without_library(preload.as_deref());
    let change = rest.map_or(environment::Change::Unset, environment::Change::Set);
    let variables = environment::apply(std::env::vars_os(), &vec![(PRELOAD.into(), change)]);
    let arguments: Vec<_> = std::env::args_os().collect();
    let launcher = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    Err(exec::replace(&launcher, &Form::Direct, &arguments, variables))
}
