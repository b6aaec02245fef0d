//! `epochsocks status`: the sockets of a running program, as another process sees them.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::sandbox::{Outcome, Sandbox, outcome};
use crate::support::preload;
use crate::support::scripted_proxy::Action::{
    Authentication, Echo, Greeting, Hang, Reply, Request,
};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method, reply};
use crate::support::skip::skip;

/// Far above what any of these takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A Python program under the library. It ends when the test lets go of it.
struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    /// Runs `script` until it has said that it is ready.
    fn start(flags: &[&str], proxy: &ScriptedProxy, script: &str) -> Program {
        let mut command = preload::launcher();
        let port = proxy.port().to_string();
        command.args(flags).args(["-q", "--port", &port, "python3", "-c"]);
        let start = "import socket, sys, threading, select\n\
                     def ready(): print('ready', flush=True); sys.stdin.read()\n";
        command.arg([start, script].concat());
        Program::run(&mut command)
    }

    fn run(command: &mut Command) -> Program {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the program can be run");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut program = Program { child, output };
        program.waits_for("ready");
        program
    }

    fn waits_for(&mut self, word: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the program speaks");
        assert_eq!(line.trim_end(), word);
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(self.child.id().cast_signed(), signal) };
    }

    /// Status of it, in text.
    fn status(&self, more: &[&str]) -> Outcome {
        let pid = self.child.id().to_string();
        outcome(preload::launcher().args(["status", &pid]).args(more))
    }

    fn json(&self) -> Value {
        let outcome = self.status(&["--json"]);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        let value: Value = serde_json::from_str(&outcome.stdout).expect("one JSON object");
        value["processes"][0].clone()
    }

    /// Its row of the socket that leads to `address`, as soon as it is in `state`.
    fn socket(&self, address: &str, state: &str) -> Value {
        let start = Instant::now();
        loop {
            let process = self.json();
            let sockets = process["sockets"].as_array().expect("a list");
            let found = sockets.iter().find(|socket| socket["address"] == address);
            if let Some(socket) = found.filter(|socket| socket["state"] == state) {
                return socket.clone();
            }
            // On its way there, or about to begin.
            let earlier = ["beginning", "reaching-tor", "greeting", "authenticating", "changing"];
            let is_early = |socket: &Value| earlier.iter().any(|word| socket["state"] == *word);
            assert!(found.is_none_or(is_early) && start.elapsed() < LIMIT, "{process}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn echoing() -> ScriptedProxy {
    ScriptedProxy::start(&[Greeting, method(0), Request, reply(0), Echo])
}

/// A proxy that asks for a user name and password, and takes any.
fn with_password(rest: &[Action]) -> ScriptedProxy {
    let accepted = [Greeting, method(2), Authentication, Reply(vec![1, 0])];
    ScriptedProxy::start(&[&accepted, rest].concat())
}

#[test]
fn a_programs_sockets_are_shown_with_names_bytes_isolation_and_refusals() {
    let proxy = with_password(&[Request, reply(0), Echo]);
    let program = Program::start(
        &["--isolate=mail"],
        &proxy,
        "a = socket.create_connection(('198.51.100.7', 80)); a.send(b'hello'); a.recv(5)\n\
         o = socket.create_connection(('abcdefghijklmnop.onion', 443))\n\
         d = o.dup()\n\
         l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen()\n\
         n = socket.socket()\n\
         for _ in range(3): socket.socket().connect_ex(('10.0.0.1', 80))\n\
         ready()",
    );
    let process = program.json();
    let sockets = process["sockets"].as_array().unwrap();
    let of = |state: &str| -> Vec<_> { sockets.iter().filter(|it| it["state"] == state).collect() };
    let connected = of("connected");
    assert_eq!(connected.len(), 3, "{process}");
    assert_eq!(connected[0]["address"], "198.51.100.7:80");
    // The handshake's bytes are the socket's, too.
    for (direction, least) in [("sent", 5), ("received", 5)] {
        assert!(connected[0][direction].as_u64() > Some(least), "{process}");
    }
    for onion in &connected[1..] {
        assert_eq!(
            (&onion["name"], &onion["isolation"]),
            (&"abcdefghijklmnop.onion".into(), &"key mail".into())
        );
        assert!(onion["seconds"].is_u64(), "{process}");
    }
    assert_eq!((of("listening").len(), of("unconnected").len()), (1, 1), "{process}");
    assert_eq!(process["refusals"], serde_json::json!({ "connect": 3 }), "{process}");
    let text = program.status(&[]).stdout;
    assert!(text.contains("abcdefghijklmnop.onion:443") && text.contains("connect 3"), "{text}");
    // It is one of all, too.
    let all = outcome(preload::launcher().args(["status", "--all"])).stdout;
    assert!(all.contains("abcdefghijklmnop.onion:443"), "{all}");
}

#[test]
fn a_connect_in_flight_shows_its_stage_whether_it_waits_or_not() {
    let asked = with_password(&[Request, Hang]);
    let waiting = Program::start(
        &["-i"],
        &asked,
        "s = socket.socket(); n = socket.socket(); n.setblocking(False)\n\
         threading.Thread(target=s.connect, args=(('198.51.100.7', 80),), daemon=True).start()\n\
         n.connect_ex(('198.51.100.8', 80))\n\
         p = select.poll(); p.register(n, select.POLLOUT)\n\
         threading.Thread(target=p.poll, daemon=True).start()\n\
         ready()",
    );
    for address in ["198.51.100.7:80", "198.51.100.8:80"] {
        let socket = waiting.socket(address, "connecting");
        assert_eq!(socket["isolation"], "process", "{socket}");
    }
    // The library has a descriptor of its own for each.
    let process = waiting.json();
    assert_eq!(process["sockets"].as_array().map(Vec::len), Some(2), "{process}");
    let silent = ScriptedProxy::start(&[Greeting, Hang]);
    let greeting = Program::start(
        &[],
        &silent,
        "s = socket.socket()\n\
         threading.Thread(target=s.connect, args=(('198.51.100.7', 80),), daemon=True).start()\n\
         ready()",
    );
    greeting.socket("198.51.100.7:80", "greeting");
}

#[test]
fn a_stopped_program_shows_its_sockets() {
    let program = Program::start(
        &[],
        &echoing(),
        "s = socket.create_connection(('198.51.100.7', 80)); ready()",
    );
    program.signal(libc::SIGSTOP);
    program.socket("198.51.100.7:80", "connected");
    program.signal(libc::SIGCONT);
}

/// Such a socket is seen by the kernel alone.
#[test]
fn a_socket_that_leads_past_tor_is_told_as_such() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script =
        format!("s = socket.create_connection(('127.0.0.1', {})); ready()", address.port());
    let program = Program::start(&["--allow-outbound-localhost", "1"], &echoing(), &script);
    program.socket(&address.to_string(), "beside-tor");
}

/// A child of fork has sockets of its own, and a program that it executes has none of its parent's.
#[test]
fn a_forked_child_shows_its_own_sockets() {
    let mut program = Program::start(
        &[],
        &echoing(),
        "import os\n\
         s = socket.create_connection(('198.51.100.7', 80))\n\
         child = os.fork()\n\
         if child == 0:\n    s.close(); t = socket.create_connection(('198.51.100.8', 80)); print(os.getpid(), flush=True)\n    sys.stdin.read(); os._exit(0)\n\
         os.read(0, 0); ready()",
    );
    let mut line = String::new();
    program.output.read_line(&mut line).unwrap();
    let child = line.trim_end().to_owned();
    program.socket("198.51.100.7:80", "connected");
    let outcome = outcome(preload::launcher().args(["status", &child]));
    assert!(outcome.stdout.contains("198.51.100.8:80"), "{outcome:?}");
    assert!(!outcome.stdout.contains("198.51.100.7:80"), "{outcome:?}");
}

#[test]
fn another_user_is_told_nothing() {
    // SAFETY: geteuid only asks.
    if unsafe { libc::geteuid() } != 0 {
        return skip("becoming another user takes root");
    }
    let program = Program::start(
        &[],
        &echoing(),
        "s = socket.create_connection(('198.51.100.7', 80)); ready()",
    );
    // The other user may be unable to reach the checkout: the command is copied for it.
    let own = std::env::temp_dir().join(format!("epochsocks-status-{}", std::process::id()));
    std::fs::copy(env!("CARGO_BIN_EXE_epochsocks"), &own).unwrap();
    let mut command = Command::new(&own);
    preload::hermetic(&mut command);
    command
        .args(["status", &program.child.id().to_string()])
        .current_dir("/")
        .uid(65_534)
        .gid(65_534);
    let outcome = outcome(&mut command);
    let mut all = Command::new(&own);
    preload::hermetic(&mut all);
    let all = crate::sandbox::outcome(all.arg("status").current_dir("/").uid(65_534).gid(65_534));
    std::fs::remove_file(&own).unwrap();
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    assert!(outcome.stderr.contains("is another user's"), "{outcome:?}");
    assert!(!all.stdout.contains("198.51.100.7"), "{all:?}");
}

/// The user's shell knows the launcher, and not the program under its supervisor.
#[test]
fn by_the_launcher_or_the_supervisor_the_programs_sockets_are_shown() {
    let program = Program::start(
        &["--redirect"],
        &echoing(),
        "import os\n\
         s = socket.create_connection(('198.51.100.7', 80)); ready()",
    );
    assert_eq!(program.socket("198.51.100.7:80", "connected")["state"], "connected");
    let child = |of: &str| {
        std::fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap().trim().to_owned()
    };
    let launcher = program.child.id().to_string();
    let supervisor = child(&launcher);
    let own = child(&supervisor);
    for pid in [&launcher, &supervisor] {
        let outcome = outcome(preload::launcher().args(["status", pid]));
        assert_eq!((outcome.status, &*outcome.stderr), (Some(0), ""), "{outcome:?}");
        assert!(outcome.stdout.starts_with(&format!("{own} python3")), "{outcome:?}");
    }
}

#[test]
fn of_a_program_without_the_library_a_supervisor_is_named() {
    let sandbox = Sandbox::new();
    let source = "#include <unistd.h>\n\
        int main(void) { write(1, \"ready\\n\", 6); return read(0, (char[1]){0}, 1); }\n";
    let file = sandbox.compile("static", source, &["-static"]);
    let program = Program::run(preload::launcher().arg("-q").arg(file));
    let led = program.status(&[]);
    assert_eq!(led.status, Some(1), "{led:?}");
    assert!(led.stderr.contains("no program with the library runs under process"), "{led:?}");
    let children = |of: &str| std::fs::read_to_string(format!("/proc/{of}/task/{of}/children"));
    let supervisor = children(&program.child.id().to_string()).unwrap();
    let own = children(supervisor.trim()).unwrap();
    let outcome = outcome(preload::launcher().args(["status", own.trim()]));
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("without the library, under a supervisor"), "{outcome:?}");
}

