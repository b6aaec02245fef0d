//! The configuration file: `Directive value` a line; `#` at the start of a word starts a comment;
//! space around directive and value does not count; of a directive that is repeated the last line
//! holds. There are no quotes.

use super::{ConfigError, Excerpt, FilePath, OptionSpec, Origin, Settings, Warning};
use crate::bytes::Bytes;
use crate::sys::{Errno, File};

/// The longest line: a directive and a path of the longest sort, with room for space.
const LINE: usize = 2048;
/// The longest file.
const FILE: u64 = 64 * 1024;

/// The program that a file was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// epochsocks: each line must be understood.
    Ours,
    /// torsocks, whose other versions have other directives: they are passed over with a warning.
    Torsocks,
}

/// Reads `file` to its end and sets in `settings` what it says.
pub(super) fn read<'a>(
    file: &File,
    (path, dialect): (FilePath<'a>, Dialect),
    settings: &mut Settings,
    warn: &mut dyn FnMut(Warning<'a>),
) -> Result<(), ConfigError<'a>> {
    // It would count as an empty file while no process writes to it.
    let mode = file.mode().map_err(|errno| ConfigError::Unreadable(path, errno))?;
    if mode & libc::S_IFMT == libc::S_IFIFO {
        return Err(ConfigError::Fifo(path));
    }
    let mut parser = Parser::new(path, dialect, settings, warn);
    let (mut buffer, mut length) = ([0; 1024], 0);
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => return parser.end(),
            Ok(count) => count,
            Err(Errno(libc::EINTR)) => continue,
            Err(errno) => return Err(ConfigError::Unreadable(path, errno)),
        };
        length += count as u64;
        if length > FILE {
            return Err(ConfigError::FileTooLong(path));
        }
        parser.feed(buffer.get(..count).unwrap_or(&[]))?;
    }
}

/// Takes a file's bytes in pieces and sets options line by line.
struct Parser<'a, 's> {
    path: FilePath<'a>,
    dialect: Dialect,
    settings: &'s mut Settings,
    warn: &'s mut dyn FnMut(Warning<'a>),
    line: Bytes<LINE>,
    /// The number of `line`, from 1.
    number: u32,
}

impl<'a, 's> Parser<'a, 's> {
    fn new(
        path: FilePath<'a>,
        dialect: Dialect,
        settings: &'s mut Settings,
        warn: &'s mut dyn FnMut(Warning<'a>),
    ) -> Self {
        Parser { path, dialect, settings, warn, line: Bytes::EMPTY, number: 1 }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), ConfigError<'a>> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.line.extend(piece) {
                return Err(ConfigError::LineTooLong(self.path, self.number));
            }
            if piece.ends_with(b"\n") {
                self.end()?;
                self.number += 1;
                self.line = Bytes::EMPTY;
            }
        }
        Ok(())
    }

    /// The line is whole.
    fn end(&mut self) -> Result<(), ConfigError<'a>> {
        let Some((directive, value)) = split(self.line.as_slice()) else { return Ok(()) };
        let (path, number) = (self.path, self.number);
        if let Some(option) = OptionSpec::of_directive(directive) {
            return option.set(self.settings, value, Origin::File(path, number));
        }
        let directive = Excerpt::new(directive);
        match self.dialect {
            Dialect::Ours => Err(ConfigError::UnknownDirective(path, number, directive)),
            Dialect::Torsocks => {
                (self.warn)(Warning::UnknownDirective(path, number, directive));
                Ok(())
            }
        }
    }
}

