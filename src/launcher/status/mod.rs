//! `epochsocks status`: the sockets of programs that run under epochsocks.
//!
//! - [`question`]: what is asked
//! - [`process`]: a process in /proc
//! - [`memory`]: the bytes of its memory; [`reader`]: what they say, if they can be believed
//! - [`kernel`]: what the kernel says of the same sockets
//! - [`snapshot`]: both, put together; [`table`]: as it is printed
//!
//! The process is neither stopped nor asked: a program that is stopped, or waits, shows its sockets,
//! too. The kernel permits it to those who may debug the process: its user and root.

mod kernel;
mod memory;
mod process;
pub mod question;
mod reader;
mod snapshot;
mod table;

use std::ffi::c_int;
use std::io::{IsTerminal, stdout};
use std::time::Duration;

use epochsocks::sys;

use crate::failure::{Failure, print, warn};
use process::Process;
use question::Question;
use reader::Unreadable;
use snapshot::Snapshot;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Prints the sockets of the process that is asked for, or of all; 0 if there was something to
/// print, 1 if nothing can be told of the process, or no process runs under epochsocks. Errors: standard
/// output can't be written.
pub fn run(question: &Question) -> Result<c_int, Failure> {
    loop {
        let text = match look(question) {
            Ok(snapshots) => table::text(&snapshots, question.form),
            Err(why) => {
                warn(why);
                return Ok(1);
            }
        };
        let start = if question.watch && stdout().is_terminal() { CLEAR } else { "" };
        print([start, &text].concat().as_bytes())?;
        if !question.watch {
            return Ok(0);
        }
        std::thread::sleep(INTERVAL);
    }
}

/// The processes that are asked for. The error is for the user.
fn look(question: &Question) -> Result<Vec<Snapshot>, String> {
    // Without an answer the columns that it fills stay empty.
    let kernel = kernel::sockets().unwrap_or_default();
    let unlisted = |error| format!("/proc can't be read: {error}");
    let (processes, none) = match question.process.map(Process) {
        // A launcher that stays has a supervisor, and stands for what runs under that.
        Some(launcher) if launcher.is_launcher() => {
            let led = launcher.descendants().map_err(unlisted)?;
            (led, format!("no program with the library runs under process {}", launcher.0))
        }
        Some(process) => {
            let snapshot = snapshot::of(process, &kernel).map_err(|why| explain(process, &why))?;
            return Ok(vec![snapshot]);
        }
        None => {
            let none = "no process that you may look into runs under epochsocks";
            (Process::all().map_err(unlisted)?, none.to_owned())
        }
    };
    let own = std::process::id().cast_signed();
    let mut unreadable = None;
    let mut snapshots = Vec::new();
    for process in processes.into_iter().filter(|process| process.0 != own) {
        // Of other users' processes nothing is said but where they are asked for.
        if process.libraries().is_ok_and(|libraries| !libraries.is_empty()) {
            match snapshot::of(process, &kernel) {
                Ok(snapshot) => snapshots.push(snapshot),
                Err(Unreadable::Gone | Unreadable::NotOurs) => {}
                Err(why) => unreadable = Some(explain(process, &why)),
            }
        }
    }
    match unreadable {
        Some(why) if snapshots.is_empty() => Err(why),
        Some(why) => {
            warn(why);
            Ok(snapshots)
        }
        None if snapshots.is_empty() && !question.watch => Err(none),
        None => Ok(snapshots),
    }
}

fn explain(process: Process, why: &Unreadable) -> String {
    let Process(pid) = process;
    match why {
        Unreadable::Gone => format!("there is no process {pid}"),
        _ if process.is_zombie() => format!(
            "process {pid} is a zombie: it has ended, and its parent has not asked for its exit status"
        ),
        Unreadable::Denied => denied(process),
        Unreadable::NotOurs if process.ancestors().any(Process::is_launcher) => format!(
            "process {pid} runs without the library, under a supervisor, which tells of no sockets"
        ),
        Unreadable::NotOurs => format!("process {pid} does not run under epochsocks"),
        Unreadable::OtherVersion(version) => format!(
            "process {pid} runs under another build of epochsocks ({version}), whose own status shows it"
        ),
        Unreadable::OtherRegistry => format!(
            "process {pid} runs with a registry that has no table to look into (--registry slots has)"
        ),
        Unreadable::Nonsense => {
            format!("process {pid} is unreadable: its library's memory makes no sense")
        }
    }
}

/// Reason that the kernel does not let this user look into the process, and the remedy.
fn denied(process: Process) -> String {
    let Process(pid) = process;
    let user = process.user().ok();
    if user.is_some_and(|user| user != sys::effective_user()) {
        return format!(
            "process {pid} is another user's, or closed to its own: its user and root may look into it"
        );
    }
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match scope.trim_ascii() {
        "1" | "2" => format!(
            "process {pid} can't be read, as Yama forbids it (kernel.yama.ptrace_scope is {}): run this \
             as root, or set it to 0 (sysctl -w kernel.yama.ptrace_scope=0)",
            scope.trim_ascii()
        ),
        "3" => format!(
            "process {pid} can't be read, as Yama forbids it to everybody until the next boot \
             (kernel.yama.ptrace_scope is 3)"
        ),
        _ => format!(
            "process {pid} can't be read: a sandbox, a container or a security module forbids it; run \
             this outside of it, or as root"
        ),
    }
}
