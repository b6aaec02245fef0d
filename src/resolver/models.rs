//! loom models of the table of cookie addresses, with twins in which a mistake is planted that loom
//! must find. `tests/loom` runs them. The arena's bytes are modelled: a name that is read while it is
//! written is found.

use loom::thread;

use super::cookie_range::Cookie;
use super::error::PoolError;
use super::onion_table::Table;
use crate::registry::atomics::models::{fails, holds, models};
use crate::registry::atomics::mutant::Mutant;
use crate::registry::atomics::{AtomicU32, SharedBytes};

/// An empty table for a number of names, in leaked memory.
fn table(capacity: usize) -> Table<'static> {
    let slots: Vec<AtomicU32> = (0..capacity).map(|_| AtomicU32::new(0)).collect();
    Table {
        taken: Box::leak(Box::new(AtomicU32::new(0))),
        slots: Box::leak(slots.into_boxed_slice()),
        arena: SharedBytes::leaked(8),
    }
}

/// Asks for the cookies of two names in two threads.
fn cookies(table: Table<'static>, names: [&'static [u8]; 2]) -> [Result<Cookie, PoolError>; 2] {
    let other = thread::spawn(move || table.find_or_insert(names[1], |_| None));
    let one = table.find_or_insert(names[0], |_| None);
    [one, other.join().expect("no panic")]
}

/// a: two names never get one cookie, and each leads back to its name.
fn two_names() {
    let table = table(2);
    // Both are looked for in the same place first.
    let names: [&[u8]; 2] = [b"a", b"c"];
    let [one, other] = cookies(table, names).map(|cookie| cookie.expect("room for both"));
    assert_ne!(one, other);
    assert_eq!([one, other].map(|cookie| table.name(cookie)), names.map(Some));
}

/// b: one name never gets two cookies.
fn one_name() {
    let table = table(2);
    let [one, other] = cookies(table, [b"a", b"A"]).map(|cookie| cookie.expect("room for one"));
    assert_eq!(one, other);
    assert_eq!(table.name(one), Some(&b"a"[..]));
    let places = [Cookie(0), Cookie(1)].map(|cookie| table.name(cookie).is_some());
    assert_eq!(places.into_iter().filter(|taken| *taken).count(), 1);
}

/// One of two names gets the last cookie, the other none.
fn the_last_cookie() {
    let table = table(1);
    let got = cookies(table, [b"a", b"b"]);
    assert_eq!(got.iter().filter(|cookie| **cookie == Ok(Cookie(0))).count(), 1);
    assert!(got.contains(&Err(PoolError::Exhausted)));
}

/// A thread that looks at a cookie meanwhile sees a whole name, or none.
fn look_while_inserted() {
    let table = table(1);
    let other = thread::spawn(move || {
        let seen = table.name(Cookie(0));
        assert!(seen.is_none_or(|name| name == b"ab"));
    });
    table.find_or_insert(b"ab", |_| None).expect("room");
    other.join().expect("no panic");
}

models! {
    two_names_have_two_cookies: holds(two_names);
    twin_two_names_stored: fails(&[Mutant::StoreOnInsert], two_names);
    twin_two_names_in_one_place: fails(&[Mutant::TornCursor], two_names);
    one_name_has_one_cookie: holds(one_name);
    twin_one_name_in_one_place: fails(&[Mutant::TornCursor], one_name);
    one_gets_the_last_cookie: holds(the_last_cookie);
    twin_both_get_the_last_cookie: fails(&[Mutant::StoreOnInsert], the_last_cookie);
    a_name_is_whole_when_it_is_seen: holds(look_while_inserted);
    twin_a_name_is_seen_too_early: fails(&[Mutant::EarlyName], look_while_inserted);
}
