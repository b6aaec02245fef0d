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
use epochsocks::backstop::{Action, Secret, Token, filter, presence};
use epochsocks::config::Settings;
use epochsocks::launch_store::{Launch, id};
use epochsocks::sys::{self, Errno};

use super::abi::{self, Fork};
use super::listener::{Call, Listener};
use super::log::{Level, Log, Subject};
use super::pieces::{self, Lack, PIECES, Piece};
use super::{Other, Supervisor, Watch};
use crate::environment::{Change, Changes};
use crate::failure::{Failure, Status, describe, warn};
use crate::{landlock, launch};

/// The launcher's message to the supervisor: a signal that it has got.
const HAS_SIGNAL: u8 = b's';
/// The supervisor's messages to the launcher, each with a number: that the program is served; the piece that is
/// missing ([`Lack::code`]); the program's status.
const IS_SERVED: u8 = b'o';
const IS_UNSERVED: u8 = b'u';
const HAS_ENDED: u8 = b'x';

/// The end of a launch under a supervisor.
pub enum Ran {
    /// The program has ended, and the launcher is to exit with this status.
    Ended(c_int),
    /// There can be no supervisor here, and nothing has run.
    Unserved(Lack),
}

/// Signals that are not handed on: those that stop, which the terminal sends to the whole process group; that of a
/// child's end; and faults, which are a process's own.
const KEPT: [i32; 10] = [
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGCHLD,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGSYS,
];

/// Runs `program` under a supervisor. Comes back in the launcher, and with the reason why the program could not be
/// executed in its own process; `program` gets what its environment is to have beside what it knows. Errors:
/// those of fork(2) and socketpair(2).
pub fn run(settings: &Settings, program: impl FnOnce(Changes) -> Failure) -> Result<Ran, Failure> {
    let mask = sys::block_signals();
    abi::fill_standard_descriptors();
    let (front, back) = abi::pair(0).map_err(|errno| failed("a socket pair", errno))?;
    let launcher = sys::getpid();
    match abi::fork().map_err(|errno| failed("another process", errno))? {
        Fork::Parent(supervisor) => {
            drop(back);
            let ran = lead(&front, supervisor);
            if matches!(ran, Ran::Unserved(_)) {
                sys::set_signals(mask);
            }
            Ok(ran)
        }
        Fork::Child => {
            drop(front);
            supervise(settings, back, launcher, mask, program)
        }
    }
}

fn failed(what: &str, errno: Errno) -> Failure {
    let why = describe(errno);
    Failure::new(Status::Own, format!("{what} for the supervisor can't be had: {why}"))
}

/// A number as a message.
fn tell(to: &OwnedFd, kind: u8, number: i32) {
    let mut message = [kind, 0, 0, 0, 0];
    message[1..].copy_from_slice(&number.to_ne_bytes());
    let _ = sys::write(to.as_raw_fd(), &message);
}

/// The next message. Errors: `EAGAIN` if there is none; `EPIPE` if the other end is gone.
fn hear(from: &OwnedFd) -> Result<(u8, i32), Errno> {
    let mut message = [0; 5];
    let mut receive = || epochsocks::sys::net::receive_now(from.as_raw_fd(), &mut message);
    let length = match receive() {
        // The other end has left a message unread. Its own are still to come.
        Err(Errno(libc::ECONNRESET)) => receive()?,
        received => received?,
    };
    let [kind, number @ ..] = message;
    let is_whole = length == message.len();
    is_whole.then_some((kind, i32::from_ne_bytes(number))).ok_or(Errno(libc::EPIPE))
}

/// A descriptor that brings the signals that are handed on.
fn handed_on() -> Result<OwnedFd, Errno> {
    let all = 1..=libc::SIGRTMAX();
    abi::signals(&all.filter(|number| !KEPT.contains(number)).collect::<Vec<_>>())
}

