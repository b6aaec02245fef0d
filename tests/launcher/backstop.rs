//! The backstop as the launcher puts it up: what it says where it can't, and what is left.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};

use crate::sandbox::{Sandbox, outcome};
use crate::support::preload;
use crate::support::process::{finish, probe, probe_as, text};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method, reply};

/// Runs `command` on a kernel that lacks the system call `number`, as a filter of its own makes it seem.
pub fn without(number: i64, command: &mut Command) -> &mut Command {
    forbidding(number, libc::ENOSYS, command)
}

/// `command` in a process whose calls of the number `number` are `errno`.
pub fn forbidding(number: i64, errno: i32, command: &mut Command) -> &mut Command {
    let instruction = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let (lacking, allowed) = (libc::SECCOMP_RET_ERRNO | errno as u32, libc::SECCOMP_RET_ALLOW);
    let mut filter = [
        instruction(BPF_LD | BPF_W | BPF_ABS, 0, 0, 0),
        instruction(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number as u32),
        instruction(BPF_RET | BPF_K, 0, 0, lacking),
        instruction(BPF_RET | BPF_K, 0, 0, allowed),
    ];
    // SAFETY: prctl is async-signal-safe; the kernel reads the program.
    unsafe {
        command.pre_exec(move || {
            let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
            let locked = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            let filtered =
                libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program);
            if locked == 0 && filtered == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        })
    }
}

/// promise: No backstop, no program
#[test]
fn where_there_can_be_no_filter_nothing_runs_unless_the_user_says_so() {
    let sandbox = Sandbox::new();
    let program = sandbox.program("program", &[]);
    let run = |flags: &[&str]| {
        outcome(without(libc::SYS_seccomp, sandbox.launcher().args(flags)).arg(&program))
    };
    run(&[]).assert_ended(126, &["there can't be a backstop here", "--no-backstop"]);
    let effort = run(&["--backstop", "best-effort"]);
    effort.assert_ran();
    assert!(effort.stderr.contains("there is no backstop here"), "{effort:?}");
    let none = run(&["--no-backstop"]);
    none.assert_ran();
    assert_eq!(none.stderr, "");
}

#[test]
fn what_the_kernel_lacks_the_doctor_tells() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let sandbox = Sandbox::new();
    let doctor = |number| {
        let mut launcher = sandbox.launcher();
        outcome(without(number, &mut launcher).args(["--port", &port, "doctor"])).stdout
    };
    let filterless = doctor(libc::SYS_seccomp);
    assert!(filterless.contains("FAILED  backstop filter    no filter"), "{filterless}");
    let lockless = doctor(libc::SYS_landlock_create_ruleset);
    assert!(lockless.contains("ok      backstop filter"), "{lockless}");
    assert!(lockless.contains("note    backstop ports     a connect"), "{lockless}");
}

#[test]
fn without_landlock_a_program_runs_under_the_filter() {
    let sandbox = Sandbox::new();
    let mut launcher = sandbox.launcher();
    launcher.args(["grep", "-E", "^(NoNewPrivs|Seccomp):", "/proc/self/status"]);
    let ran = outcome(without(libc::SYS_landlock_create_ruleset, &mut launcher));
    assert_eq!(ran.stdout, "NoNewPrivs:\t1\nSeccomp:\t2\n", "{ran:?}");
}

#[test]
fn without_a_backstop_the_program_is_under_no_filter() {
    let status = ["grep", "-E", "^(NoNewPrivs|Seccomp):", "/proc/self/status"];
    let plain = outcome(Command::new(status[0]).args(&status[1..]));
    let ran = Sandbox::new().run([&["--no-backstop"], &status[..]].concat());
    assert_eq!(ran.stdout, plain.stdout, "{ran:?}");
    assert!(!Sandbox::new().run(["--no-backstop", "env"]).stdout.contains("_BACKSTOP=deny"));
}

/// The first filter is the launch's.
/// promise: The filter stays
#[test]
fn a_launch_in_a_launch_puts_up_no_second_filter() {
    let sandbox = Sandbox::new();
    let launcher = env!("CARGO_BIN_EXE_epochsocks");
    let count = ["grep", "^Seccomp_filters:", "/proc/self/status"];
    let inside = sandbox.run([&[launcher], &count[..]].concat());
    assert_eq!(inside.stdout, "Seccomp_filters:\t1\n", "{inside:?}");
    let none = sandbox.run([&[launcher, "--no-backstop"], &count[..]].concat());
    assert_eq!(none.stdout, "Seccomp_filters:\t1\n", "{none:?}");
    assert!(none.stderr.contains("stays: nothing can undo it"), "{none:?}");
}

