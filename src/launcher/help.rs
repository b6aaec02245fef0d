//! What is printed about the command.

/// `--version`.
pub fn version() -> String {
    format!("epochsocks {}\n", env!("CARGO_PKG_VERSION"))
}

/// `--help`.
pub fn text() -> String {
    "Usage: epochsocks [OPTIONS] COMMAND [ARGUMENTS]\n".to_owned()
}