#[test]
fn what_is_no_program_of_ours_is_said_in_one_line() {
    let own = outcome(preload::launcher().args(["status", &std::process::id().to_string()]));
    assert_eq!(own.status, Some(1), "{own:?}");
    assert!(own.stderr.ends_with("does not run under epochsocks\n"), "{own:?}");
    let none = outcome(preload::launcher().args(["status", "2147483647"]));
    assert_eq!(
        (none.status, none.stderr.as_str()),
        (Some(1), "epochsocks: there is no process 2147483647\n")
    );
}

/// A program that maps a file of the library's name, with nothing of the library in it.
#[test]
fn a_zombie_is_called_one() {
    let sandbox = Sandbox::new();
    let mut ended = sandbox.launcher().arg("true").spawn().expect("the launcher is there");
    let pid = ended.id();
    // SAFETY: waitid writes to `told`, and leaves the process as it is.
    let waited = unsafe {
        let mut told = std::mem::zeroed();
        libc::waitid(libc::P_PID, pid, &raw mut told, libc::WEXITED | libc::WNOWAIT)
    };
    assert_eq!(waited, 0);
    let outcome = sandbox.run(["status", &pid.to_string()]);
    let _ = ended.wait();
    outcome.assert_ended(1, &[&format!("process {pid} is a zombie")]);
}

