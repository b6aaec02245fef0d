//! Clients that real event loops drive: tests/probes/loop_*. Each opens COUNT connections to PORT of
//! ADDRESS at once and asks for a page over each, while a timer of its loop ticks every millisecond. It
//! prints how many answers said hello, how often the timer ticked, and the longest time between two
//! ticks and the time of all in milliseconds.

use super::network::python;
use super::preload::package_program;
use super::process::probe_as;
use super::skip;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One of them.
pub struct EventLoop {
    pub program: PathBuf,
    /// Script, the argument before COUNT.
    script: Option<PathBuf>,
    /// Variant, the argument after PORT.
    variant: Option<&'static str>,
}

impl EventLoop {
    fn script(program: &str, file: &str, variant: Option<&'static str>) -> EventLoop {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probes").join(file);
        EventLoop { program: program.into(), script: Some(file), variant }
    }

    fn compiled(program: PathBuf, variant: Option<&'static str>) -> EventLoop {
        EventLoop { program, script: None, variant }
    }

    /// Its arguments for a number of connections to port 80.
    pub fn arguments(&self, count: u32, address: &str) -> Vec<OsString> {
        let script = self.script.iter().map(OsString::from);
        let numbers = [count.to_string(), address.to_owned(), "80".to_owned()].map(OsString::from);
        script.chain(numbers).chain(self.variant.map(OsString::from)).collect()
    }
}

/// The loop that is called `name`; nothing where it can't be had, which has been reported as a test
/// that is skipped.
pub fn find(name: &str) -> Option<EventLoop> {
    let libevent = |method| {
        has_header("event2/event.h").then(|| {
            let program = probe_as("loop_libevent", "loop_libevent", &["-levent"]);
            EventLoop::compiled(program, Some(method))
        })
    };
    match name {
        "asyncio" => {
            installed("python3").then(|| EventLoop::script(python(), "loop_asyncio.py", None))
        }
        "uvloop" => {
            has_uvloop().then(|| EventLoop::script(python(), "loop_asyncio.py", Some("uvloop")))
        }
        "node" => installed("node").then(|| EventLoop::script("node", "loop_node.js", None)),
        "tokio" => {
            Some(EventLoop::compiled(package_program("epochsocks-loop-tokio", "loop_tokio"), None))
        }
        "libevent-epoll" => libevent("epoll"),
        "libevent-poll" => libevent("poll"),
        "libevent-select" => libevent("select"),
        "libuv" => has_header("uv.h")
            .then(|| EventLoop::compiled(probe_as("loop_libuv", "loop_libuv", &["-luv"]), None)),
        _ => panic!("no event loop is called {name}"),
    }
}

fn installed(program: &'static str) -> bool {
    let missing = skip::missing(&[program]);
    if !missing.is_empty() {
        skip::skip(&format!("not installed: {program}"));
    }
    missing.is_empty()
}

fn has_uvloop() -> bool {
    let import = Command::new(python()).args(["-c", "import uvloop"]).output();
    let found = import.is_ok_and(|output| output.status.success());
    if !found {
        skip::skip("not installed: python3-uvloop");
    }
    found
}

fn has_header(path: &str) -> bool {
    let found =
        ["/usr/include", "/usr/local/include"].iter().any(|d| Path::new(d).join(path).exists());
    if !found {
        skip::skip(&format!("not installed: the headers of {path}"));
    }
    found
}

/// The configuration of an nginx in its folder that hands on what it is asked at `port` as
/// `forwarding` says.
pub fn nginx_configuration(port: u16, forwarding: &str) -> String {
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {name};\n"))
        .collect();
    format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid nginx.pid;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off;\n{folders}\
         server {{ listen 127.0.0.1:{port};\nlocation / {{ {forwarding} }} }} }}\n"
    )
}
