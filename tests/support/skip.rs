//! Skipping of tests that cannot run here.

use std::io::Write;

/// Says why a test does not run; fails it where `EPOCHSOCKS_REQUIRE_NETWORK=1` promises that
/// every test can.
pub fn skip(why: &str) {
    assert!(
        std::env::var_os("EPOCHSOCKS_REQUIRE_NETWORK").is_none_or(|value| value != "1"),
        "EPOCHSOCKS_REQUIRE_NETWORK=1, but this test cannot run: {why}"
    );
    note(why);
}

/// Says that a part of a test does not run, whatever the environment promises.
pub fn note(why: &str) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    // Not eprintln!: the test runner would hide it.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {name}: {why}");
}

/// Those of these programs that are not on the machine.
pub fn missing(programs: &[&'static str]) -> Vec<&'static str> {
    let path = super::process::search_path();
    let installed =
        |program: &str| std::env::split_paths(&path).any(|place| place.join(program).is_file());
    programs.iter().copied().filter(|program| !installed(program)).collect()
}
