//! A file whose start has been read: that is where a program's headers and notes are.

use super::ReadAt;
use crate::sys::Errno;

/// As many bytes as hold the headers and notes of nearly every program.
const LENGTH: usize = 1024;

/// A file and its first bytes, which are read once.
#[derive(Debug)]
pub struct Head<'f, F: ?Sized> {
    file: &'f F,
    bytes: [u8; LENGTH],
    /// Less than all only where the file is shorter.
    length: usize,
}

impl<'f, F: ReadAt + ?Sized> Head<'f, F> {
    /// Reads the start of `file`.
    pub fn of(file: &'f F) -> Result<Head<'f, F>, Errno> {
        let mut bytes = [0; LENGTH];
        let length = file.read_at(&mut bytes, 0)?;
        Ok(Head { file, bytes, length })
    }

    /// The first bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl<F: ReadAt + ?Sized> ReadAt for Head<'_, F> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let known = start.checked_add(buffer.len()).and_then(|end| self.bytes().get(start..end));
        match known {
            Some(known) => {
                buffer.copy_from_slice(known);
                Ok(known.len())
            }
            None => self.file.read_at(buffer, offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    /// A file that counts how often it is read.
    struct Counted(Vec<u8>, Cell<u32>);

    impl ReadAt for Counted {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
            self.1.set(self.1.get() + 1);
            self.0.read_at(buffer, offset)
        }
    }

    fn file(length: usize) -> Counted {
        Counted((0..length).map(|index| (index % 251) as u8).collect(), Cell::new(0))
    }

    #[test]
    fn every_read_answers_what_the_file_holds() {
        for length in [0, 1, 1000, LENGTH, LENGTH + 1, 3000] {
            let file = file(length);
            let head = Head::of(&file).unwrap();
            for offset in [0, 1, 999, 1016, 1020, LENGTH as u64, 2999, u64::MAX] {
                let (mut expected, mut seen) = ([0; 8], [0; 8]);
                let count = file.read_at(&mut expected, offset);
                assert_eq!(head.read_at(&mut seen, offset), count, "{length}, {offset}");
                assert_eq!(seen, expected, "{length}, {offset}");
            }
        }
    }

    #[test]
    fn the_start_is_read_once() {
        let file = file(3000);
        let head = Head::of(&file).unwrap();
        for offset in 0..1000 {
            head.read_at(&mut [0; 24], offset).unwrap();
        }
        assert_eq!(file.1.get(), 1);
    }
}
