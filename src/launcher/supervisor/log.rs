//! The log of the supervisor: the hooks' lines, with the number of the program that they are about.

use std::cell::Cell;
use std::ffi::CString;
use std::fmt::Arguments;

use epochsocks::config::{LogFormat, Settings};
use epochsocks::log::{Admission, Form, Head, Limit, Line, file};
pub use epochsocks::log::{Level, Subject};
use epochsocks::policy::socket::stays_local;
use epochsocks::sys::{self, net, time};

/// The log file, or standard error while the launch's first program lives.
pub struct Log<'s> {
    settings: &'s Settings,
    limits: [Limit; Subject::ALL.len()],
    is_heard: Cell<bool>,
}

impl<'s> Log<'s> {
    /// A log as `settings` say.
    pub fn new(settings: &'s Settings) -> Log<'s> {
        // A line would go to a peer otherwise.
        let domain = net::socket_number(libc::STDERR_FILENO, libc::SO_DOMAIN);
        let is_heard = Cell::new(!domain.is_ok_and(|domain| !stays_local(domain)));
        Log { settings, limits: [const { Limit::new() }; Subject::ALL.len()], is_heard }
    }

    /// Lets standard error go.
    pub fn let_go(&self) {
        self.is_heard.set(false);
        let _ = sys::replace_by_null(libc::STDERR_FILENO);
    }

    /// Writes one line about `process` if the settings' level lets it through.
    pub fn line(
        &self,
        level: Level,
        subject: Subject,
        process: impl FnOnce() -> i32,
        message: Arguments<'_>,
    ) {
        let settings = self.settings;
        if level as u8 > settings.log_level {
            return;
        }
        let admission = if settings.log_level < Level::Debug as u8 {
            self.limits[subject as usize].admit(time::monotonic().as_secs() as u32)
        } else {
            Admission::Written(0)
        };
        if admission == Admission::LeftOut {
            return;
        }
        let time = settings.log_time.then(|| time::Utc::from_unix(time::realtime().as_secs()));
        let head = Head { time, pid: process(), level, subject, admission };
        let form = match settings.log_format {
            LogFormat::Json => Form::Json,
            LogFormat::Text => Form::Plain,
        };
        let line = Line::new(form, &head, message);
        let path = settings.log_file.as_ref().and_then(|path| CString::new(path.as_slice()).ok());
        let file = path.and_then(|path| file::open(&path).ok());
        match file {
            Some(file) => drop(sys::write(file.fd(), line.as_slice())),
            None if self.is_heard.get() => {
                let _ = sys::write(libc::STDERR_FILENO, line.as_slice());
            }
            None => {}
        }
    }
}
