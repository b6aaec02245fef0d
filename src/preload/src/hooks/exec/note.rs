//! Log lines of a child that shares the memory, kept for its parent: the child's standard error may
//! be the program's already.

use core::cell::Cell;
use core::fmt::{self, Write};

use epochsocks::bytes::Bytes;
use epochsocks::log::{Level, Subject};

use crate::log::line;

/// The first line of a child, and how much it matters. The child writes it while its parent sleeps.
pub struct Note(Cell<(Level, Bytes<480>)>);

impl Note {
    /// Nothing yet.
    pub const fn new() -> Note {
        Note(Cell::new((Level::Debug, Bytes::EMPTY)))
    }

    /// Notes `message`, if it matters more than what is there.
    pub fn write(&self, level: Level, message: fmt::Arguments<'_>) {
        let mut text = Bytes::EMPTY;
        let (before, noted) = self.0.get();
        if noted.is_empty() || level < before {
            // What does not fit is left out.
            let _ = text.write_fmt(message);
            self.0.set((level, text));
        }
    }

    /// Tells it, if there is one.
    pub fn tell(&self) {
        let (level, text) = self.0.get();
        if let Ok(text) = core::str::from_utf8(text.as_slice())
            && !text.is_empty()
        {
            line(level, Subject::Exec, format_args!("{text}"));
        }
    }
}
