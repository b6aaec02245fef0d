use super::*;

/// Looks through `text` as code that fills a file.
#[cfg(target_arch = "x86_64")]
fn found(text: &[u8]) -> Calls {
    let code = Code { offset: 0, length: text.len() as u64 };
    calls_in(text, core::iter::once(Ok(code))).unwrap()
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use super::*;

    const SYSCALL: &[u8] = &[0x0f, 0x05];

    fn mov(number: u32) -> Vec<u8> {
        [&[0xb8], &number.to_le_bytes()[..]].concat()
    }

    /// Code in which `between` other bytes stand between the number and the call.
    fn call(number: &[u8], between: usize) -> Vec<u8> {
        [&[0x90; 100], number, &vec![0x90; between], SYSCALL, &[0x90; 100]].concat()
    }

    #[test]
    fn the_numbers_that_matter_are_told_from_others() {
        for (number, calls) in [
            (41, Calls::SOCKET),
            (42, Calls::CONNECT),
            (425, Calls::RING_SETUP),
            (232, Calls::EPOLL_WAIT),
            (281, Calls::EPOLL_WAIT),
            (441, Calls::EPOLL_WAIT),
        ] {
            assert_eq!(found(&call(&mov(number), 0)), calls, "{number}");
        }
        for number in [0, 1, 40, 43, 426, 45, 202, 298, 0x2900, 41 << 16] {
            assert_eq!(found(&call(&mov(number), 0)), Calls::NONE, "{number}");
        }
    }

    #[test]
    fn the_call_may_stand_a_little_behind_its_number() {
        for between in 0..=19 {
            assert_eq!(found(&call(&mov(42), between)), Calls::CONNECT, "{between} bytes");
        }
        assert_eq!(found(&call(&mov(42), 40)), Calls::NONE);
        assert_eq!(found(&mov(42)), Calls::NONE);
    }

    #[test]
    fn the_number_is_loaded_in_several_ways() {
        assert_eq!(found(&call(&[0x6a, 41, 0x58], 2)), Calls::SOCKET, "push and pop");
        assert_eq!(found(&call(&[0x48, 0xc7, 0xc0, 42, 0, 0, 0], 2)), Calls::CONNECT, "64 bits");
        let other_register = [&[0x41], &mov(42)[..]].concat();
        assert_eq!(found(&call(&other_register, 2)), Calls::NONE);
    }

    #[test]
    fn a_call_is_found_wherever_the_pieces_that_are_read_end() {
        for start in (PIECE - 80..PIECE + 10).chain(2 * PIECE - 150..2 * PIECE - 40) {
            let mut text = vec![0x90; 3 * PIECE];
            let call = [&mov(42)[..], &[0x90; 12], SYSCALL].concat();
            text[start..start + call.len()].copy_from_slice(&call);
            assert_eq!(found(&text), Calls::CONNECT, "at {start}");
        }
    }

    /// As Free Pascal's run-time library enters the kernel: `mov %rdi, %rax; mov %rsi, %rdi; syscall`.
    const GATE: &[u8] = &[0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x0f, 0x05, 0xc3];

    /// `callee` and, so far behind it, a call of it with this first argument.
    fn called(callee: &[u8], number: u32, apart: usize) -> Vec<u8> {
        called_with(&[&[0xbf], &number.to_le_bytes()[..]].concat(), callee, apart)
    }

    /// The same behind `arguments`.
    fn called_with(arguments: &[u8], callee: &[u8], apart: usize) -> Vec<u8> {
        let mut text = [&[0x90; 64], callee, &vec![0x90; apart]].concat();
        text.extend(arguments);
        text.push(0xe8);
        let distance = 64 - (text.len() as i32 + 4);
        text.extend(distance.to_le_bytes());
        text.extend([0x90; 100]);
        text
    }

    #[test]
    fn a_number_is_found_at_the_callers_of_what_enters_the_kernel() {
        for apart in [0, 300, 2 * PIECE, 5 * PIECE - 100] {
            assert_eq!(found(&called(GATE, 41, apart)), Calls::SOCKET, "{apart}");
        }
        assert_eq!(found(&called(GATE, 281, 100)), Calls::EPOLL_WAIT);
        assert_eq!(found(&called(GATE, 3, 100)), Calls::NONE);
        assert_eq!(found(&called(&[0xc3; 9], 41, 100)), Calls::NONE, "a function without a call");
    }

    /// As qemu's emulation of programs enters the kernel, with the number as the second argument, the others of
    /// the call behind it: `mov %rsi, %rax; …; cmpl $0, (%rbp); jne …; syscall`.
    #[test]
    fn a_number_that_is_the_second_argument_is_found() {
        let gate = [
            &[0x55, 0x48, 0x89, 0xf0, 0x48, 0x89, 0xfd, 0x48, 0x89, 0xd7, 0x48, 0x89, 0xce][..],
            &[0x4c, 0x89, 0xc2, 0x4d, 0x89, 0xca, 0x4c, 0x8b, 0x44, 0x24, 0x10],
            &[0x4c, 0x8b, 0x4c, 0x24, 0x18, 0x83, 0x7d, 0x00, 0x00, 0x75, 0x10, 0x0f, 0x05],
        ]
        .concat();
        let with = |number: u32| {
            let arguments = [&[0xbe], &number.to_le_bytes()[..], &[0x90; 15]].concat();
            found(&called_with(&arguments, &gate, 700))
        };
        assert_eq!([with(42), with(41)], [Calls::CONNECT, Calls::SOCKET]);
        assert_eq!(with(3), Calls::NONE);
    }

    /// As rustix without optimisation, whose numbers go through a function that answers its argument.
    #[test]
    fn a_number_is_found_on_its_way_through_a_function() {
        const IDENTITY: &[u8] = &[0x89, 0x7c, 0x24, 0xfc, 0x89, 0xf8, 0xc3, 0x90];
        let with_gate = |number| [called(IDENTITY, number, 900), GATE.to_vec()].concat();
        assert_eq!(found(&with_gate(42)), Calls::CONNECT);
        assert_eq!(found(&with_gate(2)), Calls::NONE);
        assert_eq!(found(&called(IDENTITY, 42, 900)), Calls::NONE, "nothing enters the kernel");
    }
}

