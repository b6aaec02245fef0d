//! The layers of the backstop, each tried by a child that puts itself under it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use epochsocks::backstop::{Action, filter};
use epochsocks::config::{Backstop, Settings};
use epochsocks::sys::{self, Errno, filter::give_up_new_privileges, syscall6};

use super::report::Report;
use crate::backstop::{draw, filtered, makes_a_socket};
use crate::failure::describe;
use crate::landlock;

/// Exit status of a child in which a layer has no effect; no errno.
const NO_EFFECT: i32 = 255;

/// Reports each layer: what it stops, or why it is not in force.
pub fn examine(settings: &Settings, report: &mut Report) {
    let is_wanted = settings.backstop != Backstop::Never;
    if !is_wanted {
        report.note("backstop", "none, as Backstop says: what no hook sees is not stopped");
    }
    match (in_child(refuses_strangers), settings.backstop) {
        (Ok(()), _) => report.step(
            "backstop filter",
            Ok::<_, &str>(
                "sockets that no hook has made, io_uring and other tables of system calls are refused \
                 (seccomp)",
            ),
        ),
        (Err(why), Backstop::Always) => report.step(
            "backstop filter",
            Err::<&str, _>(format!(
                "no filter of system calls: {why}; --backstop best-effort runs programs without"
            )),
        ),
        (Err(why), _) => report.note("backstop filter", format!("no filter of system calls: {why}")),
    }
    let step = "backstop ports";
    if !landlock::fits(settings) {
        let text = "any port may be connected to: AllowOutboundLocalhost or AllowDirect needs others \
            than Tor's";
        return report.note(step, text);
    }
    match in_child(keeps_to_one_port) {
        Ok(()) => {
            let text = "nothing connects by TCP but to Tor's port, whatever call asks (Landlock)";
            report.step(step, Ok::<_, &str>(text));
        }
        Err(why) => report.note(
            step,
            format!("a connect that no hook sees may lead to any port of this machine: {why}"),
        ),
    }
}

/// Tells whether a process under the filter makes a socket with the secret only, and no ring.
fn refuses_strangers() -> Result<bool, Errno> {
    let secret = draw()?;
    let program = filter::program(Action::Deny, secret).map_err(|_| Errno(libc::EINVAL))?;
    give_up_new_privileges()?;
    filtered(program.instructions())?;
    // As in `makes_a_socket`.
    let setup = std::hint::black_box(libc::SYS_io_uring_setup);
    // SAFETY: no entries, and no memory to write to.
    let ring = unsafe { syscall6(setup, 0, 0, 0, 0, 0, 0) };
    Ok(makes_a_socket(0) == Err(Errno(libc::EACCES))
        && makes_a_socket(secret.get()).is_ok()
        && Errno::check(ring) == Err(Errno(libc::ENOSYS)))
}

/// Tells whether a process under the lock can connect to one port, and not to another.
fn keeps_to_one_port() -> Result<bool, Errno> {
    let errno = |error: std::io::Error| Errno(error.raw_os_error().unwrap_or(libc::EIO));
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(errno);
    let (one, other) = (listen()?, listen()?);
    let address = |listener: &TcpListener| -> Result<SocketAddr, Errno> {
        listener.local_addr().map_err(errno)
    };
    give_up_new_privileges()?;
    landlock::lock(address(&one)?.port()).map_err(|_| Errno(libc::ENOSYS))?;
    let refused = TcpStream::connect(address(&other)?).map_err(errno).map(drop);
    Ok(TcpStream::connect(address(&one)?).is_ok() && refused == Err(Errno(libc::EACCES)))
}

/// Carries a trial out in a child; it says whether the layer has its effect. Nothing else has started a thread
/// in this process.
fn in_child(trial: fn() -> Result<bool, Errno>) -> Result<(), String> {
    // SAFETY: this process has one thread, so the child may do all that it may.
    let child = unsafe { libc::fork() };
    if child == 0 {
        sys::exit_group(match trial() {
            Ok(true) => 0,
            Ok(false) => NO_EFFECT,
            Err(Errno(errno)) => errno,
        });
    }
    let failed = |errno| format!("it can't be tried: {}", describe(errno));
    let status = sys::wait_for(child).map_err(failed)?;
    match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
        (true, 0) => Ok(()),
        (true, NO_EFFECT) => Err("it has no effect here".to_owned()),
        (true, errno) => Err(describe(Errno(errno))),
        (false, _) => Err("a process that tries it is ended".to_owned()),
    }
}
