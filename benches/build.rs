//! Builds the peers that are written in C, where their headers are installed.

use std::path::Path;

/// A peer that is written in C.
struct Peer {
    /// The `cfg` that says that it is there.
    name: &'static str,
    header: &'static str,
    source: &'static str,
    definition: Option<&'static str>,
    libraries: &'static [&'static str],
}

const PEERS: [Peer; 4] = [
    Peer {
        name: "urcu_memb",
        header: "urcu/rculfhash.h",
        source: "c/urcu.c",
        definition: Some("RCU_MEMBARRIER"),
        libraries: &["urcu-cds", "urcu-memb", "urcu-common"],
    },
    Peer {
        name: "urcu_bp",
        header: "urcu/rculfhash.h",
        source: "c/urcu.c",
        definition: Some("RCU_BP"),
        libraries: &["urcu-cds", "urcu-bp", "urcu-common"],
    },
    Peer { name: "ck", header: "ck_ht.h", source: "c/ck.c", definition: None, libraries: &["ck"] },
    Peer {
        name: "ck_hp",
        header: "ck_hp.h",
        source: "c/ck_hp.c",
        definition: None,
        libraries: &["ck"],
    },
];

fn main() {
    println!("cargo::rerun-if-changed=c");
    for peer in PEERS {
        println!("cargo::rustc-check-cfg=cfg({})", peer.name);
        match compile(&peer) {
            Ok(()) => println!("cargo::rustc-cfg={}", peer.name),
            Err(why) => println!("cargo::warning={} is left out: {why}", peer.name),
        }
    }
}

fn compile(peer: &Peer) -> Result<(), String> {
    if !has_header(peer.header) {
        return Err(format!("{} is not installed", peer.header));
    }
    let mut build = cc::Build::new();
    build.file(peer.source).opt_level(2).flag("-std=gnu11").flag("-Wno-unused-parameter");
    if let Some(name) = peer.definition {
        build.define(name, "1");
    }
    build.try_compile(&format!("peer_{}", peer.name)).map_err(|error| error.to_string())?;
    peer.libraries.iter().for_each(|name| println!("cargo::rustc-link-lib={name}"));
    Ok(())
}

fn has_header(header: &str) -> bool {
    let machine = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    ["/usr/include", "/usr/local/include", &machine]
        .iter()
        .any(|directory| Path::new(directory).join(header).exists())
}
