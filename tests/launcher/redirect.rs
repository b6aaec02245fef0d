//! The processes of a launch with a supervisor: what a user and a shell see of them.

use std::ffi::CString;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::backstop::forbidding;
use crate::sandbox::{Sandbox, outcome};
use crate::support::process::probe_as;
use crate::support::{preload, skip};

const FLAG: &str = "--redirect";

#[test]
fn the_programs_own_status_and_the_launchers_come_back() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run([FLAG, "sh", "-c", "exit 7"]).status, Some(7));
    for signal in [libc::SIGUSR1, libc::SIGKILL, libc::SIGSEGV] {
        let line = format!("kill -{signal} $$");
        let killed = sandbox.launcher().args([FLAG, "sh", "-c", &line]).status().unwrap();
        assert_eq!(killed.signal(), Some(signal));
    }
    assert_eq!(sandbox.run([FLAG, "nothing-of-that-name"]).status, Some(127));
    let script = sandbox.script("missing-interpreter", "#!/nonexistent/interpreter");
    assert_eq!(sandbox.run([FLAG.as_ref(), script.as_os_str()]).status, Some(126));
}

#[test]
fn a_static_program_runs_and_a_setuid_one_does_not() {
    let sandbox = Sandbox::new();
    let program = sandbox.program("static", &["-static"]);
    let outcome = sandbox.run([FLAG.as_ref(), program.as_os_str()]);
    assert_eq!((outcome.status, &*outcome.stdout), (Some(0), "ran\n"), "{outcome:?}");
    let setuid = sandbox.program_with_mode("setuid", 0o4755);
    let outcome = sandbox.run([FLAG.as_ref(), setuid.as_os_str()]);
    assert_eq!((outcome.status, &*outcome.stdout), (Some(126), ""), "{outcome:?}");
}

