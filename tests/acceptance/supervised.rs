//! Programs of many kinds under a supervisor, and what tries to get around it: each goes through Tor or is refused,
//! and nothing leaks.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::redirect::{ADDRESS, EXIT, go, supervised};
use crate::subject::{Subject, empty_directory, network_with};
use crate::support::preload::launcher;
use crate::support::process::{finish, probe_as, text};
use crate::support::{Network, skip};

/// A user who is not root.
const OTHER: u32 = 65_534;

fn fixed() -> PathBuf {
    probe_as("supervised-static", "supervised", &["-static", "-Wno-error", "-pthread"])
}

fn dynamic() -> PathBuf {
    probe_as("supervised-dynamic", "supervised", &["-pthread"])
}

/// A program, what it needs, and what it prints.
type Scene<'a> = (Subject, &'a [&'static str], String);

/// Plays each scene: the program prints what it is to print and leaks nothing, and without the library it leaks if it
/// reaches the world at all.
fn play(network: &Network, scenes: &[Scene<'_>]) {
    for (subject, tools, said) in scenes {
        let missing = skip::missing(tools);
        if !missing.is_empty() {
            skip::skip(&format!("not installed: {}", missing.join(", ")));
            continue;
        }
        if said.contains(EXIT.trim_end()) {
            subject.must_leak_without_the_library(network);
        }
        let seen = subject.run(network);
        assert_eq!(seen.stdout(), *said, "{seen:#?}\n{}", seen.stderr());
    }
}

/// `by` with words behind which a program fetches a page.
fn get(by: Subject, program: &Path) -> Subject {
    by.arg(program).args(["get", "v4only.test", "80"])
}

#[test]
fn what_is_executed_past_the_hooks_goes_through_tor_and_gains_nothing() {
    let Some(network) = network_with(&["cc"]) else { return };
    let (fixed, dynamic) = (fixed(), dynamic());
    let setuid = empty_directory("supervised-setuid").join("program");
    fs::copy(&fixed, &setuid).expect("a program can be copied");
    chown(&setuid, Some(OTHER), None).expect("root may give a file away");
    fs::set_permissions(&setuid, fs::Permissions::from_mode(0o4755)).expect("it is ours");
    let by = |program: &Path| supervised(program).arg("execute");
    let gains = Subject::new(&dynamic).arg("execute").arg(&setuid).arg("users");
    let bare = network.run(&mut gains.bare());
    assert_eq!(bare.stdout(), format!("users {OTHER} 0\n"), "{bare:#?}");
    let said = EXIT.to_owned();
    play(
        network,
        &[
            (get(by(&dynamic), &fixed), &[], said.clone()),
            (get(by(&fixed), &dynamic), &[], said.clone()),
            (get(by(&fixed), &fixed), &[], said),
            (gains.flag("--redirect"), &[], "users 0 0\n".into()),
            (by(&fixed).arg(&setuid).arg("users"), &[], "users 0 0\n".into()),
        ],
    );
}

#[test]
fn sandboxes_go_through_tor_or_get_no_socket() {
    let Some(network) = network_with(&["cc"]) else { return };
    let fixed = fixed();
    let unshare = |more: &[&str]| {
        supervised("unshare").args(["--user", "--map-root-user"]).args(more).arg(&fixed)
    };
    let fetch = ["get", "v4only.test", "80"];
    let sandbox = ["--ro-bind", "/", "/", "--dev", "/dev", "--unshare-user", "--unshare-pid"];
    let refused = "socket -13 connect -9\n";
    play(
        network,
        &[
            (unshare(&[]).args(fetch), &["unshare"], EXIT.into()),
            (unshare(&["--pid", "--fork"]).args(fetch), &["unshare"], EXIT.into()),
            (get(supervised("bwrap").args(sandbox), &fixed), &["bwrap"], EXIT.into()),
            // The supervisor's sockets would lead out of a network of its own.
            (unshare(&["--net"]).args(["raw", ADDRESS, "80"]), &["unshare"], refused.into()),
            // Filters of a program's own come on top, a second supervisor does not.
            (supervised(&fixed).arg("listener"), &[], "listener EBUSY\nfilter done\n".into()),
        ],
    );
}

/// It has filters of its own, which come on top. Runs where it is installed.
#[test]
fn firefox_goes_through_tor() {
    if !skip::missing(&["firefox-esr"]).is_empty() {
        return skip::note("not installed: firefox-esr");
    }
    let Some(network) = network_with(&["timeout"]) else { return };
    let home = empty_directory("supervised-firefox");
    let picture = home.join("picture.png");
    let subject = supervised("timeout").args(["60", "firefox-esr", "--headless", "--profile"]);
    let subject = subject.arg(&home).args(["--window-size", "300,200", "--screenshot"]);
    let seen = subject.arg(&picture).arg("http://v4only.test/").env("HOME", &home).run(network);
    assert!(picture.exists(), "{seen:#?}");
    assert!(seen.asked.iter().any(|asked| asked.host == "v4only.test"), "{seen:#?}");
}

#[test]
fn a_process_that_may_not_be_looked_at_gets_no_socket_but_from_root_and_hooks() {
    let Some(network) = network_with(&["cc", "setpriv"]) else { return };
    let subject = supervised(fixed()).args(["hidden", "raw", ADDRESS, "80"]);
    let seen = subject.succeed_where_it_would_leak(network);
    assert_eq!(seen.stdout(), format!("peer {ADDRESS} 80\n{EXIT}"), "{seen:#?}");
    let seen = network.run(&mut unprivileged(&subject));
    assert_eq!(seen.leaks, [""; 0], "{seen:#?}");
    assert_eq!(seen.stdout(), "socket -13 connect -13\n", "{seen:#?}");
    assert!(seen.stderr().contains("may not be looked at"), "{seen:#?}");

    let hooked = supervised(dynamic()).args(["hidden", "get", "v4only.test", "80"]);
    let seen = network.run(&mut unprivileged(&hooked));
    assert_eq!(seen.leaks, [""; 0], "{seen:#?}");
    assert_eq!(seen.stdout(), EXIT, "{seen:#?}\n{}", seen.stderr());
}

/// `subject` behind epochsocks, by a user whose processes look at no other that forbids it.
fn unprivileged(subject: &Subject) -> Command {
    let torified = subject.torified();
    let mut unprivileged = Command::new("setpriv");
    unprivileged.args(["--bounding-set=-all", "--inh-caps=-all"]);
    unprivileged.arg(torified.get_program()).args(torified.get_args());
    unprivileged.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    unprivileged.envs(torified.get_envs().filter_map(|(name, value)| Some((name, value?))));
    unprivileged
}

/// Hooks that went by the supervisor would fail once it is gone.
#[test]
fn no_supervisor_is_asked_about_what_a_hook_has_judged() {
    let Some(network) = network_with(&["cc"]) else { return };
    let seen = supervised(dynamic()).arg("alone").run(network);
    assert_eq!(
        seen.stdout(),
        "bind done\nlisten done\ngetpeername done\nconnect done\n",
        "{seen:#?}"
    );
}

#[test]
fn a_storm_of_forks_execs_signals_and_ends_leaves_the_supervisor_at_work() {
    let Some(network) = network_with(&["cc"]) else { return };
    for program in [fixed(), dynamic()] {
        let seen = supervised(program).args(["storm", ADDRESS, "80"]).succeed(network);
        assert_eq!(seen.stdout(), format!("storm over\n{EXIT}"), "{seen:#?}");
    }
}

/// promise: static programs, Go programs
#[test]
fn tools_and_the_static_and_go_programs_that_they_start_go_through_tor() {
    let Some(network) = network_with(&["cc"]) else { return };
    let fixed = fixed();
    let chosen = |tool: &str| Subject::new(tool).flag("--supervised-programs").flag(tool);
    let mut scenes: Vec<Scene<'_>> = Vec::new();

    let package = empty_directory("supervised-npm");
    if skip::missing(&["npm", "node"]).is_empty() {
        let script = format!("'{}' get {ADDRESS} 80", fixed.display());
        let json = format!(r#"{{"name": "scene", "scripts": {{"fetch": "{script}"}}}}"#);
        fs::write(package.join("package.json"), json).expect("a file can be written");
        let npm = chosen("npm").arg("--prefix").arg(&package).args(["run", "--silent", "fetch"]);
        scenes.push((npm.env("HOME", &package), &[], EXIT.into()));
    } else {
        skip::note("not installed: npm");
    }

    if skip::missing(&["go"]).is_empty() {
        let program = go("supervised-go-scenes", "0", &[]);
        let url = format!("http://{ADDRESS}/peer");
        let helper = format!("credential.helper={} {url}", program.display());
        let script = "printf 'protocol=https\\nhost=scene\\n\\n' | git -c \"$0\" credential fill";
        let git = chosen("sh").args(["-c", script, &helper]).env("HOME", &package);
        let filled = format!("protocol=https\nhost=scene\nusername={EXIT}password=x\n");
        scenes.push((git, &["git"], filled));
        let server = supervised(&program).flag("--allow-outbound-localhost").flag("1");
        scenes.push((server.args(["-", "60", "serve"]), &[], "60 served\n".into()));
    } else {
        skip::skip("not installed: go");
    }
    play(network, &scenes);
}

/// promise: static programs, Go programs
#[test]
fn a_terminal_multiplexers_shell_with_job_control_goes_through_tor() {
    let Some(network) = network_with(&["tmux", "bash", "curl", "sleep"]) else { return };
    let directory = empty_directory("supervised-tmux");
    let script = format!(
        "cd {directory}; export TMUX_TMPDIR=$PWD\n\
         t() {{ tmux -L scene -f /dev/null \"$@\"; }}\n\
         runs() {{ until [ \"$(t display -p '#{{pane_current_command}}')\" = \"$1\" ]; do :; done; }}\n\
         t new-session -d -x 80 -y 24 'exec bash --norc'; runs bash\n\
         t send-keys '{program} get {ADDRESS} 80 > static; tmux -L scene wait-for -S one' Enter; t wait-for one\n\
         t send-keys 'sleep 1000' Enter; runs sleep; t send-keys C-z; runs bash\n\
         t send-keys fg Enter; runs sleep; t send-keys C-c; runs bash\n\
         t send-keys 'curl -s http://v4only.test/peer > dynamic; tmux -L scene wait-for -S two' Enter; t wait-for two\n\
         t kill-server; cat static dynamic",
        directory = directory.display(),
        program = fixed().display(),
    );
    let subject = Subject::new("sh").flag("--supervised-programs").flag("sh");
    let subject = subject.args(["-c", &script]).env("TERM", "screen").env("SHELL", "/bin/bash");
    let seen = subject.succeed(network);
    assert_eq!(seen.stdout(), EXIT.repeat(2), "{seen:#?}");
}

/// If the system forbids Fast Open, connect(2) to a server that accepts no connection waits.
#[test]
fn a_connect_that_waits_keeps_no_other_call_waiting() {
    // SAFETY: geteuid takes no argument.
    if unsafe { libc::geteuid() } != 0 || !skip::missing(&["unshare", "ip", "python3"]).is_empty() {
        return skip::skip("root, unshare, ip and python3 are needed");
    }
    let torified = supervised(fixed()).args(["stuck", ADDRESS, "80"]).torified();
    let server = "import socket, subprocess, sys\n\
                  full = socket.socket(); full.bind(('127.0.0.1', 9050)); full.listen(0)\n\
                  sys.exit(subprocess.run(sys.argv[1:]).returncode)";
    let script =
        "ip link set lo up; echo 0 > /proc/sys/net/ipv4/tcp_fastopen; exec python3 -c \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", script, "sh", server]);
    command.arg(torified.get_program()).args(torified.get_args());
    let environment = launcher();
    command.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = finish(command.env_remove("LD_PRELOAD"), Duration::from_secs(120));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "answered\n", "{}", text(&output));
}
