//! Claims that are never given back (a handler that jumped away, a cancelled thread), and more
//! claims than there are cells.

use epochsocks::registry::{Registry, SocketId};
use epochsocks::sockets::Record;

use crate::subject::{Account, Subject, account};
use epochsocks::registry::{Slots, SlotsBarrier, SlotsEpoch, SlotsHazard};

/// Abandoned claims of a program that does so all the time.
const THOUSANDS: usize = 30_000;
/// More than there are cells.
const TOO_MANY: usize = (1 << 16) + 200;
/// Records that come and go meanwhile.
const CHURN: u64 = 20_000;
/// The readers' descriptors; each claim protects one of them.
const READERS: i32 = 50;
const CHURNED: i32 = READERS;

/// Runs `work` inside of `depth` guards, as if that many handlers had each interrupted a reader.
fn inside_guards<S: Subject>(subject: &S, depth: usize, work: &mut dyn FnMut()) {
    match depth {
        0 => work(),
        _ => subject
            .borrow(depth as i32 % READERS, |_| inside_guards(subject, depth - 1, work))
            .expect("the readers' entries stay"),
    }
}

fn churn<S: Subject>(subject: &S, rounds: u64) {
    for cookie in 0..rounds {
        subject.insert(CHURNED, SocketId(cookie)).expect("empty");
        assert!(subject.remove(CHURNED));
    }
}

/// Records come and go inside of `depth` guards. Returns the memory of the whole, in nodes, and
/// what is left when the guards have ended.
fn churn_inside_guards<S: Subject>(depth: usize) -> Account {
    let work = move || {
        let subject = S::fresh();
        for fd in 0..READERS {
            subject.insert(fd, SocketId(fd as u64)).expect("empty");
        }
        inside_guards(&subject, depth, &mut || churn(&subject, CHURN));
        churn(&subject, 200);
        for fd in 0..READERS {
            assert_eq!(subject.borrow(fd, |record| record.id()), Some(SocketId(fd as u64)));
            subject.remove(fd);
        }
        account(&subject)
    };
    on_deep_stack(work)
}

/// Guards inside of guards are calls inside of calls.
fn on_deep_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let deep = std::thread::Builder::new().stack_size(512 << 20);
    deep.spawn(work).expect("a thread").join().expect("no panic")
}

fn nothing_is_lost(account: Account) {
    let Account { lost, doubled, claims, .. } = account;
    assert_eq!((lost, doubled, claims), (0, 0, 0), "{account:?}");
}

/// Memory stays flat: what is alive, and a few batches.
fn thousands_of_claims_hold_back_little<S: Subject>() {
    let account = churn_inside_guards::<S>(THOUSANDS);
    nothing_is_lost(account);
    assert!(account.nodes < READERS as usize + 200, "{account:?}");
}

#[test]
fn thousands_of_claims_hold_back_little_with_eras() {
    thousands_of_claims_hold_back_little::<Slots<Record>>();
}

#[test]
fn thousands_of_claims_hold_back_little_with_barriers() {
    thousands_of_claims_hold_back_little::<SlotsBarrier<Record>>();
}

#[test]
fn thousands_of_claims_hold_back_little_with_hazards() {
    thousands_of_claims_hold_back_little::<SlotsHazard<Record>>();
}

/// Shows the need for robustness: one claim of a plain epoch holds back all that comes after it.
#[test]
fn one_claim_holds_back_everything_with_plain_epochs() {
    let account = churn_inside_guards::<SlotsEpoch<Record>>(1);
    nothing_is_lost(account);
    assert!(account.nodes > CHURN as usize / 2, "{account:?}");
}

/// Nothing is freed while a reader is without a cell, and everything is when it has ended.
#[test]
fn more_claims_than_cells_hold_reclamation_back_and_no_more() {
    let account = churn_inside_guards::<Slots<Record>>(TOO_MANY);
    nothing_is_lost(account);
    assert!(account.nodes > CHURN as usize / 2, "{account:?}");
    assert!(account.retired < 200, "{account:?}");
}

/// In instructions, which no other load changes.
#[cfg(target_arch = "x86_64")]
#[test]
fn thousands_of_claims_do_not_slow_a_lookup_down() {
    use crate::injection::{Shared, instructions};
    let lookup_inside = |depth| {
        let (instructions, _) = Shared::<u64>::new().run(move |instructions_taken| {
            let subject = Slots::new();
            for fd in 0..READERS {
                subject.insert(fd, SocketId(1)).expect("empty");
            }
            let mut lookup = || assert!(subject.borrow(0, |_| ()).is_some());
            inside_guards(&subject, depth, &mut || {
                // The first one looks for a free cell and remembers where it was.
                lookup();
                *instructions_taken = instructions(&mut lookup);
            });
        });
        instructions
    };
    let (without, with) = on_deep_stack(move || (lookup_inside(0), lookup_inside(THOUSANDS)));
    eprintln!("a lookup takes {without} instructions, {with} after {THOUSANDS} claims");
    assert!(without > 20, "{without}");
    assert!(with < 4 * without, "{without} instructions without claims, {with} with");
}
