//! The verdict on a run.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Output};

use serde::{Deserialize, Serialize};

use crate::wrapper::Wrapper;

/// From the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It printed what it should have, and nothing went beside Tor.
    Works,
    /// It did not, and the wrapper says why.
    Refused,
    /// It did not, and the wrapper says nothing.
    Fails,
    /// It did not end in time.
    Hangs,
    /// It, or the shell's child that it is, was ended by a signal of its own.
    Crashes,
    /// A packet went beside Tor.
    Leaks,
}

impl Verdict {
    /// As it stands in the page.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Works => "works",
            Verdict::Refused => "refused",
            Verdict::Fails => "fails",
            Verdict::Hangs => "hangs",
            Verdict::Crashes => "crashes",
            Verdict::Leaks => "leaks",
        }
    }

    /// The verdict on a run that printed `output`, of which `found` says whether it is what was asked for.
    pub fn of(found: bool, ended: bool, leaks: usize, output: &Output, reason: &str) -> Verdict {
        match () {
            () if leaks > 0 => Verdict::Leaks,
            () if found => Verdict::Works,
            () if !ended => Verdict::Hangs,
            () if crashed(output.status) => Verdict::Crashes,
            () if !reason.is_empty() => Verdict::Refused,
            () => Verdict::Fails,
        }
    }
}

/// Finds the wrapper's word on what it refused; empty without one.
pub fn reason(wrapper: Wrapper, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().find(|line| wrapper.says(line)).unwrap_or_default().trim().to_owned()
}

/// Tells whether a signal that a fault raises has ended the program, or a child of which a shell tells so.
fn crashed(status: ExitStatus) -> bool {
    let faults =
        [libc::SIGSEGV, libc::SIGABRT, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];
    let signal = status.signal().or(status.code().map(|code| code - 128));
    signal.is_some_and(|signal| faults.contains(&signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(status: i32, stderr: &str) -> Output {
        let status = ExitStatus::from_raw(status);
        Output { status, stdout: Vec::new(), stderr: stderr.as_bytes().to_vec() }
    }

    #[test]
    fn a_leak_outweighs_success() {
        assert_eq!(Verdict::of(true, true, 1, &output(0, ""), ""), Verdict::Leaks);
    }

    #[test]
    fn a_shell_tells_of_a_crash_by_its_exit_status() {
        let crash = output((128 + libc::SIGSEGV) << 8, "");
        assert_eq!(Verdict::of(false, true, 0, &crash, "why"), Verdict::Crashes);
        let own = output(libc::SIGABRT, "");
        assert_eq!(Verdict::of(false, true, 0, &own, ""), Verdict::Crashes);
    }

    #[test]
    fn a_reason_tells_a_refusal_from_a_failure() {
        let refused = output(1 << 8, "x\nepochsocks[7]: warning: listen refused\n");
        let why = reason(Wrapper::Epochsocks, &refused);
        assert_eq!(why, "epochsocks[7]: warning: listen refused");
        assert_eq!(Verdict::of(false, true, 0, &refused, &why), Verdict::Refused);
        assert_eq!(Verdict::of(false, true, 0, &refused, ""), Verdict::Fails);
        assert_eq!(Verdict::of(false, false, 0, &refused, &why), Verdict::Hangs);
    }
}
