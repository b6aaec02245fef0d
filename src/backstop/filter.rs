//! The program of the filter.

use super::Secret;
use super::assembler::{Field, Flaw, Line, Program, Verdict};
use crate::policy::option::{JOINS_V4, JOINS_V6};
use crate::policy::socket::LOCAL_FAMILIES;

/// Decision about a call that the filter is for and that comes without the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is `EACCES`.
    Deny,
    /// The launch's supervisor carries it out through Tor, or refuses it; so, too, what is done with the
    /// sockets that it has let come about.
    Notify,
}

/// The native table of system calls (`AUDIT_ARCH_X86_64`, `AUDIT_ARCH_AARCH64`).
pub const NATIVE: u32 = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };

/// The numbers of the x32 table in the native one: all with this bit and those of calls that differ, where
/// older kernels let 64-bit programs find them without it.
#[cfg(target_arch = "x86_64")]
const X32: (u32, [u32; 2]) = (1 << 30, [512, 547]);

/// Test that tells the hooks' own calls from the other calls of a process with a supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unless {
    /// By the secret in the last argument, which the call does not use.
    Secret,
    /// The call uses all arguments; without an address (the fifth) it goes where the socket leads.
    NoAddress,
    /// As [`Unless::Secret`], or by flags (the argument of this number) without `MSG_FASTOPEN`: such a call
    /// connects nothing, and where it could send a datagram the supervisor's sockets can't.
    SlowOpen(u8),
}

/// The calls that a supervisor is told of, besides those that make sockets.
const SUPERVISED: [(i64, Unless); 7] = [
    (libc::SYS_connect, Unless::Secret),
    (libc::SYS_getpeername, Unless::Secret),
    (libc::SYS_sendto, Unless::NoAddress),
    (libc::SYS_sendmsg, Unless::SlowOpen(2)),
    (libc::SYS_sendmmsg, Unless::SlowOpen(3)),
    (libc::SYS_bind, Unless::Secret),
    (libc::SYS_listen, Unless::Secret),
];

/// The places of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Behind the numbers of the x32 table.
    #[cfg(target_arch = "x86_64")]
    Native,
    /// A call that makes sockets: the family is the first argument.
    Socket,
    /// A call that may have an address as its fifth argument.
    Addressed,
    /// A call whose flags are its argument of this number.
    Flagged(u8),
    /// A call that sets an option, whose level is the second argument.
    Option,
    /// The same of IPv4, the third argument.
    OptionV4,
    /// The same of IPv6.
    OptionV6,
    /// A call of which routers would be told.
    Joins,
    /// A call that has the secret as its last argument if it is ours.
    Secret,
    /// A call that is none of ours.
    Stranger,
    /// A call that there is not, as far as the program can tell.
    Absent,
    Allowed,
}