/// The launcher, from here on: ends as the program does.
fn lead(back: &OwnedFd, supervisor: i32) -> Ran {
    let (Ok(signals), Ok(set)) = (handed_on(), abi::epoll()) else {
        return Ran::Ended(125);
    };
    for fd in [&signals, back] {
        let (set, add, fd) = (set.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd());
        if sys::epoll_ctl(set, add, fd, libc::EPOLLIN as u32, fd as u64).is_err() {
            return Ran::Ended(125);
        }
    }
    let mut events = Vec::new();
    loop {
        abi::wait(&set, None, &mut events);
        while let Some(signal) = abi::next_signal(&signals) {
            // The supervisor's own brings the launcher back.
            if signal.sender != supervisor {
                tell(back, HAS_SIGNAL, signal.number);
            }
        }
        if !events.iter().any(|(fd, _)| *fd == back.as_raw_fd() as u64) {
            continue;
        }
        match hear(back) {
            Ok((IS_SERVED, _)) => {
                let kept = [back, &set, &signals].map(AsRawFd::as_raw_fd);
                abi::let_go_of_descriptors(&kept);
            }
            Ok((IS_UNSERVED, code)) => {
                let _ = sys::wait_for(supervisor);
                let unknown = Lack { piece: Piece::Notification, errno: Errno(libc::EINVAL) };
                return Ran::Unserved(Lack::of_code(code).unwrap_or(unknown));
            }
            Ok((HAS_ENDED, status)) if libc::WIFSIGNALED(status) => {
                abi::die_by(libc::WTERMSIG(status));
                return Ran::Ended(128 + libc::WTERMSIG(status));
            }
            Ok((HAS_ENDED, status)) => return Ran::Ended(libc::WEXITSTATUS(status)),
            Ok(_) | Err(Errno(libc::EAGAIN)) => {}
            Err(_) => {
                let message =
                    "the supervisor was killed: what it served fails from now on (ENOSYS)";
                warn(format!("{message}; process {supervisor}"));
                return Ran::Ended(125);
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
) -> Result<Ran, Failure> {
    abi::adopt_orphans();
    let (launch, mut changes) = begun();
    let given = secret().ok_or(Errno(libc::EAGAIN)).and_then(|secret| Ok((secret, abi::pair(0)?)));
    let (secret, (near, far)) = given.map_err(|errno| failed("what it needs", errno))?;
    match abi::fork().map_err(|errno| failed("another process", errno))? {
        Fork::Child => {
            drop((front, near));
            let token = match confine(settings, secret, &far) {
                Ok(token) => token,
                Err(Errno(errno)) => sys::exit_group(errno),
            };
            // Waits for the supervisor, which has seen by then whether it can serve; far is closed on exec.
            if !presence::is_supervised() {
                sys::exit_group(0);
            }
            changes.push((VARIABLE.into(), Change::Set(token.to_string().into())));
            sys::set_signals(mask);
            Err(program(changes))
        }
        Fork::Parent(program) => {
            let descriptor = far.as_raw_fd();
            drop(far);
            match begin(&near, descriptor) {
                Ok(listener) => {
                    tell(&front, IS_SERVED, 0);
                    drop(near);
                    serve(settings, launch, &front, launcher, program, listener);
                }
                Err(lack) => {
                    let status = sys::wait_for(program).unwrap_or_default();
                    let is_killed = libc::WIFSIGNALED(status);
                    // The program's process tells what kept it from its filter.
                    let own = Errno(libc::WEXITSTATUS(status));
                    let own = Lack { piece: Piece::Notification, errno: own };
                    let lack = if own.errno.0 == 0 { lack } else { own };
                    match is_killed {
                        true => tell(&front, HAS_ENDED, status),
                        false => tell(&front, IS_UNSERVED, lack.code()),
                    }
                }
            }
            std::process::exit(0)
        }
    }
}

/// Takes the filter's listener, and answers the first call of the program's process, which is its question, once
/// each piece has been tried.
fn begin(near: &OwnedFd, descriptor: i32) -> Result<Listener, Lack> {
    let lack = |errno| Lack { piece: Piece::Notification, errno };
    let (listener, call, tried) = try_pieces(near, descriptor).map_err(lack)?;
    let missing = PIECES
        .into_iter()
        .zip(tried)
        .find_map(|(piece, tried)| tried.err().map(|errno| Lack { piece, errno }));
    let answer = if missing.is_none() { presence::ANSWER } else { Errno(libc::EPERM) };
    let answered = listener.answer(call.id, Err(answer)).map_err(lack);
    missing.map_or(answered, Err).map(|()| listener)
}

/// Result of each piece of [`PIECES`].
type Tried = [Result<(), Errno>; PIECES.len()];

/// Takes the filter's listener, and tries each piece on the process that makes the first call, which waits for its
/// answer. Errors: `EBADF` without a listener; those of the receipt of a call.
fn try_pieces(near: &OwnedFd, descriptor: i32) -> Result<(Listener, Call, Tried), Errno> {
    let listener = Listener::new(abi::receive_descriptor(near).ok_or(Errno(libc::EBADF))?);
    let call = listener.first()?;
    let tried = pieces::tried(&listener, &call, descriptor);
    Ok((listener, call, tried))
}

/// Tries each piece in processes of their own, for the doctor. Errors: those of fork(2) and socketpair(2), and what
/// kept the process from its filter.
pub fn trial() -> Result<Tried, Errno> {
    let secret = secret().ok_or(Errno(libc::EAGAIN))?;
    let (near, far) = abi::pair(0)?;
    match abi::fork()? {
        Fork::Child => {
            drop(near);
            let installed = install(secret, &far).map(|()| presence::is_supervised());
            sys::exit_group(installed.map_or_else(|errno| errno.0, |_| 0))
        }
        Fork::Parent(child) => {
            let descriptor = far.as_raw_fd();
            drop(far);
            let tried = try_pieces(&near, descriptor).and_then(|(listener, call, tried)| {
                listener.answer(call.id, Err(presence::ANSWER)).map(|()| tried)
            });
            match libc::WEXITSTATUS(sys::wait_for(child)?) {
                0 => tried,
                errno => Err(Errno(errno)),
            }
        }
    }
}

/// Puts the program's process under the filter, whose supervisor gets its other end, and under the lock of ports
/// where there can be one: the supervisor itself connects from outside of it.
fn confine(settings: &Settings, secret: Secret, supervisor: &OwnedFd) -> Result<Token, Errno> {
    let port = settings.tor_port;
    let is_locked = landlock::fits(settings) && landlock::lock(port).is_ok();
    install(secret, supervisor)?;
    Ok(Token { action: Action::Notify, secret, locked_to: is_locked.then_some(port) })
}

/// Installs the filter, whose supervisor gets its other end.
fn install(secret: Secret, supervisor: &OwnedFd) -> Result<(), Errno> {
    sys::filter::give_up_new_privileges()?;
    let program = filter::program(Action::Notify, secret).map_err(|_| Errno(libc::EINVAL))?;
    abi::send_descriptor(supervisor, &Listener::install(&program)?)
}

/// Serves the program and all that it starts.
fn serve(
    settings: &Settings,
    launch: Option<Launch>,
    front: &OwnedFd,
    launcher: i32,
    program: i32,
    listener: Listener,
) {
    abi::let_go_of_descriptors(&[front.as_raw_fd(), listener.fd()]);
    abi::allow_many_descriptors();
    let (Ok(signals), Ok(of_group)) = (abi::signals(&[libc::SIGCHLD]), handed_on()) else { return };
    let (has_ended, mut group) = (Cell::new(false), Group { signals: of_group, got: 0 });
    let look = |log: &Log<'_>, other: Other| match other {
        Other::Front => loop {
            match hear(front) {
                Ok((HAS_SIGNAL, number)) if !has_ended.get() => group.hand_on(number, program),
                Ok(_) => {}
                Err(Errno(libc::EAGAIN)) => break Watch::GoesOn,
                Err(_) => {
                    if !has_ended.get() {
                        abi::signal(program, libc::SIGKILL);
                    }
                    break Watch::Ends;
                }
            }
        },
        Other::Signal => {
            while abi::next_signal(&signals).is_some() {}
            while let Some(change) = abi::changed_child() {
                if change.child != program {
                    continue;
                }
                if libc::WIFSTOPPED(change.status) {
                    abi::signal_parent(launcher, libc::SIGSTOP);
                } else if libc::WIFCONTINUED(change.status) {
                    abi::signal_parent(launcher, libc::SIGCONT);
                } else {
                    has_ended.set(true);
                    tell_end(front, launcher, change.status);
                    log.let_go();
                }
            }
            Watch::GoesOn
        }
    };
    let log = Log::new(settings);
    let served = Supervisor::new(settings, launch, listener)
        .and_then(|supervisor| supervisor.serve([&signals, front], look));
    if let Err(errno) = served {
        let message = format_args!("the supervisor can't work: {errno}; the program is ended");
        log.line(Level::Error, Subject::Call, sys::getpid, message);
        abi::signal(program, libc::SIGKILL);
    }
    if !has_ended.get()
        && let Ok(status) = sys::wait_for(program)
    {
        tell_end(front, launcher, status);
    }
}

/// The signals that the whole process group has got, which the supervisor belongs to.
struct Group {
    signals: OwnedFd,
    /// A bit for each that the launcher has not told of yet.
    got: u64,
}

impl Group {
    /// Gives the program a signal that the launcher has got, unless the program has got it by itself: it is of the
    /// launcher's process group, and the supervisor has got it, too.
    fn hand_on(&mut self, number: i32, program: i32) {
        while let Some(signal) = abi::next_signal(&self.signals) {
            self.got |= bit(signal.number);
        }
        let is_of_group = self.got & bit(number) != 0 && abi::is_of_this_group(program);
        self.got &= !bit(number);
        if !is_of_group {
            abi::signal(program, number);
        }
    }
}

fn bit(number: i32) -> u64 {
    1 << (number - 1)
}

/// The program's end. The launcher may be stopped, as the program was that ended.
fn tell_end(front: &OwnedFd, launcher: i32, status: i32) {
    tell(front, HAS_ENDED, status);
    abi::signal_parent(launcher, libc::SIGCONT);
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
