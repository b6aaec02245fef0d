//! Number of the library's instructions that each hooked call takes, counted by callgrind: a guard
//! against slow regressions that noise can't move.
//!
//! The counts are compared with `baseline`, within [`MARGIN`]. Who changes them on purpose
//! writes them anew, and the commit shows what changed:
//!
//!     EPOCHSOCKS_RENEW_BASELINE=1 cargo test --test instruction_counts

#[path = "../support/mod.rs"]
mod support;

mod profile;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::preload::hermetic;
use support::scripted_proxy::{Action, ScriptedProxy, method, reply};
use support::skip::{missing, skip};
use support::{preload_library, process};

/// Margin by which a count may move unnoticed: a number of instructions, and a percentage.
const MARGIN: (f64, f64) = (2.0, 5.0);
/// Number of calls in each dump of the probe.
const TIMES: f64 = 100.0;
const LIMIT: Duration = Duration::from_secs(120);

/// Each call's instructions in our library.
type Counts = BTreeMap<String, f64>;

#[test]
fn no_hook_takes_more_or_fewer_instructions_than_its_baseline() {
    let absent = missing(&["valgrind", "cc"]);
    if !absent.is_empty() {
        return skip(&format!("{absent:?} is not installed"));
    }
    let (compiler, counts) = (compiler(), measure());
    if std::env::var_os("EPOCHSOCKS_RENEW_BASELINE").is_some() {
        fs::write(baseline_file(), written(&compiler, &counts)).expect("the baseline is ours");
        return;
    }
    let text = fs::read_to_string(baseline_file()).expect("the baseline is committed");
    if text.lines().next() != Some(first_line(&compiler).as_str()) {
        // Another compiler writes another code; CI's is the baseline's.
        println!("the baseline is of another compiler or processor than {compiler}");
        return;
    }
    let moved = moved(&read(&text), &counts);
    assert!(
        moved.is_empty(),
        "{moved}if that is meant, run EPOCHSOCKS_RENEW_BASELINE=1 cargo test --test \
         instruction_counts and commit {}",
        baseline_file().display()
    );
}

fn baseline_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/instruction_counts/baseline")
}

/// The compiler and the processor, which the counts depend on.
fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().expect("rustc can be run");
    let version = String::from_utf8_lossy(&output.stdout);
    let release = version.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    format!("{release}, {}", std::env::consts::ARCH)
}

fn first_line(compiler: &str) -> String {
    format!("# instructions in the preload library for each call; {compiler}")
}

fn written(compiler: &str, counts: &Counts) -> String {
    let mut text = first_line(compiler) + "\n";
    for (call, count) in counts.iter().filter(|(_, count)| **count > 0.0) {
        let _ = writeln!(text, "{call} {count:.0}");
    }
    text
}

fn read(text: &str) -> Counts {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (call, count) = line.split_once(' ').expect("a call and its count");
            (call.to_owned(), count.parse().expect("a number"))
        })
        .collect()
}

/// A line for each call that is beyond the margin.
fn moved(baseline: &Counts, counts: &Counts) -> String {
    let mut text = String::new();
    for (call, before) in baseline {
        let now = counts.get(call).copied().unwrap_or(0.0);
        if (now - before).abs() > MARGIN.0.max(before * MARGIN.1 / 100.0) {
            let _ = writeln!(text, "{call}: {before:.0} instructions before, {now:.0} now");
        }
    }
    text
}

fn measure() -> Counts {
    let script = [Action::Greeting, method(0), Action::Request, reply(0), Action::Hang];
    let proxy = ScriptedProxy::start(&script);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("instruction_counts.{}", std::process::id()));
    fs::create_dir_all(&directory).expect("the target directory is ours");
    let program = linked_probe(&directory);
    let profile = directory.join("profile");
    // The library is linked, not preloaded: valgrind's own programs would load it, too.
    let mut command = Command::new("valgrind");
    hermetic(&mut command)
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(program)
        .arg("instructions")
        // Cargo's, where a library of another profile may lie.
        .env_remove("LD_LIBRARY_PATH")
        .env("EPOCHSOCKS_CONF_FILE", "none")
        .env("EPOCHSOCKS_TOR_PORT", proxy.port().to_string())
        .env("BENCH_PORT", proxy.port().to_string());
    let output = process::finish(&mut command, LIMIT);
    assert!(output.status.success(), "{}", process::text(&output));
    let counts = profile::counts(&directory, preload_library());
    fs::remove_dir_all(directory).expect("the directory is ours");
    assert!(!counts.is_empty(), "valgrind wrote no profile: {}", process::text(&output));
    counts.into_iter().map(|(call, count)| (call, count as f64 / TIMES)).collect()
}

fn linked_probe(directory: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/c/client.c");
    let program = directory.join("client");
    let output = Command::new("cc")
        .args(["-std=gnu11", "-O2", "-pthread", "-o"])
        .args([&program, &source])
        .args(["-Wl,--no-as-needed"].map(Path::new))
        .arg(preload_library())
        // Linked by its SONAME, which the dynamic linker looks for in folders.
        .arg(format!("-Wl,-rpath,{}", preload_library().parent().expect("a file").display()))
        .output()
        .expect("a C compiler is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

#[test]
fn only_what_is_beyond_the_margin_has_moved() {
    let baseline = Counts::from([("close".to_owned(), 20.0), ("connect".to_owned(), 1_000.0)]);
    let with = |close, connect| {
        moved(&baseline, &[("close".to_owned(), close), ("connect".to_owned(), connect)].into())
    };
    assert_eq!(with(22.0, 1_050.0), "");
    assert_eq!(with(23.0, 1_000.0), "close: 20 instructions before, 23 now\n");
    assert_eq!(with(20.0, 940.0), "connect: 1000 instructions before, 940 now\n");
}

#[test]
fn a_baseline_is_read_as_it_was_written() {
    let counts = Counts::from([("close".to_owned(), 20.0), ("poll".to_owned(), 0.0)]);
    let read = read(&written("rustc 1.0.0, x86_64", &counts));
    assert_eq!(read, Counts::from([("close".to_owned(), 20.0)]));
}
