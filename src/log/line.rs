//! A line's text.

use core::fmt::{self, Write};

use super::{Admission, Level, Subject};
use crate::sys::time::Utc;

/// The longest line, in bytes; what is longer is cut.
const LONGEST: usize = 512;
/// Room for what closes a line.
const END: usize = 3;

/// Format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people: `TIME epochsocks[PID]: LEVEL: MESSAGE`.
    Plain,
    /// The same, with the level in colour.
    Coloured,
    /// One JSON object: `time`, `pid`, `level`, `subject`, `message`.
    Json,
    /// The fields of systemd's journal, one a line (its native protocol).
    Journal,
}

/// Parts of a line other than the message.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// The time, if the line has one; the journal has its own.
    pub time: Option<Utc>,
    /// The process.
    pub pid: i32,
    /// Importance.
    pub level: Level,
    /// Subject.
    pub subject: Subject,
    /// Decision of the limit: a line that is left out is not composed.
    pub admission: Admission,
}

/// A line of at most 512 bytes, in place.
pub struct Line {
    bytes: [u8; LONGEST],
    length: usize,
    escape: Escape,
}

/// Treatment of a character that would break the line or move the terminal's cursor: a name or a
/// server's word may have any.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    Nothing,
    Replace,
    Json,
}

impl Line {
    /// A line in `form`, with its end.
    pub fn new(form: Form, head: &Head, message: fmt::Arguments<'_>) -> Line {
        let mut line = Line { bytes: [0; LONGEST], length: 0, escape: Escape::Nothing };
        // Never fails: what does not fit is cut.
        let _ = line.compose(form, head, message);
        line
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn compose(&mut self, form: Form, head: &Head, message: fmt::Arguments<'_>) -> fmt::Result {
        let Head { time, pid, level, subject, .. } = head;
        let word = level.word();
        match (form, time) {
            (Form::Plain | Form::Coloured, Some(time)) => write!(self, "{time} ")?,
            (Form::Json, Some(time)) => write!(self, "{{\"time\":\"{time}\",")?,
            (Form::Json, None) => self.write_str("{")?,
            _ => {}
        }
        match form {
            Form::Plain => write!(self, "epochsocks[{pid}]: {word}: ")?,
            Form::Coloured => {
                let colour = match level {
                    Level::Error => "31",
                    Level::Warning => "33",
                    Level::Notice => "32",
                    Level::Debug => "2",
                };
                write!(self, "epochsocks[{pid}]: \x1b[{colour}m{word}\x1b[0m: ")?;
            }
            Form::Json => write!(
                self,
                "\"pid\":{pid},\"level\":\"{word}\",\"subject\":\"{}\",\"message\":\"",
                subject.key()
            )?,
            Form::Journal => write!(
                self,
                "SYSLOG_IDENTIFIER=epochsocks\nPRIORITY={}\nEPOCHSOCKS_SUBJECT={}\nMESSAGE=",
                level.priority(),
                subject.key()
            )?,
        }
        self.escape = if form == Form::Json { Escape::Json } else { Escape::Replace };
        self.write_fmt(message)?;
        if let Admission::Written(count @ 1..) | Admission::Last(count @ 1..) = head.admission {
            write!(self, " ({count} more about this were left out)")?;
        }
        if let Admission::Last(_) = head.admission {
            self.write_str(" (what follows about this within the second is left out)")?;
        }
        self.end(if form == Form::Json { b"\"}\n" } else { b"\n" });
        Ok(())
    }

    fn end(&mut self, end: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + end.len()) {
            place.copy_from_slice(end);
            self.length += end.len();
        }
    }

    /// Appends all of `bytes` or nothing; says whether it did.
    fn push(&mut self, bytes: &[u8]) -> bool {
        let room = self.bytes.get_mut(self.length..LONGEST - END);
        let Some(place) = room.and_then(|room| room.get_mut(..bytes.len())) else { return false };
        place.copy_from_slice(bytes);
        self.length += bytes.len();
        true
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let mut buffer = [0; 4];
            let fits = match (self.escape, character) {
                (Escape::Replace, '\0'..' ' | '\x7f') => self.push(b"?"),
                (Escape::Json, '"' | '\\') => self.push(&[b'\\', character as u8]),
                (Escape::Json, '\0'..' ' | '\x7f') => {
                    let digit = |four: u8| b"0123456789abcdef".get(usize::from(four)).copied();
                    let (high, low) = (character as u8 >> 4, character as u8 & 15);
                    let digits = [digit(high).unwrap_or(b'0'), digit(low).unwrap_or(b'0')];
                    self.push(&[b'\\', b'u', b'0', b'0', digits[0], digits[1]])
                }
                _ => self.push(character.encode_utf8(&mut buffer).as_bytes()),
            };
            if !fits {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEAD: Head = Head {
        time: None,
        pid: 7,
        level: Level::Warning,
        subject: Subject::Connect,
        admission: Admission::Written(0),
    };

    fn text(form: Form, head: &Head, message: &str) -> String {
        let line = Line::new(form, head, format_args!("{message}"));
        String::from_utf8(line.as_slice().to_vec()).unwrap()
    }

    #[test]
    fn a_line_is_one_line_in_each_form() {
        let message = "connect to \"a\\b\"\n\x1b[31m refused";
        let plain = text(Form::Plain, &HEAD, message);
        assert_eq!(plain, "epochsocks[7]: warning: connect to \"a\\b\"??[31m refused\n");
        let coloured = text(Form::Coloured, &HEAD, message);
        assert_eq!(coloured.replace("\x1b[33mwarning\x1b[0m", "warning"), plain);
        let time = Some(Utc::from_unix(0));
        let head = Head { time, ..HEAD };
        assert_eq!(text(Form::Plain, &head, ""), "1970-01-01T00:00:00Z epochsocks[7]: warning: \n");
        let journal = text(Form::Journal, &head, message);
        assert!(journal.contains("\nPRIORITY=4\nEPOCHSOCKS_SUBJECT=connect\nMESSAGE=connect to "));
        assert_eq!(journal.lines().count(), 4, "{journal}");
        let json: serde_json::Value =
            serde_json::from_str(&text(Form::Json, &head, message)).unwrap();
        assert_eq!(json["message"], message);
        let rest = (&json["time"], &json["pid"], &json["level"], &json["subject"]);
        assert_eq!(
            serde_json::to_string(&rest).unwrap(),
            r#"["1970-01-01T00:00:00Z",7,"warning","connect"]"#
        );
    }

    #[test]
    fn a_line_says_what_was_left_out() {
        let head = Head { admission: Admission::Last(3), ..HEAD };
        let text = text(Form::Plain, &head, "x");
        assert!(text.contains("x (3 more about this were left out) (what follows"), "{text}");
    }

    proptest! {
        #[test]
        fn any_message_of_any_length_is_one_json_object(message: String, times in 1..40_usize) {
            let text = text(Form::Json, &HEAD, &message.repeat(times));
            let is_whole = text.len() <= LONGEST && text.ends_with("\"}\n");
            prop_assert!(is_whole);
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert!(message.repeat(times).starts_with(json["message"].as_str().unwrap()));
        }

        #[test]
        fn any_message_of_any_length_is_one_line(message: String, times in 1..40_usize) {
            let text = text(Form::Plain, &HEAD, &message.repeat(times));
            prop_assert!(text.len() <= LONGEST && text.ends_with('\n'));
            let line = &text[..text.len() - 1];
            prop_assert!(!line.contains(|sign: char| sign.is_ascii_control()));
        }
    }
}
