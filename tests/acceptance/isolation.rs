//! Processes and users that share a circuit, and those that do not.

use std::collections::{BTreeMap, BTreeSet};

use crate::subject::{Subject, network_with};
use crate::support::{Asked, Network};

fn curl(network: &Network, flags: &[&str]) -> Vec<Asked> {
    let curl = Subject::new("curl").args(["-sS", "http://v4only.test/"]);
    flags.iter().fold(curl, |curl, flag| curl.flag(flag)).succeed(network).asked
}

fn circuits(asked: &[Asked]) -> Vec<&str> {
    asked.iter().filter_map(|asked| asked.circuit.as_deref()).collect()
}

#[test]
fn no_user_name_is_given_unless_asked_for() {
    let Some(network) = network_with(&["curl"]) else { return };
    for asked in curl(network, &[]) {
        assert_eq!((asked.username, asked.password), (None, None));
    }
}

#[test]
fn user_and_password_reach_tor_with_every_request() {
    let Some(network) = network_with(&["curl"]) else { return };
    for asked in curl(network, &["-u", "alice", "-p", "a secret"]) {
        assert_eq!(asked.username.as_deref(), Some("alice"));
        assert_eq!(asked.password.as_deref(), Some("a secret"));
    }
}

/// promise: circuits of its own for each process; for a user name
#[test]
fn two_users_share_no_circuit() {
    let Some(network) = network_with(&["curl"]) else { return };
    let first = curl(network, &["-u", "alice", "-p", "1"]);
    let second = curl(network, &["-u", "alice", "-p", "2"]);
    assert!(!circuits(&first).is_empty() && !circuits(&second).is_empty());
    for circuit in circuits(&first) {
        assert!(!circuits(&second).contains(&circuit), "{first:#?} {second:#?}");
    }
}

/// promise: circuits of its own for each process; for a user name
#[test]
fn two_isolated_processes_share_no_circuit() {
    let Some(network) = network_with(&["curl"]) else { return };
    let (first, second) = (curl(network, &["-i"]), curl(network, &["-i"]));
    let user = |asked: &[Asked]| asked.last().and_then(|asked| asked.username.clone());
    assert!(user(&first).is_some(), "{first:#?}");
    assert_ne!(user(&first), user(&second));
    assert!(!circuits(&first).is_empty() && !circuits(&second).is_empty());
    for circuit in circuits(&first) {
        assert!(!circuits(&second).contains(&circuit), "{first:#?} {second:#?}");
    }
}

#[test]
fn two_destinations_share_no_circuit_where_they_are_isolated() {
    let Some(network) = network_with(&["curl"]) else { return };
    for flags in [&[][..], &["-i"], &["--isolate=mail"]] {
        let curl = Subject::new("curl").flag("--isolate-destination");
        let curl = flags.iter().fold(curl, |curl, flag| curl.flag(flag));
        let urls = ["http://v4only.test/", "http://dual.test/", "http://v4only.test/"];
        let seen = curl.args(["-sS"]).args(urls).succeed(network);
        let user = seen.asked[0].username.as_deref().expect("a user name");
        let mut circuits = BTreeMap::new();
        for asked in &seen.asked {
            assert_eq!(asked.username.as_deref(), Some(user), "{seen:#?}");
            assert_eq!(asked.password.as_ref(), Some(&asked.host), "{seen:#?}");
            let circuit = asked.circuit.clone().expect("a circuit");
            let host = circuits.entry(circuit).or_insert_with(|| asked.host.clone());
            assert_eq!(*host, asked.host, "{seen:#?}");
        }
        let hosts: BTreeSet<_> = circuits.into_values().collect();
        assert!(hosts.contains("v4only.test") && hosts.len() > 1, "{seen:#?}");
    }
}

#[test]
fn all_requests_of_an_isolated_process_have_one_user_name() {
    let Some(network) = network_with(&["curl"]) else { return };
    let curl = Subject::new("curl").flag("-i");
    let seen = curl.args(["-sS", "http://v4only.test/", "http://dual.test/"]).succeed(network);
    let first = &seen.asked[0];
    assert!(first.username.is_some() && seen.asked.len() >= 2, "{seen:#?}");
    for asked in &seen.asked {
        assert_eq!((&asked.username, &asked.password), (&first.username, &first.password));
    }
}
