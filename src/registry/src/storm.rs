//! Signal storms: a handler that does every operation, while every operation is interrupted.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;

use super::audit::misplaced;
use super::support::{self, Slots};
use super::{Audit, Guarantee, Payload, Registry, SocketId};

/// H: handlers that interrupt any operation, in any place, do any other.
fn operations_survive_a_signal_storm<R: Registry + Audit>(registry: &'static R, handler: usize) {
    assert!(R::VARIANT.guarantees.has(Guarantee::H));
    const WORKERS: i32 = 2;
    const SIGNALS: u32 = 1_000;
    for signal in STORM_SIGNALS {
        // SAFETY: a zeroed sigaction with a handler of the right type, for a signal no other test
        // uses. Each signal keeps itself out, so that handlers nest two deep.
        unsafe {
            let mut action: libc::sigaction = core::mem::zeroed();
            action.sa_sigaction = handler;
            assert_eq!(libc::sigaction(signal, &raw const action, core::ptr::null_mut()), 0);
        }
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        for worker in 0..WORKERS {
            let (done, tell) = (&done, tell.clone());
            scope.spawn(move || {
                // SAFETY: takes nothing.
                tell.send(unsafe { libc::pthread_self() }).expect("a receiver");
                // Works until the last signal, so that its thread id stays good.
                for round in 0.. {
                    step(registry, round + worker);
                    if done.load(Relaxed) {
                        break;
                    }
                }
            });
        }
        let threads: Vec<_> = told.iter().take(WORKERS as usize).collect();
        for _ in 0..SIGNALS {
            for (thread, signal) in
                threads.iter().flat_map(|thread| STORM_SIGNALS.map(|s| (thread, s)))
            {
                // SAFETY: the thread works until `done`.
                unsafe { libc::pthread_kill(*thread, signal) };
            }
            std::thread::yield_now();
        }
        done.store(true, Relaxed);
    });
    for fd in 0..STORM_FDS {
        registry.remove(fd);
        assert!(!registry.contains(fd));
    }
    assert_eq!(misplaced(registry), (0, 0), "lost, doubled");
    assert_eq!(registry.claims(), 0);
}

const STORM_FDS: i32 = 5;
const STORM_SIGNALS: [i32; 2] = [libc::SIGUSR1, libc::SIGUSR2];

/// One operation of each kind; a record's cookie is a square, whatever else happens.
fn step(registry: &impl Registry, round: i32) {
    let (fd, other) = (round.rem_euclid(STORM_FDS), (round / 3).rem_euclid(STORM_FDS));
    let _ = registry.insert(fd, SocketId(u64::from(round.unsigned_abs()).pow(2)));
    let whole = registry.borrow(other, |record| record.id().0.isqrt().pow(2) == record.id().0);
    let _ = registry.duplicate(fd, other);
    let handle = registry.lookup(other);
    registry.remove(other);
    let kept = handle.is_none_or(|handle| handle.id().0.isqrt().pow(2) == handle.id().0);
    if let Some(entry) = registry.detach(fd) {
        registry.restore(fd, entry);
    }
    if round % 16 == 0 {
        let _ = registry.supersede(fd);
    }
    if whole == Some(false) || !kept {
        std::process::abort();
    }
}

macro_rules! storms {
    ($($name:ident: $registry:ty;)*) => {
        $(
            #[test]
            fn $name() {
                static REGISTRY: $registry = <$registry>::new();
                extern "C" fn handler(_: libc::c_int) {
                    static ROUND: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);
                    step(&REGISTRY, ROUND.fetch_add(1, Relaxed));
                }
                let _one_handler = STORM.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                operations_survive_a_signal_storm(&REGISTRY, handler as *const () as usize);
            }
        )*
    };
}

static STORM: std::sync::Mutex<()> = std::sync::Mutex::new(());

storms! {
    slots_survives_a_signal_storm: Slots;
    slots_epoch_survives_a_signal_storm: support::SlotsEpoch;
    slots_barrier_survives_a_signal_storm: support::SlotsBarrier;
    slots_hazard_survives_a_signal_storm: support::SlotsHazard;
    counted_survives_a_signal_storm: support::Counted;
    type_stable_survives_a_signal_storm: support::TypeStable;
}
