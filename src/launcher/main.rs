//! The `epochsocks` command.
fn main() {}
