//! The processes of a launch with a supervisor:
//!
//! ```text
//!  launcher      what the user's shell has started: it stops, goes on and ends as the program does
//!     |
//!  supervisor    the ancestor of all, as Yama wants it; stays until the last one has ended
//!     |
//!  program       and whatever it starts, under the filter
//! ```
//!
//! All three are of one process group: the terminal's signals reach the program without help. The launcher
//! stops when the program does, so that the shell sees it; the supervisor never stops.

use std::cell::Cell;
use std::ffi::{OsString, c_int};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use epochsocks::backstop::secret::VARIABLE;
use epochsocks::backstop::{Action, Secret, Token, filter};
use epochsocks::config::Settings;
use epochsocks::launch_store::{Launch, id};
use epochsocks::sys::{self, Errno};

use super::abi::{self, Fork, Listener};
use super::log::{Level, Log, Subject};
use super::{Other, Supervisor};
use crate::environment::{Change, Changes};
use crate::failure::{Failure, Status, describe, warn};
use crate::{landlock, launch};

/// The supervisor's messages to the launcher, each with a number.
const IS_PROGRAM: u8 = b'p';
const HAS_ENDED: u8 = b'x';

/// Signals that the launcher hands on if they were sent to it, and not by the terminal to all.
const HANDED_ON: [i32; 9] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGCONT,
    libc::SIGWINCH,
];
/// Signals that the terminal sends to the whole process group; taken, and not handed on.
const OF_TERMINAL: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// Runs `program` under a supervisor. Gives the status to exit with in the launcher, and the reason why the
/// program could not be executed in its own process; `program` gets what its environment is to have beside
/// what it knows. Errors: what a supervisor needs can't be had here.
pub fn run(
    settings: &Settings,
    program: impl FnOnce(Changes) -> Failure,
) -> Result<c_int, Failure> {
    let mask = sys::block_signals();
    let (front, back) = abi::pair(0).map_err(|errno| failed("a socket pair", errno))?;
    let launcher = sys::getpid();
    match abi::fork().map_err(|errno| failed("another process", errno))? {
        Fork::Parent(supervisor) => {
            drop(back);
            Ok(lead(&front, supervisor))
        }
        Fork::Child => {
            drop(front);
            supervise(settings, back, launcher, mask, program)
        }
    }
}

fn failed(what: &str, errno: Errno) -> Failure {
    let why = describe(errno);
    let message = format!(
        "--redirect: {what} can't be had: {why}; without it only programs that use glibc run"
    );
    Failure::new(Status::Own, message)
}

/// A number as a message.
fn tell(to: &OwnedFd, kind: u8, number: i32) {
    let mut message = [kind, 0, 0, 0, 0];
    message[1..].copy_from_slice(&number.to_ne_bytes());
    let _ = sys::write(to.as_raw_fd(), &message);
}

/// The next message.
fn hear(from: &OwnedFd) -> Option<(u8, i32)> {
    let mut message = [0; 5];
    let length = epochsocks::sys::net::receive_now(from.as_raw_fd(), &mut message).ok()?;
    let [kind, number @ ..] = message;
    (length == message.len()).then_some((kind, i32::from_ne_bytes(number)))
}

/// The launcher, from here on: ends as the program does.
fn lead(back: &OwnedFd, supervisor: i32) -> c_int {
    abi::let_go_of_descriptors(&[back.as_raw_fd()]);
    let wanted: Vec<_> = HANDED_ON.iter().chain(&OF_TERMINAL).copied().collect();
    let (Ok(signals), Ok(set)) = (abi::signals(&wanted), abi::epoll()) else { return 125 };
    for fd in [&signals, back] {
        let (set, add, fd) = (set.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd());
        if sys::epoll_ctl(set, add, fd, libc::EPOLLIN as u32, fd as u64).is_err() {
            return 125;
        }
    }
    let (mut program, mut events, mut early) = (None, Vec::new(), Vec::new());
    loop {
        abi::wait(&set, None, &mut events);
        while let Some((number, origin)) = abi::next_signal(&signals) {
            // What the kernel sends, as for the terminal, the whole group has got.
            let is_sent = origin <= 0;
            match program {
                Some(program) if is_sent && HANDED_ON.contains(&number) => {
                    abi::signal(program, number);
                }
                None if is_sent => early.push(number),
                _ => {}
            }
        }
        if !events.iter().any(|(fd, _)| *fd == back.as_raw_fd() as u64) {
            continue;
        }
        match hear(back) {
            Some((IS_PROGRAM, number)) => {
                program = Some(number);
                early.drain(..).for_each(|signal| abi::signal(number, signal));
            }
            Some((HAS_ENDED, status)) if libc::WIFSIGNALED(status) => {
                abi::die_by(libc::WTERMSIG(status));
                return 128 + libc::WTERMSIG(status);
            }
            Some((HAS_ENDED, status)) => return libc::WEXITSTATUS(status),
            Some(_) => {}
            None => {
                let message =
                    "the supervisor was killed: what it served fails from now on (ENOSYS)";
                warn(format!("{message}; process {supervisor}"));
                return 125;
            }
        }
    }
}