/// The lines of the program.
fn lines(action: Action, secret: Secret) -> impl Iterator<Item = Line<Place>> + Clone {
    use Line::{IfAnyBit, IfEqual, IfNotEqual, Label, Load, Return};
    let (high, low) = ((secret.get() >> 32) as u32, secret.get() as u32);
    let number = |call: i64| call as u32;

    // Other tables number the same calls otherwise: x32's and i386's, 32-bit ARM's.
    let table = [Load(Field::Architecture), IfNotEqual(NATIVE, Place::Absent), Load(Field::Number)];
    #[cfg(target_arch = "x86_64")]
    let native = {
        use Line::IfAtLeast;
        let (bit, [first, last]) = X32;
        [
            IfAtLeast(bit, Place::Absent),
            IfAtLeast(last + 1, Place::Native),
            IfAtLeast(first, Place::Absent),
            Label(Place::Native),
        ]
    };
    #[cfg(not(target_arch = "x86_64"))]
    let native = [];

    let numbers = [
        IfEqual(number(libc::SYS_socket), Place::Socket),
        IfEqual(number(libc::SYS_socketpair), Place::Socket),
        // What a ring connects and sends no filter sees. Nor is one used that came from elsewhere.
        IfEqual(number(libc::SYS_io_uring_setup), Place::Absent),
        IfEqual(number(libc::SYS_io_uring_enter), Place::Absent),
        IfEqual(number(libc::SYS_io_uring_register), Place::Absent),
        IfEqual(number(libc::SYS_setsockopt), Place::Option),
    ];
    let supervised = SUPERVISED.into_iter().filter(move |_| action == Action::Notify);
    let supervised = supervised.map(move |(call, unless)| {
        let place = match unless {
            Unless::Secret => Place::Secret,
            Unless::NoAddress => Place::Addressed,
            Unless::SlowOpen(flags) => Place::Flagged(flags),
        };
        IfEqual(number(call), place)
    });
    let others = [Return(Verdict::Allow)];

    let addressed = [
        Label(Place::Addressed),
        Load(Field::Low(4)),
        IfNotEqual(0, Place::Stranger),
        Load(Field::High(4)),
        IfNotEqual(0, Place::Stranger),
        Return(Verdict::Allow),
    ];
    let flagged = |flags| {
        [
            Label(Place::Flagged(flags)),
            Load(Field::Low(flags)),
            IfAnyBit(libc::MSG_FASTOPEN as u32, Place::Secret),
            Return(Verdict::Allow),
        ]
    };
    let looks = addressed.into_iter().chain(flagged(2)).chain(flagged(3));
    let looks = looks.filter(move |_| action == Action::Notify);

    let option = [
        Label(Place::Option),
        Load(Field::Low(1)),
        IfEqual(libc::IPPROTO_IP as u32, Place::OptionV4),
        IfEqual(libc::IPPROTO_IPV6 as u32, Place::OptionV6),
        Return(Verdict::Allow),
    ];
    let joins = |name: i32| IfEqual(name as u32, Place::Joins);
    let v4 = [Label(Place::OptionV4), Load(Field::Low(2))].into_iter().chain(JOINS_V4.map(joins));
    let v6 = [Label(Place::OptionV6), Load(Field::Low(2))].into_iter().chain(JOINS_V6.map(joins));
    let groups = [Return(Verdict::Allow), Label(Place::Joins), Return(Verdict::Errno(libc::EPERM))];
    let options = option.into_iter().chain(v4).chain([Return(Verdict::Allow)]).chain(v6);
    let options = options.chain(groups);

    // The kernel takes the lower half for the family.
    let socket = [Label(Place::Socket), Load(Field::Low(0))];
    let families = LOCAL_FAMILIES.into_iter().map(|family| IfEqual(family as u32, Place::Allowed));
    let end = [
        Label(Place::Secret),
        Load(Field::Low(5)),
        IfNotEqual(low, Place::Stranger),
        Load(Field::High(5)),
        IfNotEqual(high, Place::Stranger),
        Label(Place::Allowed),
        Return(Verdict::Allow),
        Label(Place::Stranger),
        Return(match action {
            Action::Deny => Verdict::Errno(libc::EACCES),
            Action::Notify => Verdict::Notify,
        }),
        Label(Place::Absent),
        Return(Verdict::Errno(libc::ENOSYS)),
    ];
    let head = table.into_iter().chain(native).chain(numbers).chain(supervised).chain(others);
    head.chain(looks).chain(options).chain(socket).chain(families).chain(end)
}

