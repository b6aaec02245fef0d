//! Programs with a time limit, and C probes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// Directories in which programs are looked for: also those to which a user's PATH often does not lead.
pub fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin");
    path
}

/// Gives `command` the default dispositions of the signals that nohup ignores, and a shell for a job in the
/// background: programs inherit them.
pub fn default_signals(command: &mut Command) -> &mut Command {
    let restore = || {
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT] {
            // SAFETY: the test has no handlers.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: signal(2) is async-signal-safe.
    unsafe { command.pre_exec(restore) }
}

/// A program that runs in a process group of its own and is killed with it.
pub struct Running {
    group: i32,
    description: String,
    output: mpsc::Receiver<std::io::Result<Output>>,
}

impl Running {
    /// Starts `command` with its output collected and nothing to read, unless it says otherwise.
    pub fn start(command: &mut Command) -> Running {
        let description = format!("{command:?}");
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap_or_else(|error| panic!("{description}: {error}"));
        let group = i32::try_from(child.id()).expect("a process id is an int");
        Running { group, description, output: collect(child) }
    }

    /// Waits for the program's end, which must come within `limit`, and returns its output.
    pub fn finish(self, limit: Duration) -> Output {
        let description = self.description.clone();
        match self.finish_or_kill(limit) {
            (output, true) => output,
            (output, false) => {
                panic!("{description}: still running after {limit:?}: {output:?}")
            }
        }
    }

    /// Collects what the program printed and how it ended; false with it if that was not within `limit`,
    /// after which it is ended.
    pub fn finish_or_kill(self, limit: Duration) -> (Output, bool) {
        match self.output.recv_timeout(limit) {
            Ok(output) => (output.expect("a child can be waited for"), true),
            Err(_) => (self.kill(), false),
        }
    }

    /// Ends the program and all that it started.
    pub fn kill(self) -> Output {
        // SAFETY: a signal to a process group; the group is ours, as its leader has not been
        // waited for or has been by us only after its output ended.
        unsafe { libc::kill(-self.group, libc::SIGKILL) };
        self.output
            .recv()
            .expect("the collecting thread answers")
            .expect("a child can be waited for")
    }
}

fn collect(child: Child) -> mpsc::Receiver<std::io::Result<Output>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    receiver
}

/// Runs `command` to its end, which must come within `limit`.
pub fn finish(command: &mut Command, limit: Duration) -> Output {
    Running::start(command).finish(limit)
}

/// Both streams of an output, for messages and for searching.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Compiles tests/probes/`name`.c once a process; returns the program.
pub fn probe(name: &'static str) -> PathBuf {
    probe_as(name, name, &[])
}

/// Compiles tests/probes/`source`.c with more `flags` once a process, to what is called `name`.
pub fn probe_as(name: &'static str, source: &str, flags: &[&str]) -> PathBuf {
    static COMPILED: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    compiled.entry(name).or_insert_with(|| compile(name, source, flags)).clone()
}

fn compile(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/probes/{source}.c"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Processes that run side by side must not replace a program in use.
    let own = target.join(format!("{name}.{}", std::process::id()));
    let output = Command::new("cc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .args([&own, &source])
        .args(flags)
        .output()
        .expect("a C compiler is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let program = target.join(name);
    std::fs::rename(own, &program).expect("a file of ours can be renamed");
    program
}

/// The dynamic linker of this machine: the one that runs this process, as others may be there for other processors.
pub fn dynamic_linker() -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("there is /proc");
    let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    paths.into_iter().find(|path| path.contains("/ld-linux")).expect("a dynamic linker").to_owned()
}
