//! Each call that the hooks make is denied, with each errno, to one flow after the other:
//! tests/probes/denied_calls.c.

use std::time::Duration;

use crate::scene::{command, echoing_proxy};
use crate::support::process::{finish, probe_as, text};
use crate::support::scripted_proxy::{Action, ScriptedProxy, method, reply};

/// More than the trials of a flow take.
const LIMIT: Duration = Duration::from_secs(600);

/// A proxy that lets a connect be under way for a while.
fn slow_proxy() -> ScriptedProxy {
    use Action::{Delay, Echo, Greeting, Request};
    let late = Delay(Duration::from_millis(30));
    ScriptedProxy::start(&[Greeting, method(0), Request, late, reply(0), Echo])
}

fn denied(flow: &str, proxy: &ScriptedProxy) {
    let mut command = command("denied_calls", flow, proxy);
    command.env("PROXY_PORT", proxy.port().to_string());
    command.env("STATIC", probe_as("static", "resolve", &["-static"]));
    let output = finish(&mut command, LIMIT);
    let seen = text(&output);
    assert!(output.status.success() && seen.contains(" trials, 0 wrong"), "{flow}: {seen}");
}

macro_rules! flows {
    ($($test:ident: $proxy:ident, $($flow:literal),*;)*) => {
        $(
            #[test]
            fn $test() {
                let proxy = $proxy();
                [$($flow),*].into_iter().for_each(|flow| denied(flow, &proxy));
            }
        )*
    };
}

flows! {
    a_connect_under_filters_reaches_the_proxy_or_fails: echoing_proxy, "socket", "connect", "fresh", "dissolve", "fork";
    a_wait_under_filters_tells_of_no_connection_that_is_none: slow_proxy, "poll", "select", "epoll", "registered";
    data_under_filters_are_the_destinations: slow_proxy, "data", "again";
    entries_under_filters_are_their_descriptors: echoing_proxy, "duplicates", "close", "replace", "close-range";
    nothing_comes_in_under_filters: echoing_proxy, "listen", "accept";
    no_datagram_goes_out_under_filters: echoing_proxy, "datagrams", "made-datagrams", "foreign-datagrams";
    no_socket_is_taken_under_filters: echoing_proxy, "receive-datagrams", "receive-stream", "receive-many", "take";
    a_lookup_under_filters_has_no_other_answer: echoing_proxy, "lookup";
    nothing_unprotected_is_executed_under_filters: echoing_proxy, "exec";
}
