//! Functions that reach something harmless. The walk does not go behind them either.

/// Reason that an exported function may reach what the walk finds.
pub fn reason(export: &str) -> Option<&'static str> {
    ALLOWED.iter().find(|(names, _)| names.contains(&export)).map(|(_, reason)| *reason)
}

const ALLOWED: [(&[&str], &str); 8] = [
    (
        &["syslog", "vsyslog", "__syslog_chk", "__vsyslog_chk"],
        "they send to the log's UNIX socket, which another function makes",
    ),
    (&["if_nametoindex", "if_indextoname"], "they make a socket of any family, for an ioctl only"),
    (
        &["getifaddrs", "if_nameindex"],
        "they send to a netlink socket, which another function makes",
    ),
    (
        &["gethostent", "gethostent_r", "sethostent", "endhostent"],
        "they list /etc/hosts: of all modules only files has a list",
    ),
    (
        &["rresvport", "rresvport_af"],
        "they bind a TCP socket, which the program then connects by a hook",
    ),
    (
        &["pthread_create", "thrd_create", "__libc_freeres"],
        "a thread's services of Sun RPC are unregistered: there are none, as svc_register is refused",
    ),
    (
        &["clntunix_create", "svcunixfd_create"],
        "they make a UNIX socket, or use one that the program has",
    ),
    (
        &[
            "key_setsecret",
            "key_secretkey_is_set",
            "key_encryptsession",
            "key_decryptsession",
            "key_encryptsession_pk",
            "key_decryptsession_pk",
            "key_setnet",
            "key_get_conv",
        ],
        "they ask the key server by its UNIX socket",
    ),
];
