//! Every backend of the registry carries real programs.

use std::path::Path;

use epochsocks::registry::VARIANTS;

use crate::subject::{Subject, assert_asked_by_name, network_with};
use crate::support::every_preload_library;
use crate::support::network::python;

#[test]
fn every_backend_carries_curl_and_fifty_threads() {
    let Some(network) = network_with(&["curl", "python3"]) else { return };
    every_preload_library();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probes/download.py");
    for variant in VARIANTS {
        let registry = |program: &str| Subject::new(program).flag("--registry").flag(variant.name);

        let seen = registry("curl").args(["-sS", "http://v4only.test/"]).succeed(network);
        assert_eq!(seen.stdout(), "hello from the world\n", "{}: {seen:#?}", variant.name);
        assert_asked_by_name(&seen, "v4only.test", 80);
        let caveats = variant.guarantees.missing.len();
        assert_eq!(seen.stderr().matches("lacks guarantee").count(), caveats, "{seen:#?}");

        let seen = registry(python()).arg(&script).arg("50").succeed(network);
        assert_eq!(seen.stdout(), "50 of 50\n", "{}: {seen:#?}", variant.name);
    }
}
