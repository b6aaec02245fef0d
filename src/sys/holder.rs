//! A thread that holds something without a destructor, because it may be cancelled or jump away meanwhile.

use super::{gettid, is_alive, is_on_signal_stack};

/// A thread and the depth of its stack, in one word: what it holds may be taken over once it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    thread: i32,
    /// The lower half of an address: no stack is larger than that.
    frame: u32,
}

impl Holder {
    /// Holds what is the process's own, and is never gone.
    pub const PROCESS: Holder = Holder { thread: 0, frame: 1 };

    /// The caller of the function that calls this, which must not be inlined into it: until that caller
    /// returns, whatever it calls and whatever interrupts it is deeper in the stack. It holds one thing
    /// of a kind at a time.
    #[inline(never)]
    pub fn current() -> Holder {
        let marker = 0u8;
        let frame = (&raw const marker).addr() as u32;
        // 0 is what `thread` says.
        Holder { thread: gettid(), frame: frame.max(1) }
    }

    /// The calling thread, for as long as it lives.
    pub fn thread() -> Holder {
        Holder { thread: gettid(), frame: 0 }
    }

    /// Tells whether the holder has left the call in which it held something; `now` is the current
    /// holder.
    pub fn is_gone(self, now: Holder) -> bool {
        if self.thread <= 0 || now.thread <= 0 {
            // A filter keeps the kernel from telling.
            return false;
        }
        if self.thread != now.thread {
            return !is_alive(self.thread);
        }
        let is_below = (now.frame.wrapping_sub(self.frame) as i32) < 0;
        // A handler on a stack of its own has interrupted what is on the other one.
        self.frame != 0 && now.frame != 0 && !is_below && !is_on_signal_stack()
    }

    /// As a word that is never 0.
    pub fn to_word(self) -> u64 {
        u64::from(self.thread as u32) << 32 | u64::from(self.frame)
    }

    /// Reads what [`Holder::to_word`] gave; `None` for 0, which is not a holder.
    pub fn from_word(word: u64) -> Option<Holder> {
        (word != 0).then_some(Holder { thread: (word >> 32) as i32, frame: word as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn held() -> Holder {
        Holder::current()
    }

    #[inline(never)]
    fn deeper(outer: Holder) -> bool {
        let room = [0u8; 256];
        let is_gone = outer.is_gone(held());
        core::hint::black_box(room);
        is_gone
    }

    #[test]
    fn a_call_is_gone_when_another_takes_its_place_on_the_stack() {
        let first = held();
        assert!(first.is_gone(held()));
        assert!(!deeper(first));
        assert!(!Holder::thread().is_gone(held()));
    }

    #[test]
    fn a_thread_is_gone_when_it_has_ended() {
        let ended = std::thread::spawn(|| (held(), Holder::thread())).join().unwrap();
        // The kernel forgets the thread soon after its end.
        while !ended.0.is_gone(held()) {
            std::thread::yield_now();
        }
        assert!(ended.1.is_gone(held()));
        let (started, now) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            started.send(held()).unwrap();
            ends.recv().unwrap_err();
        });
        assert!(!now.recv().unwrap().is_gone(held()));
        drop(end);
        other.join().unwrap();
    }

    #[test]
    fn a_word_says_the_same() {
        let holder = held();
        assert_eq!(Holder::from_word(holder.to_word()), Some(holder));
        assert_eq!(Holder::from_word(0), None);
    }
}