/// A variable that came from elsewhere, as in a saved environment, stands for no filter.
#[test]
fn a_secret_without_its_filter_is_not_believed() {
    let sandbox = Sandbox::new();
    let mut launcher = sandbox.launcher();
    launcher.env("_EPOCHSOCKS_BACKSTOP", "deny.0123456789abcdef");
    let ran = outcome(launcher.args(["sh", "-c", "grep ^Seccomp: /proc/self/status; env"]));
    assert!(ran.stdout.starts_with("Seccomp:\t2\n"), "{ran:?}");
    assert!(!ran.stdout.contains("0123456789abcdef"), "{ran:?}");
}

#[test]
fn a_socket_that_is_bound_to_any_address_of_the_machine_reaches_tor() {
    let resolved = Action::Reply(vec![5, 0, 5, 0, 0, 1, 192, 0, 2, 7, 0, 0]);
    let echoing = [Action::Greeting, method(0), Action::Request, reply(0), Action::Echo];
    let resolving = [Action::Greeting, Action::Request, resolved];
    let fixed = probe_as("bound-static", "bound", &["-static", "-Wno-error"]);
    for (script, arguments) in [(&echoing[..], &[][..]), (&resolving, &["datagrams"])] {
        let proxy = ScriptedProxy::start(script);
        for program in [probe("bound"), fixed.clone()] {
            let mut launcher = preload::launcher();
            launcher.args(["--port", &proxy.port().to_string()]).arg(&program).args(arguments);
            let seen = finish(&mut launcher, Duration::from_secs(60));
            assert_eq!(
                seen.stdout,
                b"done\n",
                "{} {arguments:?} {}",
                program.display(),
                text(&seen)
            );
        }
    }
}

/// promise: Tor's port only
#[test]
fn a_connect_that_no_hook_sees_leads_to_no_other_port() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let connect = |flags: &[&str]| {
        let mut launcher = preload::launcher();
        launcher.args(flags).arg(probe("assembly")).args(["port", &port]);
        let seen = outcome(&mut launcher);
        assert_eq!(seen.status, Some(0), "{seen:?}");
        seen.stdout
    };
    assert_eq!(connect(&["--no-backstop"]), "connected\n");
    assert_eq!(connect(&["--allow-outbound-localhost", "1"]), "connected\n");
    assert_eq!(connect(&["--port", &port]), "connected\n", "Tor's port");
    let has_lock = Sandbox::new().run(["doctor"]).stdout.contains("ok      backstop ports");
    let expected = if has_lock { "connect: EACCES\n" } else { "connected\n" };
    assert_eq!(connect(&[]), expected);
}

#[test]
fn a_launch_inside_that_wants_another_port_is_told_why_not() {
    if !Sandbox::new().run(["doctor"]).stdout.contains("ok      backstop ports") {
        return;
    }
    let sandbox = Sandbox::new();
    let launcher = env!("CARGO_BIN_EXE_epochsocks");
    let parts = ["Tor's port 9050", "--no-backstop"];
    sandbox.run([launcher, "--port", "9150", "true"]).assert_ended(125, &parts);
    let localhost = [launcher, "--allow-outbound-localhost", "1", "true"];
    sandbox.run(localhost).assert_ended(125, &parts);
}

/// The kernel refuses it, whatever the hooks permit.
#[test]
fn a_program_whose_settings_permit_more_than_its_launch_is_told_why_not() {
    if !Sandbox::new().run(["doctor"]).stdout.contains("ok      backstop ports") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    let assignment = "EPOCHSOCKS_ALLOW_OUTBOUND_LOCALHOST=1";
    let parts = ["refused by the kernel", "where the launch begins"];
    let command = ["env", assignment, "bash", "-c", &script];
    let ran = outcome(preload::launcher().args(command));
    assert!(ran.status == Some(1) && parts.iter().all(|part| ran.stderr.contains(part)), "{ran:?}");
}