/// glibc asks nscd inside, where it is linked into a program.
#[test]
fn a_service_that_looks_names_up_is_not_asked() {
    let sandbox = Sandbox::new();
    let socket = sandbox.file("nscd/place", "", 0o600).with_file_name("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let program = probe_as("helper-static", "helper", &["-static"]);
    let mut command = sandbox.launcher();
    command.args([FLAG.as_ref(), program.as_os_str(), "lookups".as_ref()]).env("HELPER", &socket);
    let outcome = outcome(&mut command);
    assert_eq!((outcome.status, &*outcome.stdout), (Some(0), "done\n"), "{outcome:?}");
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn the_program_gets_its_descriptors_signals_and_arguments_as_without_a_supervisor() {
    let sandbox = Sandbox::new();
    let show =
        "cat /proc/self/cmdline; grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status; ls /proc/self/fd";
    let plain = sandbox.run(["sh", "-c", show]);
    let supervised = sandbox.run([FLAG, "sh", "-c", show]);
    assert_eq!(supervised.stdout, plain.stdout);
}

/// A launch of a shell that has told its own process id.
struct Shell {
    launcher: Child,
    output: BufReader<ChildStdout>,
    process: i32,
}

impl Shell {
    fn start(sandbox: &Sandbox, script: &str) -> Shell {
        let mut launcher = sandbox.launcher();
        let script = format!("echo $$; {script}");
        launcher.args([FLAG, "sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut launcher = launcher.spawn().unwrap();
        let mut output = BufReader::new(launcher.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        Shell { launcher, output, process: line.trim().parse().unwrap() }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// Waits until the launcher is in a state of proc_pid_stat(5).
    fn until_launcher_is(&self, state: &str) {
        let path = format!("/proc/{}/stat", self.launcher.id());
        let is = || std::fs::read_to_string(&path).unwrap().contains(&format!(") {state} "));
        while !is() {
            std::thread::yield_now();
        }
    }
}

fn send(process: i32, signal: i32) {
    // SAFETY: takes integers; the processes were not waited for.
    unsafe { libc::kill(process, signal) };
}

#[test]
fn each_signal_that_is_sent_to_the_launcher_reaches_the_program() {
    let sandbox = Sandbox::new();
    let names = "HUP INT QUIT ABRT USR1 USR2 PIPE ALRM TERM STKFLT CONT URG XCPU XFSZ VTALRM PROF WINCH IO PWR \
                 RTMIN RTMAX";
    let traps = names
        .split_whitespace()
        .fold(String::new(), |all, name| format!("{all}trap 'echo got {name}' {name}; "));
    let script = format!("{traps} trap 'exit 9' RTMIN+1; echo up; while :; do sleep 0.01; done");
    let mut bash = sandbox.launcher();
    bash.args([FLAG, "bash", "-c", &script]).stdout(Stdio::piped());
    let mut launcher = bash.spawn().unwrap();
    let mut output = BufReader::new(launcher.stdout.take().unwrap());
    let mut line = String::new();
    let mut next = || {
        line.clear();
        output.read_line(&mut line).unwrap();
        line.clone()
    };
    assert_eq!(next(), "up\n");
    for name in names.split_whitespace() {
        let kill = format!("kill -{name} {}", launcher.id());
        assert!(Command::new("bash").args(["-c", &kill]).status().unwrap().success());
        assert_eq!(next(), format!("got {name}\n"));
    }
    send(launcher.id() as i32, libc::SIGRTMIN() + 1);
    assert_eq!(launcher.wait().unwrap().code(), Some(9));
}

#[test]
fn a_signal_to_the_whole_group_reaches_the_program_once() {
    if !skip::missing(&["python3"]).is_empty() {
        return skip::skip("python3 is needed");
    }
    let sandbox = Sandbox::new();
    let script = "import signal, sys\n\
                  wanted = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1}\n\
                  signal.pthread_sigmask(signal.SIG_BLOCK, wanted)\n\
                  print('up', flush=True)\n\
                  while (got := signal.sigwait(wanted)) != signal.SIGUSR1: print(got.name, flush=True)\n";
    let mut launcher = sandbox.launcher();
    launcher.args([FLAG, "python3", "-c", script]).stdout(Stdio::piped());
    let mut launcher = CommandExt::process_group(&mut launcher, 0).spawn().unwrap();
    let mut output = BufReader::new(launcher.stdout.take().unwrap());
    let mut next = || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        line
    };
    assert_eq!(next(), "up\n");
    let process = launcher.id() as i32;
    let pending = format!("/proc/{process}/status");
    let (group, [term, int]) = (-process, [libc::SIGTERM, libc::SIGINT]);
    for (to, signal, name) in
        [(group, term, "SIGTERM\n"), (group, int, "SIGINT\n"), (process, term, "SIGTERM\n")]
    {
        send(to, signal);
        assert_eq!(next(), name);
        // The next one must not meet it: a signal that pends twice comes once.
        while !std::fs::read_to_string(&pending).unwrap().contains("ShdPnd:\t0000000000000000") {
            std::thread::yield_now();
        }
    }
    send(process, libc::SIGUSR1);
    assert_eq!(next(), "");
    assert!(launcher.wait().unwrap().success());
}

#[test]
fn a_launcher_whose_program_alone_is_stopped_goes_on_and_ends_with_it() {
    let sandbox = Sandbox::new();
    for (signal, killed_by) in [(libc::SIGCONT, None), (libc::SIGKILL, Some(libc::SIGKILL))] {
        let mut shell = Shell::start(&sandbox, "echo up; read line; kill -STOP $$; exit 0");
        drop(shell.launcher.stdin.take());
        assert_eq!(shell.line(), "up\n");
        shell.until_launcher_is("T");
        send(shell.process, signal);
        let status = shell.launcher.wait().unwrap();
        assert_eq!(status.signal(), killed_by, "{status}");
    }
}

/// The kernel tells the session's leader alone.
#[test]
fn a_hang_up_of_its_terminal_reaches_the_program_of_a_launcher_that_leads_the_session() {
    let sandbox = Sandbox::new();
    let mut ends = [0; 2];
    // SAFETY: two descriptors of ours.
    let terminal = unsafe {
        let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
        assert_eq!(libc::openpty(&mut ends[0], &mut ends[1], name, settings, size), 0);
        File::from_raw_fd(ends[0])
    };
    let mut launcher = sandbox.launcher();
    let script = "trap 'echo hung up; exit 0' HUP; echo up; while :; do sleep 0.01; done";
    launcher.args([FLAG, "sh", "-c", script]).stdout(Stdio::piped());
    let leads = move || {
        // SAFETY: takes integers.
        unsafe { libc::close(ends[0]) };
        // SAFETY: takes integers.
        let is_leader =
            unsafe { libc::setsid() > 0 && libc::ioctl(ends[1], libc::TIOCSCTTY, 0) == 0 };
        if is_leader { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: system calls only.
    unsafe { launcher.pre_exec(leads) };
    let mut child = launcher.spawn().unwrap();
    // SAFETY: a descriptor of ours.
    unsafe { libc::close(ends[1]) };
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    drop(terminal);
    output.read_to_string(&mut line).unwrap();
    assert_eq!(line, "up\nhung up\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_launcher_that_is_killed_takes_the_program_along() {
    let sandbox = Sandbox::new();
    let mut launcher = sandbox.launcher();
    launcher.args([FLAG, "sh", "-c", "echo up; exec sleep 600"]).stdout(Stdio::piped());
    let mut child = launcher.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    child.kill().unwrap();
    // The end comes when nobody has the pipe any more.
    output.read_to_string(&mut line).unwrap();
    assert_eq!(line, "up\n");
    child.wait().unwrap();
}

#[test]
fn a_child_that_outlives_the_program_stays_served_and_keeps_no_pipe_open() {
    let sandbox = Sandbox::new();
    let go = sandbox.path.join("go");
    let done = sandbox.path.join("done");
    let script = format!(
        "(while [ ! -e {go} ]; do sleep 0.05; done; ps -o comm= $PPID; echo > {done}) \
         >/dev/null 2>&1 </dev/null & echo started",
        go = go.display(),
        done = done.display(),
    );
    let outcome = sandbox.run([FLAG, "sh", "-c", &script]);
    assert_eq!((outcome.status, &*outcome.stdout), (Some(0), "started\n"));
    std::fs::write(&go, "").unwrap();
    while !done.exists() {
        std::thread::yield_now();
    }
}

#[test]
fn a_shell_on_a_terminal_stops_the_program_brings_it_back_and_interrupts_it() {
    if !skip::missing(&["python3", "bash"]).is_empty() {
        return skip::skip("python3 and bash are needed");
    }
    let sandbox = Sandbox::new();
    let probe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probes/job_control.py");
    let launcher = sandbox.launcher();
    let mut python = Command::new("python3");
    python.arg(probe).arg(launcher.get_program()).args(["-q", FLAG]);
    let environment = launcher.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let output = python.envs(environment).env_remove("LD_PRELOAD").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "stopped\nsize 99 33\nstatus 130\n", "{output:?}");
}

/// The calls that a supervisor needs, and a container's filter may forbid.
const NEEDED: [(i64, &str); 4] = [
    (libc::SYS_process_vm_readv, "process_vm_readv"),
    (libc::SYS_process_vm_writev, "process_vm_writev"),
    (libc::SYS_pidfd_getfd, "pidfd_getfd"),
    (libc::SYS_pidfd_open, "pidfd_getfd"),
];

#[test]
fn without_a_piece_of_the_supervisor_what_needs_it_is_not_run_unless_the_user_says_so() {
    let sandbox = Sandbox::new();
    let program = sandbox.program("static", &["-static"]);
    let program = program.to_str().unwrap();
    for (number, name) in NEEDED {
        let run = |words: &[&str]| {
            outcome(forbidding(number, libc::EPERM, sandbox.launcher().args(words)))
        };
        for words in [&[program][..], &[FLAG, "true"]] {
            run(words)
                .assert_ended(126, &["there can't be a supervisor here", name, "best-effort"]);
        }
        let effort = run(&["--backstop", "best-effort", program]);
        effort.assert_ran();
        assert!(effort.stderr.contains("gets no socket but UNIX ones"), "{effort:?}");
        // What goes through Tor without one runs, under the filter.
        let shell = run(&["sh", "-c", "echo ${_EPOCHSOCKS_BACKSTOP%%.*}"]);
        assert_eq!((shell.status, &*shell.stdout), (Some(0), "deny\n"), "{shell:?}");
        assert!(shell.stderr.contains("starts out of the library's reach is refused"), "{shell:?}");
        let doctor = run(&["doctor"]).stdout;
        assert!(
            doctor
                .lines()
                .any(|line| line.starts_with("note    supervisor") && line.contains(name))
        );
    }
}

#[test]
fn shells_and_build_tools_get_a_supervisor_by_themselves() {
    let sandbox = Sandbox::new();
    let show = "echo ${_EPOCHSOCKS_BACKSTOP%%.*}";
    let which = |words: &[&str]| {
        let ran = sandbox.run(words);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        ran.stdout.trim_end().to_owned()
    };
    let script = sandbox.file("script", format!("#!/bin/sh\n{show}\n"), 0o755);
    let script = script.to_str().unwrap();
    let tool = sandbox.path.join("pip3.11");
    std::fs::copy("/usr/bin/env", &tool).unwrap();
    let tool = tool.to_str().unwrap();
    for words in [&["sh", "-c", show][..], &[script], &[tool, "sh", "-c", show]] {
        assert_eq!(which(words), "notify", "{words:?}");
        assert_eq!(which(&[&["--no-redirect"], words].concat()), "deny", "{words:?}");
        assert_eq!(which(&[&["--no-backstop"], words].concat()), "", "{words:?}");
        let none = [&["--supervised-programs", "none"], words].concat();
        assert_eq!(which(&none), "deny", "{words:?}");
    }
    assert_eq!(which(&["env", "sh", "-c", show]), "deny");
    assert_eq!(which(&["--supervised-programs", "+env", "env", "sh", "-c", show]), "notify");
    let launcher = env!("CARGO_BIN_EXE_epochsocks");
    assert_eq!(which(&["env", launcher, "sh", "-c", show]), "deny");
    let said = sandbox.run(["-d", "sh", "-c", "exit 0"]).stderr;
    assert_eq!(said.matches("a supervisor leads through Tor").count(), 1, "{said}");
    let mut shell = sandbox.launcher();
    shell.arg("--shell").env("SHELL", "/bin/sh").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), show.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "notify\n");
}

/// Number of times that `file` is opened while `command` runs, one after the other.
fn opens(file: &Path, command: &mut Command) -> usize {
    let name = CString::new(file.to_str().unwrap()).unwrap();
    // SAFETY: integers and a name that outlives the call; a descriptor of our own.
    let mut events = unsafe {
        let fd = libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK);
        // Equal events in a row are told as one: a close tells one opening from the next.
        let told = libc::IN_OPEN | libc::IN_CLOSE_NOWRITE;
        assert!(libc::inotify_add_watch(fd, name.as_ptr(), told) >= 0);
        File::from_raw_fd(fd)
    };
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ran\n", "{output:?}");
    let mut bytes = [0; 4096];
    let length = events.read(&mut bytes).unwrap();
    // Of a file that is watched itself an event has no name.
    let masks = bytes[..length].chunks(size_of::<libc::inotify_event>());
    masks.filter(|event| event[4] & libc::IN_OPEN as u8 != 0).count()
}

#[test]
fn the_launcher_opens_the_file_of_its_command_once() {
    let sandbox = Sandbox::new();
    let out_of_reach = sandbox.program("static", &["-static"]);
    // A script of a shell, which gets a supervisor.
    let chosen = sandbox.script("script", "#!/bin/sh");
    for file in [out_of_reach, chosen] {
        let alone = opens(&file, &mut Command::new(&file));
        let launched = opens(&file, sandbox.launcher().arg(&file));
        assert_eq!(launched, alone + 1, "{}", file.display());
    }
}

/// A program of Go's that prints the addresses of its argument, and GODEBUG.
fn go(sandbox: &Sandbox, name: &str, cgo: &str, flags: &[&str]) -> Option<PathBuf> {
    let source = "package main\nimport (\"fmt\"; \"net\"; \"os\")\nfunc main() {\n\
        found, err := net.LookupHost(os.Args[1])\n\
        fmt.Println(len(found) > 0, err, os.Getenv(\"GODEBUG\"))\n}\n";
    sandbox.file("main.go", source, 0o644);
    let mut go = Command::new("go");
    go.arg("build").args(flags).args(["-o", name, "main.go"]).current_dir(&sandbox.path);
    go.env("CGO_ENABLED", cgo).env("GO111MODULE", "off");
    go.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go"));
    if !go.status().is_ok_and(|status| status.success()) {
        skip::skip("there is no working Go compiler");
        return None;
    }
    Some(sandbox.path.join(name))
}

const ONION: &str = "abcdefghijklmnop.onion";

/// Linked by Go's linker, which writes another table of symbols, or by C's.
#[test]
fn a_dynamic_program_of_go_looks_names_up_by_the_hooks_unless_the_user_chooses_otherwise() {
    let sandbox = Sandbox::new();
    for flags in [&[][..], &["-ldflags=-linkmode=external"]] {
        let Some(program) = go(&sandbox, "dynamic", "1", flags) else { return };
        let program = program.to_str().unwrap();
        let by_shell = ["--redirect", "sh", "-c", "exec \"$0\" \"$1\"", program, ONION];
        let run = |words: &[&str], value: Option<&str>| {
            let mut launcher = preload::launcher();
            launcher.args(["-q"]).args(words);
            match value {
                Some(value) => launcher.env("GODEBUG", value),
                None => launcher.env_remove("GODEBUG"),
            };
            outcome(&mut launcher).stdout
        };
        for words in [&[program, ONION][..], &by_shell] {
            assert_eq!(run(words, None), "true <nil> netdns=cgo\n", "{words:?}");
            let added = run(words, Some("gctrace=0"));
            assert_eq!(added, "true <nil> gctrace=0,netdns=cgo\n", "{words:?}");
            let own = run(words, Some("netdns=go"));
            assert!(own.starts_with("false") && own.ends_with("netdns=go\n"), "{words:?}: {own}");
        }
    }
}

/// Nothing is asked that anybody could answer.
#[test]
fn a_static_program_of_go_that_refuses_onion_names_is_told_of() {
    let sandbox = Sandbox::new();
    let Some(program) = go(&sandbox, "static", "0", &[]) else { return };
    let program = program.to_str().unwrap();
    let told = "static refuses onion names, as Go's own resolver does (RFC 7686)";
    let by_shell = ["--redirect", "sh", "-c", "exec \"$0\" \"$1\"", program, ONION];
    for words in [&[program, ONION][..], &by_shell] {
        let seen = outcome(preload::launcher().args(words));
        assert!(seen.stdout.starts_with("false") && seen.stderr.contains(told), "{seen:?}");
    }
    let other = outcome(preload::launcher().args([program, "localhost"]));
    assert!(!other.stderr.contains("onion"), "{other:?}");
}
