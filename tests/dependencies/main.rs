//! Dependencies of this project: known licences, one source, no crate with an advisory. Works
//! offline; `advisories.json` is brought up to date by `tests/dependencies/review`.

mod licence;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use epochsocks::registry::VARIANTS;
use semver::{Version, VersionReq};
use serde::Deserialize;

/// Licences that ask for no more than a notice.
const LICENCES: [&str; 7] =
    ["Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0"];
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// All that goes into a process which the preload library is loaded into.
const IN_THE_PRELOAD_LIBRARY: [&str; 4] =
    ["epochsocks", "epochsocks-preload", "epochsocks-registry", "libc"];

/// The beginning of what is installed about other people's work.
const HEAD: &str = "epochsocks is linked with the crates below, under the licence that is given with each, \
    and with the\nstandard library of Rust (The Rust Project Developers, MIT or Apache-2.0, as in \
    LICENSE-MIT and\nLICENSE-APACHE).\n";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Version,
    license: Option<String>,
    manifest_path: PathBuf,
    /// `None` for the members of the workspace.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Advisories {
    crates: BTreeMap<String, Vec<Advisory>>,
}

#[derive(Deserialize)]
struct Advisory {
    id: String,
    /// The versions that do not have the flaw.
    free: Vec<VersionReq>,
}

/// Runs cargo and returns its output. It asks the network only if crates are missing, as those that
/// no build has needed so far are in a fresh clone.
fn cargo(arguments: &[&str]) -> String {
    let run = |network: &[&str]| {
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(arguments)
            .arg("--locked")
            .args(network)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo can be run")
    };
    let offline = run(&["--offline"]);
    let output = if offline.status.success() { offline } else { run(&[]) };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}; try `cargo fetch` first:\n{errors}");
    String::from_utf8(output.stdout).expect("cargo prints text")
}

/// Every package that any build, test or bench on this platform compiles.
fn packages() -> Vec<Package> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let arguments = ["metadata", "--format-version=1", "--all-features", "--filter-platform"];
    let text = cargo(&[arguments.as_slice(), &[&platform]].concat());
    let metadata: Metadata = serde_json::from_str(&text).expect("cargo's metadata can be read");
    assert!(metadata.packages.len() > IN_THE_PRELOAD_LIBRARY.len());
    metadata.packages
}

#[test]
fn every_licence_is_permissive() {
    for package in packages() {
        let licence = package.license.unwrap_or_default();
        assert!(licence::permits(&licence, &LICENCES), "{}: {licence:?}", package.name);
    }
}

#[test]
fn every_crate_comes_from_crates_io() {
    for package in packages() {
        let expected = (!package.name.starts_with("epochsocks")).then_some(CRATES_IO);
        assert_eq!(package.source.as_deref(), expected, "{}", package.name);
    }
}

#[test]
fn no_crate_has_an_advisory() {
    let text = include_str!("advisories.json");
    let advisories: Advisories = serde_json::from_str(text).expect("advisories.json can be read");
    for Package { name, version, .. } in packages().iter().filter(|it| it.source.is_some()) {
        let known = advisories.crates.get(name).unwrap_or_else(|| {
            panic!("{name} has not been looked up yet: run tests/dependencies/review")
        });
        for Advisory { id, free } in known {
            assert!(
                free.iter().any(|versions| versions.matches(version)),
                "{name} {version} has {id}"
            );
        }
    }
}

/// The crates that are linked into what is installed, with every registry.
fn linked() -> BTreeSet<String> {
    let tree =
        ["tree", "--workspace", "--exclude=epochsocks-benches", "--exclude=epochsocks-loop-tokio"];
    let lines = cargo(
        &[
            &tree[..],
            &["--edges=normal,no-proc-macro", "--all-features", "--prefix=none", "--format={p}"],
        ]
        .concat(),
    );
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// The licences demand that their texts are handed on.
#[test]
fn the_licences_of_what_is_linked_are_installed() {
    let (linked, mut text) = (linked(), String::from(HEAD));
    let own = |package: &Package| package.name.starts_with("epochsocks");
    for package in packages().iter().filter(|package| linked.contains(&package.name)) {
        if own(package) {
            continue;
        }
        let folder = package.manifest_path.parent().expect("a manifest is in a folder");
        let names = ["LICENSE-MIT", "LICENSE", "LICENSE.md", "license-mit", "LICENSE-BSL"];
        let licence = names.iter().find_map(|name| std::fs::read_to_string(folder.join(name)).ok());
        let licence = licence.unwrap_or_else(|| panic!("{} has no licence file", package.name));
        let (name, kind) = (&package.name, package.license.as_deref().unwrap_or_default());
        text += &format!("\n----- {name} ({kind})\n\n{}\n", licence.trim());
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/THIRD-PARTY.txt");
    if std::env::var_os("EPOCHSOCKS_BLESS").is_some() {
        std::fs::write(&file, &text).expect("the checkout can be written");
    }
    let renew = "EPOCHSOCKS_BLESS=1 cargo test --test dependencies";
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == text, "packaging/THIRD-PARTY.txt is stale; `{renew}` renews it");
}

/// Cargo knows no list of backends: the manifest has those of the crate with std once more.
#[test]
fn the_preload_library_takes_the_crate_with_std_for_the_backends_that_need_it() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/preload/Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).expect("a manifest");
    let names = manifest.split("epochsocks_registry = \"").skip(1);
    let named: Vec<_> = names.filter_map(|rest| rest.split('"').next()).collect();
    let expected = VARIANTS.iter().filter(|variant| variant.needs_std).map(|variant| variant.name);
    assert_eq!(named, expected.collect::<Vec<_>>());
}

/// The crates that `package` is built from.
fn built_from(package: &str) -> BTreeSet<String> {
    let tree = ["tree", "--edges=normal,build", "--prefix=none", "--format={lib}", "--package"];
    let lines = cargo(&[tree.as_slice(), &[package]].concat());
    lines.lines().map(|name| name.replace('_', "-")).collect()
}

#[test]
fn the_preload_library_is_built_from_these_crates_alone() {
    let crates = built_from("epochsocks-preload");
    assert_eq!(crates, IN_THE_PRELOAD_LIBRARY.map(str::to_owned).into());
}

/// For targets without std.
#[test]
fn the_library_and_the_registry_are_built_from_no_crate_with_std() {
    let expected = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let registry: BTreeSet<_> = expected(&["epochsocks-registry", "libc"]);
    assert_eq!(built_from("epochsocks-registry"), registry);
    let library = expected(&["epochsocks", "epochsocks-registry", "libc"]);
    assert_eq!(built_from("epochsocks-library"), library);
}
