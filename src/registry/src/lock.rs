//! A pthread mutex around a value, as the proposal has it.

use core::cell::UnsafeCell;

/// A value that only the holder of the lock touches. Not signal-safe, and not usable in a child that
/// was forked while another thread held it.
pub struct PthreadMutex<T> {
    lock: UnsafeCell<libc::pthread_mutex_t>,
    value: UnsafeCell<T>,
}

// SAFETY: the value is touched only under the lock.
unsafe impl<T: Send> Sync for PthreadMutex<T> {}
// SAFETY: moved only while no thread borrows it, so unlocked.
unsafe impl<T: Send> Send for PthreadMutex<T> {}

impl<T> PthreadMutex<T> {
    /// An unlocked mutex.
    pub const fn new(value: T) -> Self {
        PthreadMutex {
            lock: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `work` under the lock; `work` must not come back here.
    #[inline]
    pub fn locked<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: an initialised mutex, and the borrow is the only one under the lock.
        unsafe {
            libc::pthread_mutex_lock(self.lock.get());
            let result = work(&mut *self.value.get());
            libc::pthread_mutex_unlock(self.lock.get());
            result
        }
    }
}
