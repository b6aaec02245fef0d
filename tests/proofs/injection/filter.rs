//! Filter of a process under proof (seccomp(2)).

use std::io;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, MADV_WIPEONFORK,
    SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_TRAP, SYS_futex, SYS_getpid, SYS_madvise,
    sock_filter,
};

/// `seccomp_data.nr`.
const NUMBER: u32 = 0;
/// FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME say how to wait, not whether to.
const COMMAND: u32 = !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) as u32;

/// The lower half of `seccomp_data.args[index]`.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

const fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

/// Skips instructions, by whether what was loaded is `value`.
const fn jump(value: i64, equal: u8, other: u8) -> sock_filter {
    let code = (BPF_JMP | BPF_JEQ | BPF_K) as u16;
    sock_filter { code, jt: equal, jf: other, k: value as u32 }
}

const fn answer(what: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, what)
}

const fn fail(errno: i32) -> sock_filter {
    answer(SECCOMP_RET_ERRNO | errno as u32)
}

/// In this process and its children a wait for a lock raises SIGSYS: for those with one thread that
/// runs, where no other thread would ever give a lock back.
pub fn forbid_waits() {
    install(&mut [
        load(NUMBER),
        jump(SYS_futex, 0, 5),
        load(argument(1)),
        statement(BPF_ALU | BPF_AND | BPF_K, COMMAND),
        jump(libc::FUTEX_WAIT.into(), 1, 0),
        jump(libc::FUTEX_WAIT_BITSET.into(), 0, 1),
        answer(SECCOMP_RET_TRAP),
        answer(SECCOMP_RET_ALLOW),
    ]);
}

/// From here on this process and its children can't tell one another apart: they have one process
/// id, -1, and a fork wipes no memory.
pub fn be_one_process() {
    install(&mut [
        load(NUMBER),
        jump(SYS_getpid, 0, 1),
        fail(1),
        jump(SYS_madvise, 0, 3),
        load(argument(2)),
        jump(MADV_WIPEONFORK.into(), 0, 1),
        // As of a kernel that can't.
        fail(libc::EINVAL),
        answer(SECCOMP_RET_ALLOW),
    ]);
}

fn install(filter: &mut [sock_filter]) {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the kernel copies the program.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    assert!(installed, "seccomp: {}", io::Error::last_os_error());
}