/// The program for a launch with this secret. It looks at the arguments of the calls that it is for only, so
/// that the kernel answers all others by their numbers, from a table. Errors: none with these lines.
pub fn program(action: Action, secret: Secret) -> Result<Program, Flaw> {
    Program::assemble(lines(action, secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backstop::interpreter::{Call, run};
    use libc::{AF_INET, AF_INET6, AF_PACKET, AF_VSOCK};

    const SECRET: u64 = 0x0123_4567_89ab_cdef;
    const REFUSED: Verdict = Verdict::Errno(libc::EACCES);
    const ABSENT: Verdict = Verdict::Errno(libc::ENOSYS);

    /// Asserts the verdict on a call.
    #[track_caller]
    fn assert_verdict(program: &Program, call: Call, expected: Verdict) {
        let found = run(program.instructions(), &call);
        assert_eq!(found, Some(expected.code()), "instead of {expected:?}: {call:x?}");
    }

    fn program(action: Action) -> Program {
        super::program(action, Secret::new(SECRET).unwrap()).unwrap()
    }

    fn call(number: i64, arguments: [u64; 6]) -> Call {
        Call { number: number as u32, architecture: NATIVE, arguments }
    }

    fn socket(family: i32, last: u64) -> Call {
        call(libc::SYS_socket, [family as u64, 1, 0, 0, 0, last])
    }

    #[test]
    fn a_socket_needs_the_secret_unless_its_family_stays_on_the_machine() {
        for (action, stranger) in [(Action::Deny, REFUSED), (Action::Notify, Verdict::Notify)] {
            let program = program(action);
            for family in 0..=64 {
                let is_local = LOCAL_FAMILIES.contains(&family);
                let expected = if is_local { Verdict::Allow } else { stranger };
                assert_verdict(&program, socket(family, 0), expected);
                let pair = Call { number: libc::SYS_socketpair as u32, ..socket(family, 0) };
                assert_verdict(&program, pair, expected);
                assert_verdict(&program, socket(family, SECRET), Verdict::Allow);
            }
        }
    }

    #[test]
    fn each_bit_of_the_secret_counts() {
        let program = program(Action::Deny);
        for bit in 0..64 {
            assert_verdict(&program, socket(AF_INET, SECRET ^ 1 << bit), REFUSED);
        }
        for other in [0, u64::MAX, SECRET << 32, SECRET >> 32] {
            assert_verdict(&program, socket(AF_INET6, other), REFUSED);
        }
    }

    #[test]
    fn the_upper_half_of_a_register_makes_no_other_family() {
        let program = program(Action::Deny);
        let odd = |low: i32| call(libc::SYS_socket, [1 << 32 | low as u64, 1, 0, 0, 0, 0]);
        assert_verdict(&program, odd(AF_INET), REFUSED);
        assert_verdict(&program, odd(libc::AF_UNIX), Verdict::Allow);
        assert_verdict(&program, socket(-1, 0), REFUSED);
    }

    #[test]
    fn there_is_no_io_uring_and_no_other_table_of_system_calls() {
        for program in [program(Action::Deny), program(Action::Notify)] {
            for number in
                [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register]
            {
                assert_verdict(&program, call(number, [SECRET; 6]), ABSENT);
            }
            // i386, 32-bit ARM, and the other one of the two 64-bit tables.
            for architecture in [0x4000_0003, 0x4000_0028, NATIVE ^ 0xff] {
                for number in 0..600 {
                    let call = Call { architecture, ..call(number, [SECRET; 6]) };
                    assert_verdict(&program, call, ABSENT);
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_x32_table_is_absent_with_its_bit_and_without() {
        let program = program(Action::Deny);
        for number in (512..=547).chain((0..600).map(|number| 1 << 30 | number)) {
            assert_verdict(&program, call(number, [SECRET; 6]), ABSENT);
        }
        assert_verdict(&program, call(-1, [0; 6]), ABSENT);
    }

    #[test]
    fn all_other_calls_are_allowed_whatever_their_arguments() {
        let ours = [
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_io_uring_setup,
            libc::SYS_io_uring_enter,
            libc::SYS_io_uring_register,
            libc::SYS_setsockopt,
        ];
        let others = (0..512).chain(548..600).filter(|number| !ours.contains(number));
        for number in others {
            for last in [0, SECRET] {
                assert_verdict(&program(Action::Deny), call(number, [last; 6]), Verdict::Allow);
            }
            if SUPERVISED.iter().all(|(call, _)| *call != number) {
                assert_verdict(&program(Action::Notify), call(number, [7; 6]), Verdict::Allow);
            }
        }
    }

    #[test]
    fn a_supervisor_is_told_of_what_is_done_with_a_socket_but_not_by_the_hooks() {
        let program = program(Action::Notify);
        for (number, unless) in SUPERVISED {
            let with = |fifth, sixth| call(number, [3, 4, 5, 6, fifth, sixth]);
            match unless {
                Unless::Secret => {
                    assert_verdict(&program, with(0, 0), Verdict::Notify);
                    assert_verdict(&program, with(0, SECRET), Verdict::Allow);
                }
                Unless::NoAddress => {
                    assert_verdict(&program, with(0, 16), Verdict::Allow);
                    assert_verdict(&program, with(8, 16), Verdict::Notify);
                    assert_verdict(&program, with(1 << 32, 16), Verdict::Notify);
                }
                Unless::SlowOpen(flags) => {
                    let with = |bits, last| {
                        let mut arguments = [3, 4, 0, 0, 0, last];
                        arguments[usize::from(flags)] = bits;
                        call(number, arguments)
                    };
                    let fast = (libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL) as u64;
                    assert_verdict(&program, with(fast, 0), Verdict::Notify);
                    assert_verdict(&program, with(fast, SECRET), Verdict::Allow);
                    assert_verdict(&program, with(libc::MSG_NOSIGNAL as u64, 0), Verdict::Allow);
                }
            }
        }
    }

    #[test]
    fn no_multicast_group_is_joined_by_any_call() {
        for program in [program(Action::Deny), program(Action::Notify)] {
            let option = |level: i32, name: i32| {
                call(libc::SYS_setsockopt, [3, 1 << 32 | level as u64, name as u64, 0, 0, SECRET])
            };
            for name in 0..100 {
                let verdict = |names: &[i32]| match names.contains(&name) {
                    true => Verdict::Errno(libc::EPERM),
                    false => Verdict::Allow,
                };
                assert_verdict(&program, option(libc::IPPROTO_IP, name), verdict(&JOINS_V4));
                assert_verdict(&program, option(libc::IPPROTO_IPV6, name), verdict(&JOINS_V6));
                assert_verdict(&program, option(libc::SOL_SOCKET, name), Verdict::Allow);
                assert_verdict(&program, option(libc::IPPROTO_TCP, name), Verdict::Allow);
            }
        }
    }

    #[test]
    fn families_that_leave_the_machine_are_not_on_the_list() {
        for family in [AF_INET, AF_INET6, AF_PACKET, AF_VSOCK, libc::AF_BLUETOOTH, libc::AF_TIPC] {
            assert!(!LOCAL_FAMILIES.contains(&family));
        }
    }

    /// The whole program, so that a change of it is seen.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_program_that_denies_is_this_one() {
        let expected = [
            "  0 load [4]",
            "  1 if == 0xc000003e go to 2, else to 45",
            "  2 load [0]",
            "  3 if >= 0x40000000 go to 45, else to 4",
            "  4 if >= 0x224 go to 6, else to 5",
            "  5 if >= 0x200 go to 45, else to 6",
            "  6 if == 0x29 go to 33, else to 7",
            "  7 if == 0x35 go to 33, else to 8",
            "  8 if == 0x1a9 go to 45, else to 9",
            "  9 if == 0x1aa go to 45, else to 10",
            " 10 if == 0x1ab go to 45, else to 11",
            " 11 if == 0x36 go to 13, else to 12",
            " 12 return 0x7fff0000",
            " 13 load [24]",
            " 14 if == 0x0 go to 17, else to 15",
            " 15 if == 0x29 go to 25, else to 16",
            " 16 return 0x7fff0000",
            " 17 load [32]",
            " 18 if == 0x23 go to 32, else to 19",
            " 19 if == 0x27 go to 32, else to 20",
            " 20 if == 0x29 go to 32, else to 21",
            " 21 if == 0x2a go to 32, else to 22",
            " 22 if == 0x2e go to 32, else to 23",
            " 23 if == 0x30 go to 32, else to 24",
            " 24 return 0x7fff0000",
            " 25 load [32]",
            " 26 if == 0x14 go to 32, else to 27",
            " 27 if == 0x1b go to 32, else to 28",
            " 28 if == 0x2a go to 32, else to 29",
            " 29 if == 0x2e go to 32, else to 30",
            " 30 if == 0x30 go to 32, else to 31",
            " 31 return 0x7fff0000",
            " 32 return 0x00050001",
            " 33 load [16]",
            " 34 if == 0x0 go to 43, else to 35",
            " 35 if == 0x1 go to 43, else to 36",
            " 36 if == 0x10 go to 43, else to 37",
            " 37 if == 0x26 go to 43, else to 38",
            " 38 if == 0xf go to 43, else to 39",
            " 39 load [56]",
            " 40 if == 0x89abcdef go to 41, else to 44",
            " 41 load [60]",
            " 42 if == 0x1234567 go to 43, else to 44",
            " 43 return 0x7fff0000",
            " 44 return 0x0005000d",
            " 45 return 0x00050026",
        ];
        let text = program(Action::Deny).to_string();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
