//! Machine and time of a run.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A machine at the start of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's model.
    pub processor: String,
    /// Number of processors.
    pub processors: usize,
    /// The kernel's release.
    pub kernel: String,
    /// The C library.
    pub libc: String,
    /// The compiler.
    pub rustc: String,
    /// The commit that was measured, with a mark if files differed from it.
    pub commit: String,
    /// Seconds since 1970.
    pub time: u64,
    /// The load averages of 1, 5 and 15 minutes.
    pub load: String,
}

impl Machine {
    /// This machine, now.
    pub fn now() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Machine {
            processor: processor(&read("/proc/cpuinfo")),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            libc: first_line(&output("ldd", &["--version"])),
            rustc: first_line(&output("rustc", &["--version"])),
            commit: commit(),
            time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            load: read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
        }
    }
}

fn processor(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned()
}

fn commit() -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).to_string_lossy();
    let git = |arguments: &[&str]| output("git", &[&["-C", &directory], arguments].concat());
    let clean = git(&["status", "--porcelain", "--untracked-files=no"]).trim().is_empty();
    format!("{}{}", git(&["rev-parse", "--short", "HEAD"]).trim(), if clean { "" } else { "+" })
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("unknown").to_owned()
}
