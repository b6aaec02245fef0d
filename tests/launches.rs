//! Data that the processes of one launch share, and that is removed with the launch.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use support::preload::launcher;
use support::process::{finish, text};
use support::scripted_proxy::{Action, ScriptedProxy, method, reply};
use support::skip::skip;

const LIMIT: Duration = Duration::from_secs(60);
const ONION: &str = "launches.onion";

/// Prints the number of the launch, for [`left_behind`].
const SAY_LAUNCH: &str = "echo \"launch=${_EPOCHSOCKS_LAUNCH%%.*}\"; ";

fn run(flags: &[&str], program: &[&str]) -> Output {
    finish(launcher().args(flags).args(program), LIMIT)
}

fn shell(script: &str) -> Output {
    run(&[], &["sh", "-c", &format!("{SAY_LAUNCH}{script}")])
}

fn python(script: &str) -> Output {
    let script =
        format!("import os\nprint('launch=' + os.environ['_EPOCHSOCKS_LAUNCH'][:16])\n{script}");
    run(&[], &[interpreter(), "-c", &script])
}

/// Python itself: what the path leads to may be a script that starts it.
fn interpreter() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let mut ask = Command::new("python3");
        let output = finish(ask.args(["-c", "import sys; print(sys.executable)"]), LIMIT);
        String::from_utf8(output.stdout).expect("a path").trim().to_owned()
    })
}

/// The directories that the launch which `output` names has left.
fn left_behind(output: &Output) -> Vec<PathBuf> {
    let seen = text(output);
    let launch = seen.split_once("launch=").map(|(_, rest)| rest.get(..16)).expect("a launch");
    directories(launch.expect("a number"))
}

fn directories(launch: &str) -> Vec<PathBuf> {
    // SAFETY: geteuid takes no argument.
    let runtime = format!("/run/user/{}", unsafe { libc::geteuid() });
    [runtime.as_str(), "/dev/shm", "/tmp"]
        .map(|parent| PathBuf::from(format!("{parent}/epochsocks-{launch}")))
        .into_iter()
        .filter(|path| path.exists())
        .collect()
}

fn succeeds(output: &Output) -> String {
    let seen = text(output);
    assert!(output.status.success(), "{}: {seen}", output.status);
    seen
}

#[test]
fn a_script_connects_to_what_another_program_has_looked_up() {
    let output =
        shell(&format!("set -- $(getent ahostsv4 {ONION}); getent hosts $1; exec getent hosts $1"));
    let seen = succeeds(&output);
    assert_eq!(seen.matches(ONION).count(), 2, "{seen}");
}

#[test]
fn a_program_that_replaces_itself_keeps_its_names() {
    let output = python(
        "import socket\n\
         address = socket.gethostbyname('launches.onion')\n\
         os.execvpe('getent', ['getent', 'hosts', address], {'PATH': os.environ['PATH']})",
    );
    assert!(succeeds(&output).contains(ONION));
}

/// As irssi does by a forked child, Chromium and Erlang by another program, whatever descriptors
/// they leave open.
#[test]
fn a_helpers_names_are_known_to_its_parent_and_to_a_third() {
    let output = python(
        "import socket, subprocess\n\
         r, w = os.pipe()\n\
         if os.fork() == 0:\n\
         \x20   os.closerange(3, w)\n\
         \x20   os.write(w, socket.gethostbyname('forked.onion').encode())\n\
         \x20   os._exit(0)\n\
         print(socket.gethostbyaddr(os.read(r, 100).decode())[0])\n\
         ask = 'import os, socket; os.closerange(3, 256); print(socket.gethostbyname(\"other.onion\"))'\n\
         address = subprocess.check_output(['python3', '-c', ask], env={'PATH': os.environ['PATH']})\n\
         print(socket.gethostbyaddr(address.decode().strip())[0])\n\
         subprocess.run(['getent', 'hosts', address.decode().strip()], check=True)",
    );
    let seen = succeeds(&output);
    assert!(seen.contains("forked.onion") && seen.matches("other.onion").count() == 2, "{seen}");
}

#[test]
fn a_connect_by_number_goes_to_the_name() {
    let proxy = ScriptedProxy::start(&[Action::Greeting, method(0), Action::Request, reply(0)]);
    let connect = "import socket, sys; socket.create_connection((sys.argv[1], 80))";
    let script = format!("set -- $(getent ahostsv4 host.example); exec python3 -c '{connect}' $1");
    let port = proxy.port().to_string();
    let output = run(&["--names", "cookie", "--port", &port], &["sh", "-c", script.as_str()]);
    succeeds(&output);
    let request = proxy.recorded().into_iter().find(|message| message.starts_with(&[5, 1, 0, 3]));
    assert!(request.is_some_and(|request| request[5..].starts_with(b"host.example")));
}

#[test]
fn names_go_with_the_last_process() {
    // Each of them ends in another way: dash by _exit, getent by exit, the last one by being
    // replaced and then by a number of syscall(2).
    let looked_up = format!("getent hosts {ONION}; ");
    let exit_group = "import ctypes; ctypes.CDLL(None).syscall(231, 0)";
    let exit_group = if cfg!(target_arch = "aarch64") {
        exit_group.replace("231", "94")
    } else {
        exit_group.to_owned()
    };
    for last in [
        String::new(),
        "getent hosts 127.0.0.1".to_owned(),
        "exec true".to_owned(),
        "(sleep 0.1; getent hosts other.onion) & exit 0".to_owned(),
        format!("exec python3 -c '{exit_group}'"),
    ] {
        let output = shell(&format!("{looked_up}{last}"));
        let seen = text(&output);
        assert!(seen.contains(ONION), "{last}: {seen}");
        assert_eq!(left_behind(&output), [] as [PathBuf; 0], "{last}");
    }
}

