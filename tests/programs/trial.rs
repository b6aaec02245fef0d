//! One run of a program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::support::process::{search_path, text};
use crate::support::{Network, preload_library};
use crate::table::{Host, Must, Row, workshop};
use crate::verdict::{self, Verdict};
use crate::wrapper::{PROXYCHAINS, Wrapper};

/// The longest time of a program before it is said to hang.
const LIMIT: Duration = Duration::from_secs(25);
/// Number of characters that are kept of what a program has printed.
const KEPT: usize = 4_000;

/// One run of a program.
#[derive(Debug)]
pub struct Trial {
    /// The program.
    pub row: &'static Row,
    /// By what it was to reach the world.
    pub host: Host,
    wrapper: Wrapper,
    /// The verdict.
    pub verdict: Verdict,
    /// The wrapper's first word on it.
    pub reason: String,
    /// The packets that went beside Tor.
    pub leaks: Vec<String>,
    asked: Vec<String>,
    printed: String,
    took: Duration,
}

impl Trial {
    /// Runs `row` against `host` through `wrapper`.
    ///
    /// The command sees these variables: `HOST`; `CA`, the certificate of https; `SSH`, a command that
    /// knows the world's keys, its options by themselves `SSH_OPTIONS`; `WORLD`, the network's
    /// directory; `ONION`, the onion service; `WRAPPER`, the wrapper. One that names the wrapper puts it
    /// before its programs by itself. It starts in an empty directory, its home, which goes with all
    /// processes that it has started.
    pub fn run(network: &Network, row: &'static Row, host: Host, wrapper: Wrapper) -> Trial {
        let home = Home::new();
        fs::write(home.0.join("proxychains.conf"), PROXYCHAINS).expect("a home can be written");
        let mut command = Command::new("unshare");
        // The shell outside of the wrapper is process 1 and stays, so that it can tell of a crash.
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]);
        command.args([r#""$@"; exit $?"#, "sh"]);
        let words = wrapper.words(&home.0);
        if !row.command.contains("$WRAPPER") {
            command.args(&words);
        }
        command.args(["/bin/sh", "-c", &row.command]);
        environment(&mut command, network, &home.0, host.host(network));
        command.env("WRAPPER", words.join(" "));
        let start = Instant::now();
        // dirmngr gives Tor the address of a name server.
        let lenient = wrapper.looks_up_first() || row.service == "dns";
        let (seen, ended) = network.observe(&mut command, LIMIT, lenient);
        let took = start.elapsed();
        let printed = text(&seen.output);
        let found = match &row.must {
            Must::Work(text) => printed.contains(text.as_str()),
            Must::Refuse(_) => seen.output.status.success() && printed.contains("hello from"),
        };
        let reason = verdict::reason(wrapper, &seen.output);
        let verdict = Verdict::of(found, ended, seen.leaks.len(), &seen.output, &reason);
        let asked =
            seen.asked.iter().map(|asked| format!("{} {}:{}", asked.kind, asked.host, asked.port));
        Trial {
            row,
            host,
            wrapper,
            verdict,
            reason,
            asked: asked.collect(),
            leaks: seen.leaks,
            printed: printed.chars().take(KEPT).collect(),
            took,
        }
    }

    /// All about it.
    pub fn account(&self) -> String {
        format!("{}\ntor was asked: {:?}\n{}\n", self.line(), self.asked, self.printed)
    }

    /// One line about it.
    pub fn line(&self) -> String {
        let Trial { row, host, wrapper, verdict, took, .. } = self;
        let about = match verdict {
            Verdict::Leaks => self.leaks.join("; "),
            // What was told although it works.
            Verdict::Works => self.reason.clone(),
            _ if self.reason.is_empty() => {
                self.printed.lines().next_back().unwrap_or_default().to_owned()
            }
            _ => self.reason.clone(),
        };
        let [wrapper, host, verdict] = [wrapper.name(), host.name(), verdict.word()];
        format!(
            "{verdict:8} {wrapper:12} {host:5} {:5.1} s  {}  {about}",
            took.as_secs_f32(),
            row.name
        )
    }
}

fn environment(command: &mut Command, network: &Network, home: &Path, host: &str) {
    let bins = ["venv/bin", "node_modules/.bin", "cargo/bin"];
    let mut path: String =
        bins.iter().map(|bin| format!("{}:", workshop().join(bin).display())).collect();
    // The machine's own programs come first: a version manager's may be scripts.
    path.push_str("/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/usr/games:");
    path.push_str(&search_path().to_string_lossy());
    let file = |name| network.path(name).display().to_string();
    let options = format!(
        "-F none -o BatchMode=yes -o LogLevel=ERROR -o UserKnownHostsFile={} -i {}",
        file("known_hosts"),
        file("user_key")
    );
    command.env_clear().current_dir(home);
    command.envs([
        ("PATH", path.as_str()),
        ("HOME", &home.display().to_string()),
        ("XDG_RUNTIME_DIR", &home.display().to_string()),
        ("TMPDIR", &home.display().to_string()),
        ("NODE_PATH", &workshop().join("node_modules").display().to_string()),
        ("USER", "root"),
        ("LANG", "C.UTF-8"),
        ("TERM", "xterm"),
        // What is said on a terminal is to be found by its words, too.
        ("NO_COLOR", "1"),
        ("HOST", host),
        ("ONION", network.onion()),
        ("CA", &file("certificate.pem")),
        ("WORLD", &file("")),
        ("SSH", &format!("ssh {options}")),
        ("SSH_OPTIONS", &options),
        ("EPOCHSOCKS_LIBRARY", &preload_library().display().to_string()),
        ("EPOCHSOCKS_CONF_FILE", "none"),
    ]);
}

/// An empty directory with a short path, since sockets are made in it; removed at the end.
struct Home(PathBuf);

impl Home {
    fn new() -> Home {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: a number of its own is all that is asked for.
        let number = NUMBER.fetch_add(1, Relaxed);
        let path = std::env::temp_dir().join(format!("programs.{}.{number}", std::process::id()));
        fs::create_dir(&path).expect("a directory can be created");
        Home(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
