//! `epochsocks doctor`: does it work here, and what is missing if not?
//!
//! - [`report`]: the lines that are printed
//! - [`daemon`]: whether Tor answers
//! - [`self_test`]: real children against [`proxy`] and [`origin`], without any Tor; [`probe`] is
//!   one of the children

mod daemon;
mod origin;
pub mod probe;
mod proxy;
mod report;
mod self_test;

use std::ffi::c_int;
use std::net::SocketAddr;

use crate::environment::{self, PRELOAD, without_library};
use crate::failure::Failure;
use crate::flags::Invocation;
use crate::preflight::Form;
use crate::{exec, locate, registry, settings};
use report::Report;

/// What shows the whole thing at work, with this command as it was typed.
fn real_thing() -> String {
    let typed = std::env::args_os().next().unwrap_or_else(|| "epochsocks".into());
    format!("{} curl https://check.torproject.org/api/ip", typed.display())
}

/// Examines library, configuration and Tor daemon; 0 if all is well. With `self_test` a missing
/// daemon is only noted.
pub fn run(invocation: &Invocation, self_test: bool) -> Result<c_int, Failure> {
    leave_protection()?;
    let mut report = Report::default();
    let named = std::env::var_os(locate::VARIABLE);
    let library = locate::locate(invocation.registry, named.as_deref());
    report.step(
        "library",
        match &library {
            Ok(library) => Ok(library.display()),
            Err(failure) => Err(&failure.message),
        },
    );
    if self_test && let Ok(library) = &library {
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
        check_daemon(settings, tor, self_test, &mut report);
    }
    Ok(c_int::from(!report.is_good()))
}

fn check_daemon(
    settings: &settings::Settings,
    tor: SocketAddr,
    optional: bool,
    report: &mut Report,
) {
    let credentials = settings.credentials(std::process::id() as i32, 0);
    match daemon::examine(tor, credentials.as_ref()) {
        Ok(()) => {
            report.step("Tor daemon", Ok::<_, &str>(format!("{tor} answers as Tor does")));
            if report.is_good() {
                report.text(format!("Now the real thing: {}", real_thing()));
            }
        }
        Err(problem) if optional => {
            report.note("Tor daemon", format!("{tor}: {problem}"));
            if report.is_good() {
                report.text(format!("Then the real thing: {}", real_thing()));
            }
        }
        Err(problem) => report.step("Tor daemon", Err::<&str, _>(format!("{tor}: {problem}"))),
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
