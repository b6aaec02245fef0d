//! The torifiers that a program is run through.

use std::path::Path;

/// A torifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrapper {
    /// Ours.
    Epochsocks,
    /// Debian's torsocks.
    Torsocks,
    /// Debian's proxychains4, which is proxychains-ng, with names asked of the proxy.
    Proxychains,
}

/// The configuration of proxychains4.
pub const PROXYCHAINS: &str =
    "strict_chain\nproxy_dns\nremote_dns_subnet 224\n[ProxyList]\nsocks5 127.0.0.1 9050\n";

impl Wrapper {
    /// All of them, ours first.
    pub const ALL: [Wrapper; 3] = [Wrapper::Epochsocks, Wrapper::Torsocks, Wrapper::Proxychains];

    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Wrapper::Epochsocks => "epochsocks",
            Wrapper::Torsocks => "torsocks",
            Wrapper::Proxychains => "proxychains4",
        }
    }

    /// The words before the program's own; `directory` holds proxychains.conf.
    pub fn words(self, directory: &Path) -> Vec<String> {
        match self {
            Wrapper::Epochsocks => vec![env!("CARGO_BIN_EXE_epochsocks").to_owned()],
            Wrapper::Torsocks => vec!["torsocks".to_owned()],
            Wrapper::Proxychains => {
                let file = directory.join("proxychains.conf");
                vec!["proxychains4".to_owned(), "-f".to_owned(), file.display().to_string()]
            }
        }
    }

    /// Tells whether tor must take addresses that it has looked up before, as this wrapper asks so.
    pub fn looks_up_first(self) -> bool {
        self != Wrapper::Epochsocks
    }

    /// Tells whether a line of standard error is this wrapper's word that something was refused or failed.
    pub fn says(self, line: &str) -> bool {
        match self {
            Wrapper::Epochsocks => {
                line.contains("epochsocks: ")
                    || line.contains("epochsocks[")
                        && (line.contains("]: warning: ") || line.contains("]: error: "))
            }
            Wrapper::Torsocks => {
                (line.contains("WARNING torsocks[") || line.contains("ERROR torsocks["))
                    || line.starts_with("ERROR: ")
            }
            Wrapper::Proxychains => {
                line.contains("[proxychains]") && line.contains("<--")
                    || line.contains("proxychains can't")
            }
        }
    }
}