/// The directive and the value of a line, the value empty if there is none; `None` for a line
/// without either.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let before = core::iter::once(&b' ').chain(line);
    let mut pairs = before.zip(line);
    let comment = pairs.position(|(before, byte)| before.is_ascii_whitespace() && *byte == b'#');
    let text = line.get(..comment.unwrap_or(line.len()))?.trim_ascii();
    if text.is_empty() {
        return None;
    }
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let (directive, value) = text.split_at_checked(end)?;
    Some((directive, value.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Secret;

    const PATH: FilePath<'static> = FilePath { directory: b"/tmp/x", rest: ".conf" };

    type Parsed = (Result<(), ConfigError<'static>>, Settings, Vec<String>);

    /// Parses `text` in pieces of `piece` bytes: result, settings and warnings.
    fn parse_in_pieces(text: &[u8], piece: usize, dialect: Dialect) -> Parsed {
        let (mut settings, mut warnings) = (Settings::DEFAULT, Vec::new());
        let mut warn = |warning: Warning<'static>| warnings.push(warning.to_string());
        let mut parser = Parser::new(PATH, dialect, &mut settings, &mut warn);
        let result = text.chunks(piece).try_for_each(|piece| parser.feed(piece));
        let result = result.and_then(|()| parser.end());
        (result, settings, warnings)
    }

    fn parse(text: &[u8]) -> Parsed {
        parse_in_pieces(text, usize::MAX, Dialect::Ours)
    }

    fn port_of(text: &[u8]) -> u16 {
        let (result, settings, warnings) = parse(text);
        assert_eq!((result, warnings), (Ok(()), vec![]), "{}", text.escape_ascii());
        settings.tor_port
    }

    #[test]
    fn comments_blanks_space_case_and_line_ends_do_not_matter() {
        for text in [
            &b"TorPort 9150"[..],
            b"TorPort 9150\n",
            b"TorPort 9150\r\n\r\n",
            b"\n# TorPort 1\n \t TorPort\t 9150 # Tor Browser's\n",
            b"TORPORT 9150\t#",
            b"TorPort 1\ntorport 9150",
        ] {
            assert_eq!(port_of(text), 9150);
        }
        assert_eq!(port_of(b"#TorPort 9150\n"), 9050);
    }

    #[test]
    fn a_value_keeps_the_space_inside() {
        let (result, settings, _) = parse(b"SOCKS5Username  a  b \n");
        assert_eq!((result, settings.username), (Ok(()), Bytes::new(b"a  b")));
    }

    #[test]
    fn a_sign_inside_a_word_is_part_of_the_value() {
        let (result, settings, _) = parse(b"SOCKS5Password a#b #c\n");
        assert_eq!((result, settings.password), (Ok(()), Bytes::new(b"a#b").map(Secret)));
    }

    #[test]
    fn a_bad_value_is_told_with_file_line_value_and_what_is_allowed() {
        let message = |text: &[u8]| parse(text).0.unwrap_err().to_string();
        assert_eq!(
            message(b"# Tor\nTorPort 70000\n"),
            "/tmp/x.conf:2: TorPort: \"70000\" is not a port: 1 to 65535"
        );
        assert_eq!(message(b"torport\n"), "/tmp/x.conf:1: TorPort: \"\" is not a port: 1 to 65535");
        assert_eq!(
            message(&[b"SOCKS5Password ", [b'x'; 256].as_slice()].concat()),
            "/tmp/x.conf:1: SOCKS5Password: the value is not a password: 1 to 255 bytes"
        );
    }

    #[test]
    fn an_unknown_directive_is_an_error_in_our_file_and_a_warning_in_torsocks() {
        for line in [&b"TorPrt 1"[..], b"TorPort=9150", b"\xff\xfe"] {
            let error = parse(&[b"\n", line].concat()).0.unwrap_err().to_string();
            assert!(error.starts_with("/tmp/x.conf:2: "), "{error}");
            assert!(error.contains(" is not a directive: "), "{error}");
        }
        let text = b"TorPrt 1\nTorPort 9150\n";
        let (result, settings, warnings) = parse_in_pieces(text, 99, Dialect::Torsocks);
        assert_eq!((result, settings.tor_port), (Ok(()), 9150));
        let expected = "/tmp/x.conf:1: \"TorPrt\" is not a directive: the line is ignored";
        assert_eq!(warnings, [expected]);
    }

    #[test]
    fn a_line_of_2048_bytes_is_read_and_a_longer_one_refused() {
        let line = |length: usize| [b"\n#".as_slice(), &vec![b'x'; length - 1]].concat();
        assert_eq!(parse(&line(2048)).0, Ok(()));
        assert_eq!(parse(&line(2049)).0, Err(ConfigError::LineTooLong(PATH, 2)));
    }

    #[test]
    fn the_configuration_that_torsocks_ships_is_read() {
        let text = b"TorAddress 127.0.0.1\nTorPort 9050\n\nOnionAddrRange 127.42.42.0/24\n\n\
            #SOCKS5Username <username>\n#AllowInbound 1\n";
        assert_eq!(parse(text), (Ok(()), Settings::DEFAULT, vec![]));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_parse_alike_without_a_panic(
            text in proptest::collection::vec(
                prop_oneof![
                    any::<u8>().prop_map(|byte| vec![byte]),
                    Just(b"\n".to_vec()),
                    Just(b"TorPort ".to_vec()),
                    Just(b"9".to_vec()),
                ],
                0..60,
            ),
            piece in 1usize..50,
        ) {
            let text = text.concat();
            for dialect in [Dialect::Ours, Dialect::Torsocks] {
                let whole = parse_in_pieces(&text, usize::MAX, dialect);
                prop_assert_eq!(parse_in_pieces(&text, piece, dialect), whole);
            }
        }
    }
}
