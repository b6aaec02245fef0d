//! The processor that a thread runs on.

use std::mem::{size_of_val, zeroed};

/// Ties the calling thread to the processor number `index`, counted among those that this process
/// may use, again from the first after the last. A sample is too short for the scheduler to spread
/// its threads.
pub fn pin(index: u32) {
    // SAFETY: a set is plain bits; the calls get its size and fill or read it.
    unsafe {
        let mut allowed: libc::cpu_set_t = zeroed();
        if libc::sched_getaffinity(libc::getpid(), size_of_val(&allowed), &raw mut allowed) != 0 {
            return;
        }
        let processors: Vec<usize> = (0..libc::CPU_SETSIZE as usize)
            .filter(|processor| libc::CPU_ISSET(*processor, &allowed))
            .collect();
        let mut own: libc::cpu_set_t = zeroed();
        libc::CPU_SET(chosen(&processors, index), &mut own);
        // A failure leaves the thread where it is.
        libc::sched_setaffinity(0, size_of_val(&own), &raw const own);
    }
}

fn chosen(processors: &[usize], index: u32) -> usize {
    processors[index as usize % processors.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_turns_on_the_processors_that_are_allowed() {
        let chosen: Vec<_> = (0..5).map(|index| chosen(&[1, 3], index)).collect();
        assert_eq!(chosen, [1, 3, 1, 3, 1]);
    }
}
