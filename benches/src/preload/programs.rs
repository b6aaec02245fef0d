//! The C programs that are measured.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::de::DeserializeOwned;

use super::torifier::Torifier;

/// A program that ends at once: what an exec costs by itself.
pub const EMPTY: &str = "empty";
/// The program of many modes.
pub const CLIENT: &str = "client";

/// Compiles c/`name`.c into `directory`.
pub fn compile(name: &str, directory: &Path) -> io::Result<PathBuf> {
    compile_to(&directory.join(name), name, &["-Wall", "-Wextra"])
}

/// As [`compile`], into a static program. The linker's warnings of functions that load libraries are left
/// out: what uses them is not called there.
pub fn compile_statically(name: &str, directory: &Path) -> io::Result<PathBuf> {
    compile_to(&directory.join(format!("{name}-static")), name, &["-static", "-Wl,--no-warnings"])
}

fn compile_to(program: &Path, name: &str, flags: &[&str]) -> io::Result<PathBuf> {
    let program = std::path::absolute(program)?;
    std::fs::create_dir_all(program.parent().unwrap_or(Path::new("/")))?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("c/{name}.c"));
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-O2", "-pthread"]).args(flags).arg("-o").args([&program, &source]);
    if !cc.status()?.success() {
        return Err(io::Error::other(format!("{} does not compile", source.display())));
    }
    Ok(program)
}

/// Runs `program` under `torifier` and reads the JSON that it prints.
pub fn run<T: DeserializeOwned>(
    program: &Path,
    arguments: &[String],
    torifier: &Torifier,
    variables: &[(&str, String)],
) -> io::Result<T> {
    run_in(|_| (), program, arguments, torifier, variables)
}

/// As [`run`], with a command that `place` has prepared.
pub fn run_in<T: DeserializeOwned>(
    place: impl FnOnce(&mut Command),
    program: &Path,
    arguments: &[String],
    torifier: &Torifier,
    variables: &[(&str, String)],
) -> io::Result<T> {
    let mut command = Command::new(program);
    torifier.apply(&mut command).args(arguments);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    place(&mut command);
    let output = command.output()?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        let first = errors.lines().next().unwrap_or("");
        io::Error::other(format!("{} {arguments:?}: {}: {first}", torifier.name, output.status))
    })
}
