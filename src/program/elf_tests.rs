use super::*;
use crate::bytes::Plain;

/// Writes the bytes of a C structure at `offset`, growing the file.
fn put<T: Plain>(file: &mut Vec<u8>, offset: usize, value: T) {
    let end = offset + size_of::<T>();
    file.resize(file.len().max(end), 0);
    // SAFETY: a Plain value is as many readable bytes as its size.
    let bytes =
        unsafe { core::slice::from_raw_parts((&raw const value).cast::<u8>(), size_of::<T>()) };
    file[offset..end].copy_from_slice(bytes);
}

fn header(segments: u16) -> Elf64_Ehdr {
    Elf64_Ehdr {
        e_ident: *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
        e_type: libc::ET_DYN,
        e_machine: NATIVE_MACHINE,
        e_version: 1,
        e_entry: 0,
        e_phoff: 64,
        e_shoff: 0,
        e_flags: 0,
        e_ehsize: 64,
        e_phentsize: 56,
        e_phnum: segments,
        e_shentsize: 64,
        e_shnum: 0,
        e_shstrndx: 0,
    }
}

fn segment(kind: u32, offset: u64, size: u64) -> Elf64_Phdr {
    Elf64_Phdr {
        p_type: kind,
        p_flags: 4,
        p_offset: offset,
        p_vaddr: 0,
        p_paddr: 0,
        p_filesz: size,
        p_memsz: size,
        p_align: 1,
    }
}

/// A program whose one segment of type `kind` holds `content`.
fn program(kind: u32, content: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    put(&mut file, 0, header(1));
    put(&mut file, 64, segment(kind, 120, content.len() as u64));
    file.extend_from_slice(content);
    file
}

fn facts(file: &[u8]) -> Elf {
    inspect(file).unwrap().expect("a program")
}

#[test]
fn the_interpreter_is_read_up_to_its_nul() {
    let read = |path: &[u8]| {
        facts(&program(libc::PT_INTERP, path)).interpreter.map(|found| found.path().to_owned())
    };
    assert_eq!(
        read(b"/lib64/ld-linux-x86-64.so.2\0").as_deref(),
        Some(c"/lib64/ld-linux-x86-64.so.2")
    );
    assert_eq!(read(b"ld.so\0/more\0").as_deref(), Some(c"ld.so"));
    assert_eq!(read(b"\0"), None);
    assert_eq!(read(b""), None);
    let long = [b"/".as_slice(), &[b'd'; 1000], b"/ld.so\0"].concat();
    assert_eq!(read(&long).as_deref(), Some(c""), "too long to be opened");
}

#[test]
fn a_program_without_an_interpreter_segment_is_static() {
    assert_eq!(facts(&program(libc::PT_DYNAMIC, b"")).interpreter, None);
}

#[test]
fn a_go_note_is_found_behind_other_notes() {
    let note = |vendor: &[u8; 4], description: &[u8]| {
        let mut note = Vec::new();
        for word in [4, description.len() as u32, 4] {
            note.extend_from_slice(&word.to_ne_bytes());
        }
        note.extend_from_slice(vendor);
        note.extend_from_slice(description);
        note.resize(note.len().next_multiple_of(4), 0);
        note
    };
    let gnu = note(b"GNU\0", b"12345");
    let go = note(b"Go\0\0", b"id");
    assert!(facts(&program(libc::PT_NOTE, &[gnu.clone(), go].concat())).go);
    assert!(!facts(&program(libc::PT_NOTE, &gnu)).go);
}

#[test]
fn a_go_section_is_found_across_the_pieces_of_the_search() {
    for position in [1usize, 490, 498, 505, 511, 1200] {
        let mut names = vec![b'x'; 1300];
        names[position - 1..position + 14].copy_from_slice(GO_SECTION);
        let mut file = program(libc::PT_DYNAMIC, b"");
        let table = file.len() as u64;
        let section = Elf64_Shdr {
            sh_name: 0,
            sh_type: 3,
            sh_flags: 0,
            sh_addr: 0,
            sh_offset: table + 64,
            sh_size: names.len() as u64,
            sh_link: 0,
            sh_info: 0,
            sh_addralign: 1,
            sh_entsize: 0,
        };
        put(&mut file, 0, Elf64_Ehdr { e_shoff: table, e_shnum: 1, ..header(1) });
        put(&mut file, table as usize, section);
        file.extend_from_slice(&names);
        assert!(facts(&file).go, "at {position}");
    }
}

#[test]
fn another_class_or_machine_is_told_and_looked_into_no_further() {
    let mut small = program(libc::PT_INTERP, b"/lib/ld-linux.so.2\0");
    small[4] = libc::ELFCLASS32;
    assert!(!facts(&small).is_native());
    let mut other = header(1);
    other.e_machine = libc::EM_PPC64;
    let mut file = Vec::new();
    put(&mut file, 0, other);
    assert_eq!(facts(&file).machine, libc::EM_PPC64);
}

#[test]
fn damaged_headers_are_told_not_followed() {
    let whole = program(libc::PT_INTERP, b"/lib64/ld-linux-x86-64.so.2\0");
    for length in 0..120 {
        assert_eq!(inspect(&whole[..length]), Ok(None), "cut at {length}");
    }
    let damage = [
        Elf64_Ehdr { e_phnum: 0, ..header(1) },
        Elf64_Ehdr { e_phnum: u16::MAX, ..header(1) },
        Elf64_Ehdr { e_phentsize: 0, ..header(1) },
        Elf64_Ehdr { e_phoff: u64::MAX - 3, ..header(1) },
        Elf64_Ehdr { e_type: 1, ..header(1) },
    ];
    for header in damage {
        let mut file = whole.clone();
        put(&mut file, 0, header);
        assert_eq!(inspect(&file[..]), Ok(None));
    }
}

#[test]
fn hostile_offsets_and_sizes_end_the_search() {
    for kind in [libc::PT_INTERP, libc::PT_NOTE] {
        for (offset, size) in [(u64::MAX, u64::MAX), (u64::MAX - 100, 4096), (120, u64::MAX)] {
            let mut file = program(kind, b"abcdefghijklmnopqrstuvwxyz");
            put(&mut file, 64, segment(kind, offset, size));
            let _ = facts(&file);
        }
    }
    let sections = Elf64_Ehdr { e_shoff: u64::MAX, e_shnum: 9, e_shstrndx: 8, ..header(1) };
    let mut file = program(libc::PT_DYNAMIC, b"");
    put(&mut file, 0, sections);
    assert!(!facts(&file).go);
}

proptest::proptest! {
    #[test]
    fn any_bytes_behind_the_magic_are_survived(
        changes in proptest::collection::vec((0usize..400, proptest::num::u8::ANY), 0..40),
        length in 0usize..400,
    ) {
        let mut file = program(libc::PT_NOTE, &[4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, b'G', b'o', 0, 0]);
        put(&mut file, 0, Elf64_Ehdr { e_shoff: 200, e_shnum: 2, e_shstrndx: 1, ..header(1) });
        file.resize(400, 0);
        for (position, byte) in changes {
            file[position] = byte;
        }
        // Whatever it says, it ends, and without a panic.
        let _ = crate::program::Kind::of(&file[..length]);
    }
}
