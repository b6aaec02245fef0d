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
    std::fs::create_dir_all(directory)?;
    let program = std::path::absolute(directory.join(name))?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("c/{name}.c"));
    let flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-pthread", "-o"];
    let status = Command::new("cc").args(flags).args([&program, &source]).status()?;
    if !status.success() {
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