/// The supervisor, which starts the program; comes back in the program's process only.
fn supervise(
    settings: &Settings,
    front: OwnedFd,
    launcher: i32,
    mask: u64,
    program: impl FnOnce(Changes) -> Failure,
) -> Result<c_int, Failure> {
    abi::adopt_orphans();
    let (launch, mut changes) = begun();
    let given = secret().ok_or(Errno(libc::EAGAIN)).and_then(|secret| Ok((secret, abi::pair(0)?)));
    let (secret, (near, far)) = given.map_err(|errno| failed("what it needs", errno))?;
    match abi::fork().map_err(|errno| failed("another process", errno))? {
        Fork::Child => {
            drop((front, near));
            let token = confine(settings, secret, &far)?;
            changes.push((VARIABLE.into(), Change::Set(token.to_string().into())));
            drop(far);
            sys::set_signals(mask);
            Err(program(changes))
        }
        Fork::Parent(program) => {
            drop(far);
            tell(&front, IS_PROGRAM, program);
            serve(settings, launch, &front, launcher, program, near);
            std::process::exit(0)
        }
    }
}

/// Puts the program's process under the filter, whose supervisor gets its other end, and under the lock of ports
/// where there can be one: the supervisor itself connects from outside of it.
fn confine(settings: &Settings, secret: Secret, supervisor: &OwnedFd) -> Result<Token, Failure> {
    let port = settings.tor_port;
    let installed = sys::filter::give_up_new_privileges().and_then(|()| {
        let is_locked = landlock::fits(settings) && landlock::lock(port).is_ok();
        let program = filter::program(Action::Notify, secret).map_err(|_| Errno(libc::EINVAL))?;
        abi::send_descriptor(supervisor, &Listener::install(&program)?)?;
        Ok(Token { action: Action::Notify, secret, locked_to: is_locked.then_some(port) })
    });
    installed.map_err(|errno| failed("seccomp's user notification", errno))
}

/// Serves the program and all that it starts.
fn serve(
    settings: &Settings,
    launch: Option<Launch>,
    front: &OwnedFd,
    launcher: i32,
    program: i32,
    near: OwnedFd,
) {
    let listener = abi::receive_descriptor(&near);
    drop(near);
    let mut kept = vec![front.as_raw_fd()];
    kept.extend(listener.as_ref().map(AsRawFd::as_raw_fd));
    abi::let_go_of_descriptors(&kept);
    abi::allow_many_descriptors();
    let Ok(signals) = abi::signals(&[libc::SIGCHLD]) else { return };
    let has_ended = Cell::new(false);
    let look = |log: &Log<'_>, other: Other| match other {
        Other::FrontIsGone if !has_ended.get() => abi::signal(program, libc::SIGKILL),
        Other::FrontIsGone => {}
        Other::Signal => {
            while abi::next_signal(&signals).is_some() {}
            while let Some(change) = abi::changed_child() {
                if change.child != program {
                    continue;
                }
                if libc::WIFSTOPPED(change.status) {
                    abi::signal(launcher, libc::SIGSTOP);
                } else {
                    has_ended.set(true);
                    tell(front, HAS_ENDED, change.status);
                    log.let_go();
                }
            }
        }
    };
    let log = Log::new(settings);
    let served = match listener {
        // The program's process has said why.
        None => Ok(()),
        Some(listener) => Supervisor::new(settings, launch, listener)
            .and_then(|supervisor| supervisor.serve([&signals, front], look)),
    };
    if let Err(errno) = served {
        let message = format_args!("the supervisor can't work: {errno}; the program is ended");
        log.line(Level::Error, Subject::Call, sys::getpid, message);
        abi::signal(program, libc::SIGKILL);
    }
    if !has_ended.get()
        && let Ok(status) = sys::wait_for(program)
    {
        tell(front, HAS_ENDED, status);
    }
}

/// The launch, and what the program's environment says of it. Other processes share it from the start.
fn begun() -> (Option<Launch>, Changes) {
    let mut changes: Changes = launch::begun_here().into_iter().collect();
    let inherited = std::env::var_os(id::VARIABLE);
    let value = changes.first().and_then(|(_, change)| change.value().cloned()).or(inherited);
    let launch = value.and_then(|value| Launch::parse(value.as_bytes()));
    if let Some(launch) = launch {
        changes = vec![(id::VARIABLE.into(), Change::Set(OsString::from(launch.to_string())))];
    }
    (launch, changes)
}

fn secret() -> Option<Secret> {
    abi::random().and_then(Secret::new)
}