#[test]
fn a_process_without_an_environment_keeps_no_names() {
    let mut without = Command::new("sleep").arg("60").env_clear().spawn().expect("sleep");
    let script = format!("{SAY_LAUNCH}getent hosts {ONION}");
    let output = run(&["--no-backstop"], &["sh", "-c", &script]);
    without.kill().and_then(|()| without.wait()).expect("its end");
    assert!(succeeds(&output).contains(ONION));
    assert_eq!(left_behind(&output), [] as [PathBuf; 0]);
}

#[test]
fn what_a_killed_launch_leaves_goes_with_the_next() {
    let output = shell(&format!("getent hosts {ONION}; kill -KILL $$"));
    assert!(!output.status.success());
    let left = left_behind(&output);
    assert_eq!(left.len(), 1, "{}", text(&output));
    assert_eq!(left[0].metadata().expect("it is there").permissions().mode() & 0o777, 0o700);
    succeeds(&run(&[], &["true"]));
    assert_eq!(left_behind(&output), [] as [PathBuf; 0]);
}

#[test]
fn a_launch_that_goes_on_is_not_taken_for_one_that_was_killed() {
    let output = shell(&format!(
        "set -- $(getent ahostsv4 {ONION}); {} true; getent hosts $1",
        env!("CARGO_BIN_EXE_epochsocks")
    ));
    assert!(succeeds(&output).contains(ONION));
    let mut other = launcher();
    other.args(["sh", "-c"]).arg(format!(
        "set -- $(getent ahostsv4 {ONION}); env -u _EPOCHSOCKS_LAUNCH LD_PRELOAD= {} true; \
         getent hosts $1",
        env!("CARGO_BIN_EXE_epochsocks")
    ));
    assert!(succeeds(&finish(&mut other, LIMIT)).contains(ONION));
}

#[test]
fn a_program_that_starts_no_other_writes_nothing_down() {
    let output = python(
        "import socket, glob, subprocess\n\
         socket.gethostbyname('launches.onion')\n\
         mine = os.environ['_EPOCHSOCKS_LAUNCH'][:16]\n\
         here = lambda: [d for p in ('/run/user/%d' % os.getuid(), '/dev/shm', '/tmp')\n\
         \x20   for d in glob.glob(p + '/epochsocks-' + mine)]\n\
         assert here() == [], here()\n\
         subprocess.run(['true'])\n\
         assert len(here()) == 1",
    );
    succeeds(&output);
    assert_eq!(left_behind(&output), [] as [PathBuf; 0]);
}

#[test]
fn a_child_of_another_user_learns_no_name_that_is_looked_up_after() {
    // SAFETY: geteuid takes no argument.
    if unsafe { libc::geteuid() } != 0 {
        return skip("only root can become another user");
    }
    let output = python(
        "import socket, sys\n\
         r, w = os.pipe()\n\
         socket.gethostbyname('before.onion')\n\
         child = os.fork()\n\
         if child == 0:\n\
         \x20   before = socket.gethostbyname('before.onion')\n\
         \x20   os.setgroups([]); os.setgid(65534); os.setuid(65534)\n\
         \x20   after = os.read(r, 100).decode()\n\
         \x20   print(socket.gethostbyaddr(before)[0])\n\
         \x20   try: print(socket.gethostbyaddr(after)[0])\n\
         \x20   except socket.herror: print('unknown')\n\
         \x20   sys.stdout.flush(); os._exit(0)\n\
         os.write(w, socket.gethostbyname('after.onion').encode())\n\
         assert os.waitpid(child, 0)[1] == 0",
    );
    let seen = succeeds(&output);
    assert!(seen.contains("before.onion") && seen.contains("unknown"), "{seen}");
    assert!(!seen.contains("after.onion"), "{seen}");
}

/// Without a launcher: the first program that has the library begins the launch.
#[test]
fn a_library_that_was_preloaded_by_hand_begins_a_launch() {
    let mut command = Command::new("sh");
    support::preload::hermetic(&mut command);
    command
        .args(["-c", &format!("set -- $(getent ahostsv4 {ONION}); getent hosts $1")])
        .env("LD_PRELOAD", support::preload::preload_library())
        .env("EPOCHSOCKS_CONF_FILE", "none");
    assert!(succeeds(&finish(&mut command, LIMIT)).contains(ONION));
}

#[test]
fn what_a_shell_starts_after_on_is_one_launch() {
    let mut command = Command::new("sh");
    support::preload::hermetic(&mut command);
    let script = format!(
        "eval \"$({} on)\"; {SAY_LAUNCH} set -- $(getent ahostsv4 {ONION}); getent hosts $1",
        env!("CARGO_BIN_EXE_epochsocks")
    );
    command
        .args(["-c", &script])
        .env("EPOCHSOCKS_LIBRARY", support::preload::preload_library())
        .env("EPOCHSOCKS_CONF_FILE", "none");
    let output = finish(&mut command, LIMIT);
    assert!(succeeds(&output).contains(ONION));
    succeeds(&run(&[], &["true"]));
    assert_eq!(left_behind(&output), [] as [PathBuf; 0]);
}
