//! The preload library of the current sources, and commands under it.

use super::process::default_signals;
use super::run;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The preload library, built once a run from the current sources into a target directory of its
/// own: `cargo test` does not build it, and one from elsewhere might be stale. The command is README's:
/// packages that are built together have other features than one alone.
pub fn preload_library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        once_a_run("built", |target| {
            let mut build = cargo();
            build.args(["build", "--quiet", "--release", "--target-dir"]).arg(target);
            build
        });
        target().join("release/libepochsocks_preload.so")
    })
}

/// Builds the library with every backend beside the default one, once a run, by the command of the
/// guide.
pub fn every_preload_library() {
    preload_library();
    once_a_run("built-variants", |target| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/preload/build-variants");
        let mut build = Command::new(script);
        build.env("CARGO_TARGET_DIR", target);
        // Optimisation across crates is most of the time, and no part of what these libraries show.
        build
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        build
    });
}

/// The program `binary` of a package of the workspace that no other build needs, built once a run.
pub fn package_program(package: &str, binary: &str) -> PathBuf {
    once_a_run(&format!("built-{package}"), |target| {
        let mut build = cargo();
        build.args(["build", "--quiet", "--locked", "--package", package]);
        build.arg("--target-dir").arg(target);
        build
    });
    target().join("debug").join(binary)
}

/// The library with a read behind the end of its guard, for a proof that must find it.
pub fn planted_library() -> PathBuf {
    let target = target().with_file_name("preload-planted");
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "--package", "epochsocks-preload"]);
    build.env("RUSTFLAGS", "--cfg epochsocks_planted").arg("--target-dir").arg(&target);
    let output = build.output().expect("the build can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("release/libepochsocks_preload.so")
}

fn target() -> PathBuf {
    let tests = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tests.parent().unwrap_or(tests).join("preload-tests")
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("CARGO_TARGET_DIR");
    cargo
}

/// Runs the command that `build` makes for the target directory, unless this run has; `mark` tells.
fn once_a_run(mark: &str, build: impl FnOnce(&Path) -> Command) {
    let (target, identity) = (target(), run::identity());
    fs::create_dir_all(&target).expect("the target directory can be created");
    let _building = run::lock(&target.join("lock"));
    let mark = target.join(mark);
    if fs::read_to_string(&mark).is_ok_and(|run| run == identity) {
        return;
    }
    let output = build(&target).output().expect("the build can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{mark:?} does not come about:\n{errors}");
    fs::write(mark, identity).expect("the run can be noted");
}

/// `epochsocks PROGRAM` with the library of the current sources; add the program's arguments.
pub fn torify(program: impl AsRef<OsStr>) -> Command {
    let mut command = launcher();
    command.arg(program);
    command
}

/// `epochsocks` with the library of the current sources and no configuration but what the test
/// gives; add flags and the command.
pub fn launcher() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epochsocks"));
    hermetic(&mut command);
    command.env("EPOCHSOCKS_LIBRARY", preload_library()).env("EPOCHSOCKS_CONF_FILE", "none");
    // A shell is what starts a test's program, or is it: a supervisor is there where the test is about it.
    command.env("EPOCHSOCKS_SUPERVISED_PROGRAMS", "none");
    command
}

/// Takes out of a command's environment what the machine may say about Tor and proxies, and the directories of
/// libraries that cargo adds, with another build of the preload library; gives it the dispositions of signals
/// that programs expect.
pub fn hermetic(command: &mut Command) -> &mut Command {
    default_signals(command);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_lowercase();
        let foreign = text.starts_with("torsocks_")
            || text.starts_with("epochsocks_")
            || text.starts_with("git_")
            || text.ends_with("_proxy")
            || text == "ld_preload"
            || text == "ld_library_path";
        if foreign {
            command.env_remove(name);
        }
    }
    command
}
