//! Browsers, whose renderers install a filter that kills for a question about a socket, in their
//! default sandbox and as an ordinary user.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::preload::{hermetic, preload_library};
use support::process::{finish, text};
use support::scripted_proxy::Action::{Greeting, Hello, Reply, Request};
use support::scripted_proxy::{ScriptedProxy, method};
use support::skip::missing;

const LIMIT: Duration = Duration::from_secs(120);
/// The user that is nobody, and its group.
const ORDINARY: u32 = 65_534;

/// A directory that an ordinary user can read, and may write to: programs, libraries, home.
struct Home(PathBuf);

impl Home {
    fn new() -> Home {
        let path = std::env::temp_dir().join(format!("epochsocks-browser.{}", std::process::id()));
        fs::create_dir(&path).expect("a directory can be made");
        let home = Home(path);
        fs::set_permissions(&home.0, fs::Permissions::from_mode(0o755)).expect("it is ours");
        home.copy(Path::new(env!("CARGO_BIN_EXE_epochsocks")), "epochsocks");
        home.copy(preload_library(), "libepochsocks_preload.so");
        if is_root() {
            chown(&home.0, Some(ORDINARY), Some(ORDINARY)).expect("root may give a directory away");
        }
        home
    }

    fn copy(&self, from: &Path, name: &str) {
        fs::copy(from, self.0.join(name))
            .unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }

    /// `program` by an ordinary user who lives here.
    fn command(&self, program: &Path) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            let id = ORDINARY.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        hermetic(&mut command);
        command.env("HOME", &self.0).env("XDG_RUNTIME_DIR", &self.0).current_dir(&self.0);
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

const ONION: &str = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwx.onion";

/// A page is fetched, and nothing of the browser's own.
const HEADLESS: [&str; 5] = [
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--dump-dom",
];

/// Says why a test does not run. No run of all tests requires it: a browser is as large as all that they
/// install.
fn skip(why: &str) {
    // Not eprintln!: the test runner would hide it.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

#[test]
fn chromium_renders_a_page_in_its_sandbox() {
    if !missing(&["chromium", "setpriv"]).is_empty() {
        return skip("not installed: chromium or setpriv");
    }
    let home = Home::new();
    let alone = finish(home.command(Path::new("chromium")).args(HEADLESS).arg("data:,text"), LIMIT);
    if !text(&alone).contains("<pre") {
        return skip(&format!("chromium's sandbox does not run here: {}", text(&alone)));
    }
    // A lookup is answered with an address; for a connect that is where it was made from.
    let answer = Reply(vec![5, 0, 0, 1, 203, 0, 113, 5, 0, 0]);
    // One process looks a name up, and another one connects to the cookie address.
    for (flags, host) in [
        (&["--no-redirect"][..], "name.test"),
        (&["--no-redirect"], ONION),
        (&["--no-redirect", "--names", "cookie"], "cookie.test"),
        (&["--redirect"], "name.test"),
        (&["--redirect", "--names", "cookie"], "cookie.test"),
    ] {
        let proxy = ScriptedProxy::start(&[Greeting, method(0), Request, answer.clone(), Hello]);
        let mut command = home.command(&home.0.join("epochsocks"));
        command.env("EPOCHSOCKS_LIBRARY", home.0.join("libepochsocks_preload.so"));
        command.env("EPOCHSOCKS_CONF_FILE", "none");
        command.env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string());
        command.args(flags).arg("chromium").args(HEADLESS).arg(format!("http://{host}/"));
        let seen = text(&finish(&mut command, LIMIT));
        assert!(seen.contains("hello"), "{host}: {seen}");
        let asked = proxy.recorded();
        let named =
            |message: &Vec<u8>| message[..].windows(host.len()).any(|w| w == host.as_bytes());
        assert!(asked.iter().any(named), "{host}: {asked:?}");
    }
}
