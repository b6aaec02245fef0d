//! A scratch directory, programs made in it, and the launcher to run them with.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::process::default_signals;

/// A directory of one test's own, gone at the test's end.
pub struct Sandbox {
    /// The directory.
    pub path: PathBuf,
}

/// Outcome of a launcher.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit status; `None` after a signal.
    pub status: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Sandbox {
    pub fn new() -> Sandbox {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only the number itself matters.
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("epochsocks-launcher-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Sandbox { path }
    }

    /// A file with this content and mode.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// An executable script that starts with `line`.
    pub fn script(&self, name: &str, line: &str) -> PathBuf {
        self.file(name, format!("{line}\necho ran\n"), 0o755)
    }

    /// A C program that prints `ran`, compiled with `flags`.
    pub fn program(&self, name: &str, flags: &[&str]) -> PathBuf {
        let source = "#include <stdio.h>\nint main(void) { puts(\"ran\"); return 0; }\n";
        self.compile(name, source, flags)
    }

    /// A copy of a dynamic program with another mode.
    pub fn program_with_mode(&self, name: &str, mode: u32) -> PathBuf {
        let program = self.program(name, &[]);
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).unwrap();
        program
    }

    /// A library that does nothing and carries the preload library's note.
    pub fn library(&self, name: &str) -> PathBuf {
        let source = concat!(
            "__attribute__((section(\".note.epochsocks\"), used, aligned(4))) static const struct {",
            "unsigned sizes[3]; char name[12], version[16];",
            "} note = {{11, 16, 1}, \"epochsocks\", \"",
            env!("CARGO_PKG_VERSION"),
            "\"};\n"
        );
        self.compile(name, source, &["-shared", "-fPIC", "-nostdlib"])
    }

    /// A library that is not ours.
    pub fn foreign_library(&self, name: &str) -> PathBuf {
        self.compile(name, "int nothing;\n", &["-shared", "-fPIC", "-nostdlib"])
    }

    pub fn compile(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let target = self.path.join(name);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        let source = self.file(&format!("{name}.c"), source, 0o644);
        let compiled =
            Command::new("cc").arg(&source).arg("-o").arg(&target).args(flags).status().unwrap();
        assert!(compiled.success(), "cc {flags:?}");
        target
    }

    /// The launcher with a library that does nothing, and an environment without settings.
    pub fn launcher(&self) -> Command {
        let library = self.path.join("libepochsocks_preload.so");
        if !library.exists() {
            self.library("libepochsocks_preload.so");
        }
        let mut command = bare(Path::new(env!("CARGO_BIN_EXE_epochsocks")));
        command.env("EPOCHSOCKS_LIBRARY", library);
        command
    }

    /// The launcher, run by a user who can read no more than a file's mode says: root could read
    /// all.
    pub fn without_capabilities(&self) -> Command {
        let launcher = self.launcher();
        // SAFETY: geteuid can't fail.
        if unsafe { libc::geteuid() } != 0 {
            return launcher;
        }
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(launcher.get_program());
        for (name, value) in launcher.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Runs the launcher with `program`, which is not to have a supervisor.
    pub fn run_alone(&self, program: impl AsRef<OsStr>) -> Outcome {
        self.run([OsStr::new("--no-redirect"), program.as_ref()])
    }

    /// Runs the launcher with `arguments`.
    pub fn run<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Outcome {
        outcome(self.launcher().args(arguments))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// `launcher` with nothing in its environment that would change what it does.
pub fn bare(launcher: &Path) -> Command {
    let mut command = Command::new(launcher);
    default_signals(&mut command);
    let ours = |name: &str| name.starts_with("EPOCHSOCKS_") || name.starts_with("TORSOCKS_");
    for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command.env_remove("LD_PRELOAD").env("EPOCHSOCKS_CONF_FILE", "none").env("LC_ALL", "C");
    command
}

/// Runs `command` to its end.
pub fn outcome(command: &mut Command) -> Outcome {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Outcome { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

impl Outcome {
    /// The launcher ended by itself with `status` and one line that holds each of `parts`; the
    /// program did not run.
    #[track_caller]
    pub fn assert_ended(&self, status: i32, parts: &[&str]) {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert!(self.stderr.starts_with("epochsocks: "), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {self:?}");
        }
    }

    /// The program ran to a good end.
    #[track_caller]
    pub fn assert_ran(&self) {
        assert_eq!((self.status, self.stdout.as_str()), (Some(0), "ran\n"), "{self:?}");
    }
}