#[test]
fn a_file_of_the_librarys_name_is_not_believed() {
    let path =
        std::env::temp_dir().join(format!("{}-libepochsocks_preload.so", std::process::id()));
    let folder = path.with_extension("d");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("libepochsocks_preload.so");
    let library = std::fs::read(preload::preload_library()).unwrap();
    // The headers and the notes of the real one, and then noise.
    let noise =
        library.iter().enumerate().map(|(at, byte)| if at < 0x1000 { *byte } else { at as u8 });
    std::fs::write(&file, noise.collect::<Vec<_>>()).unwrap();
    let script = format!(
        "import mmap, sys\nf = open({file:?}, 'rb')\nm = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)\n\
         print('ready', flush=True); sys.stdin.read()"
    );
    let mut command = Command::new("python3");
    preload::hermetic(&mut command);
    let program = Program::run(command.args(["-c", &script]));
    let outcome = program.status(&[]);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_watch_goes_on_until_it_is_interrupted() {
    let program = Program::start(
        &[],
        &echoing(),
        "s = socket.create_connection(('198.51.100.7', 80)); ready()",
    );
    let mut command = preload::launcher();
    command.args(["status", "--watch", "--json", &program.child.id().to_string()]);
    let mut watch = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["processes"][0]["sockets"][0]["state"], "connected", "{line}");
    }
    watch.kill().unwrap();
    let mut rest = String::new();
    let _ = watch.stderr.take().map(|mut errors| errors.read_to_string(&mut rest));
    watch.wait().unwrap();
}
