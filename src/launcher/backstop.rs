//! The backstop of a launch: a filter of system calls that what is started runs under, and a second lock
//! by Landlock where the kernel has it. See `epochsocks::backstop` and design/threat-model.md.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use epochsocks::backstop::secret::VARIABLE;
use epochsocks::backstop::{Action, Secret, Token, filter};
use epochsocks::config::{Backstop, Settings};
use epochsocks::sys::filter::{SPECULATION_ALLOWED, give_up_new_privileges, install};
use epochsocks::sys::{self, Errno, syscall_with_secret};

use crate::environment::Change;
use crate::failure::{Failure, Status, describe, warn};
use crate::{landlock, settings};

/// Remedy in the message of a failure.
const REMEDY: &str = "--no-backstop runs it without, which leaves what a program does in its own assembly \
    unprotected";

/// Puts this process, and so the program that it becomes, under a backstop as `settings` say; gives what
/// the program is to know of it. A launch has one: where there is one already it stays.
pub fn put_up(settings: &Settings) -> Result<Option<(OsString, Change)>, Failure> {
    let inherited = inherited();
    if let Some(outer) = inherited.filter(|outer| holds(*outer)) {
        return keep(outer, settings);
    }
    let forget = || inherited.map(|_| (OsString::from(VARIABLE), Change::Unset));
    if settings.backstop == Backstop::Never {
        return Ok(forget());
    }
    match erect(settings) {
        Ok(token) => {
            Ok(Some((OsString::from(VARIABLE), Change::Set(OsString::from(token.to_string())))))
        }
        Err(errno) => {
            let why = format!("the kernel puts no program under a filter: {}", describe(errno));
            if settings.backstop == Backstop::BestEffort {
                if settings.log_level >= settings::WARNINGS {
                    warn(format!("there is no backstop here: {why}"));
                }
                return Ok(forget());
            }
            let message = format!("there can't be a backstop here: {why}; {REMEDY}");
            Err(Failure::new(Status::Refused, message))
        }
    }
}

/// Tells whether this process runs under the backstop of another launch.
pub fn surrounds() -> bool {
    inherited().is_some_and(holds)
}

/// The backstop that the environment names, if that can be read.
fn inherited() -> Option<Token> {
    Token::parse(std::env::var_os(VARIABLE)?.as_bytes())
}

/// Tells whether the backstop `outer` is in force: its filter lets a socket come about with the secret, and none
/// without. What says so in the environment may have come from elsewhere.
fn holds(outer: Token) -> bool {
    match outer.action {
        Action::Deny => {
            makes_a_socket(0) == Err(Errno(libc::EACCES))
                && makes_a_socket(outer.secret.get()).is_ok()
        }
        // A supervisor may answer the one without the secret, too.
        Action::Notify => sys::filter::is_filtered() && makes_a_socket(outer.secret.get()).is_ok(),
    }
}

/// Tries whether a TCP socket comes about with `secret`. Errors: those of socket(2).
pub fn makes_a_socket(secret: u64) -> Result<(), Errno> {
    let kind = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as usize;
    let arguments = [libc::AF_INET as usize, kind, 0, 0, 0];
    // A launcher in a launch is judged as any program: one whose code has this number before the
    // instruction is refused.
    let number = std::hint::black_box(libc::SYS_socket);
    // SAFETY: socket takes integers.
    let fd = Errno::check(unsafe { syscall_with_secret(number, arguments, secret) })?;
    sys::close(fd as i32)
}

/// Stays under the backstop of the launch around this one, if what the settings want to reach can be
/// reached under it.
fn keep(outer: Token, settings: &Settings) -> Result<Option<(OsString, Change)>, Failure> {
    if settings.backstop == Backstop::Never && settings.log_level >= settings::WARNINGS {
        warn("the backstop of the epochsocks around this one stays: nothing can undo it");
    }
    if let Some(port) = outer.locked_to.filter(|port| landlock::forbids(*port, settings)) {
        let message = format!(
            "the epochsocks around this one lets nothing connect but to Tor's port {port}, and nothing can \
             undo it: start this one outside of it, or that one with  --no-backstop"
        );
        return Err(Failure::new(Status::Own, message));
    }
    Ok(None)
}

/// Puts this process under a filter with a new secret. Errors: those of getrandom(2), prctl(2) and
/// seccomp(2).
fn erect(settings: &Settings) -> Result<Token, Errno> {
    let (action, secret) = (Action::Deny, draw()?);
    let program = filter::program(action, secret).map_err(|_| Errno(libc::EINVAL))?;
    give_up_new_privileges()?;
    // A lock behind the lock: without it the filter does its work all the same.
    let port = settings.tor_port;
    let is_locked = landlock::fits(settings) && landlock::lock(port).is_ok();
    filtered(program.instructions())?;
    Ok(Token { action, secret, locked_to: is_locked.then_some(port) })
}

/// Puts this process under the filter `instructions`, in which the processor speculates as elsewhere
/// where the kernel can be told so (Linux 4.17).
pub fn filtered(instructions: &[libc::sock_filter]) -> Result<(), Errno> {
    install(instructions, SPECULATION_ALLOWED)
        .or_else(|errno| match errno {
            Errno(libc::EINVAL) => install(instructions, 0),
            _ => Err(errno),
        })
        .map(drop)
}

/// A new secret.
pub fn draw() -> Result<Secret, Errno> {
    loop {
        let mut random = 0_u64;
        // SAFETY: the kernel writes eight bytes. It draws so few without waiting, once it has started.
        let drawn = unsafe { libc::getrandom((&raw mut random).cast(), size_of_val(&random), 0) };
        if drawn != size_of_val(&random) as isize {
            return Err(Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)));
        }
        if let Some(secret) = Secret::new(random) {
            return Ok(secret);
        }
    }
}