mod aarch64 {
    use super::super::Calls;
    use super::super::aarch64::{Gates, call, calls};

    /// The calls that these instructions make.
    fn found(words: &[u32]) -> Vec<Calls> {
        let text: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut found = Vec::new();
        calls(&text, 0, &mut Gates, |number| found.push(call(number)));
        found
    }

    #[test]
    fn the_number_stands_before_the_call() {
        // movz x8, #203; nop; svc #0
        assert_eq!(found(&[0xd280_1968, 0xd503_201f, 0xd400_0001]), [Calls::CONNECT]);
        // movz w8, #22; svc #0
        assert_eq!(found(&[0x5280_02c8, 0xd400_0001]), [Calls::EPOLL_WAIT]);
    }

    /// promise: Hidden numbers
    #[test]
    fn without_the_call_or_the_number_nothing_is_found() {
        assert!(found(&[0xd280_1968, 0xd503_201f]).is_empty());
        // movz x0, #203; svc #0
        assert!(found(&[0xd280_1960, 0xd400_0001]).is_empty());
        assert!(
            found(&[&[0xd280_1968][..], &[0xd503_201f; 7], &[0xd400_0001]].concat()).is_empty()
        );
    }
}

/// Answers for one version of a file, and not for another one.
#[test]
fn what_was_found_is_remembered_for_this_version_of_the_file() {
    let version = [7, 1, 2, 3, 4, 5, 6];
    let key = remembered::key(&version);
    assert_eq!(remembered::get(key), None);
    for found in [
        DirectCalls { network: true, epoll_waits: false },
        DirectCalls { network: false, epoll_waits: true },
        DirectCalls::default(),
    ] {
        remembered::put(key, found);
        assert_eq!(remembered::get(key), Some(found));
    }
    for changed in 0..version.len() {
        let mut other = version;
        other[changed] += 1;
        assert_eq!(remembered::get(remembered::key(&other)), None, "{changed}");
    }
}
