//! The supervisor: carries out, through Tor, the calls of programs that the preload library can't reach.
//!
//! - [`tree`]: the three processes: the launcher in front, the supervisor, the program
//! - [`listener`] and [`abi`]: the kernel's interface, and all `unsafe`; [`pieces`]: what of it there must be
//! - [`program`]: the memory and the sockets of the caller
//! - [`verdict`]: what becomes of a call, by the hooks' policy
//! - [`calls`]: each call, carried out; [`connects`]: those that wait for Tor; [`pending`]: what waits
//! - [`names`]: the name server, by [`channels`] and [`stub`]s; [`world`]: what is known of names and addresses
//! - [`sockets`]: where connected sockets lead
//! - [`log`]: the hooks' log lines
//!
//! It is one thread that waits in one epoll set: hundreds of calls are under way at a time, each a
//! descriptor there, and none waits for another. See design/redirect.md.

mod abi;
mod calls;
mod channels;
mod connects;
pub mod listener;
mod log;
mod names;
mod pending;
pub mod pieces;
mod program;
mod sockets;
mod stub;
pub mod tree;
mod verdict;
pub mod world;

use std::collections::HashSet;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use epochsocks::config::Settings;
use epochsocks::launch_store::Launch;
use epochsocks::sys::{self, Errno, time};

use abi::Event;
use listener::{Call, Listener};
use log::Log;
use pending::{Pending, Table};
use sockets::Sockets;
use stub::Stubs;
use world::World;

/// The time between two looks whether programs still wait for their calls: the kernel tells of no signal that ends one.
const LOOK: Duration = Duration::from_millis(50);

/// The tokens of the set, beside those of the table's places.
const LISTENER: u64 = 0;
const SIGNALS: u64 = 1;
const FRONT: u64 = 2;
const PLACES: u64 = 16;

/// One supervisor, of one launch.
pub struct Supervisor<'s> {
    settings: &'s Settings,
    world: World<'s>,
    log: Log<'s>,
    listener: Listener,
    set: OwnedFd,
    pending: Table,
    sockets: Sockets,
    stubs: Stubs,
    refused_ports: HashSet<u16>,
    /// Time of the last look whether all programs still wait.
    looked: Duration,
}

impl<'s> Supervisor<'s> {
    /// A supervisor for what `listener` brings. Errors: those of socket(2), bind(2) and epoll_ctl(2).
    pub fn new(
        settings: &'s Settings,
        launch: Option<Launch>,
        listener: Listener,
    ) -> Result<Supervisor<'s>, Errno> {
        let supervisor = Supervisor {
            settings,
            world: World::new(settings, launch),
            log: Log::new(settings),
            listener,
            set: abi::epoll()?,
            pending: Table::default(),
            sockets: Sockets::default(),
            stubs: Stubs::new()?,
            refused_ports: HashSet::new(),
            looked: time::monotonic(),
        };
        supervisor.watch(supervisor.listener.fd(), LISTENER)?;
        Ok(supervisor)
    }

    /// Lets the set tell when `fd` is readable or hung up.
    fn watch(&self, fd: i32, token: u64) -> Result<(), Errno> {
        sys::epoll_ctl(self.set.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN as u32, token)
    }

    /// Serves until no process is under the filter; `other` is told of what is not the supervisor's own, the
    /// descriptors of `others`.
    pub fn serve(
        mut self,
        others: [&OwnedFd; 2],
        mut other: impl FnMut(&Log<'_>, Other) -> Watch,
    ) -> Result<(), Errno> {
        self.watch(others[0].as_raw_fd(), SIGNALS)?;
        self.watch(others[1].as_raw_fd(), FRONT)?;
        let mut events: Vec<Event> = Vec::new();
        loop {
            let limit = self.time_to_next_look();
            abi::wait(&self.set, limit, &mut events);
            for &(token, bits) in &events {
                match token {
                    LISTENER if bits & libc::EPOLLIN as u32 != 0 => self.next_call(),
                    // No process is under the filter any more.
                    LISTENER => return Ok(()),
                    SIGNALS | FRONT => {
                        let (which, fd) = match token {
                            SIGNALS => (Other::Signal, others[0]),
                            _ => (Other::Front, others[1]),
                        };
                        if other(&self.log, which) == Watch::Ends {
                            let (set, fd) = (self.set.as_raw_fd(), fd.as_raw_fd());
                            let _ = sys::epoll_ctl(set, libc::EPOLL_CTL_DEL, fd, 0, 0);
                        }
                    }
                    place => self.drive((place - PLACES) as usize),
                }
            }
            if limit.is_some() {
                self.look_after();
            }
        }
    }

    /// Puts `pending` into the table and the set, which waits for its events; gives its place.
    fn add(&mut self, pending: Pending) -> Result<usize, Errno> {
        let (fd, events) = (pending.number(), pending.events);
        let place = self.pending.insert(pending);
        let token = PLACES + place as u64;
        let added = sys::epoll_ctl(self.set.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, events, token);
        if let Err(errno) = added {
            drop(self.pending.take(place));
            self.pending.give_up(place);
            return Err(errno);
        }
        Ok(place)
    }

    /// `pending`, taken from `place`, waits on, for `events`.
    fn wait_on(&mut self, place: usize, mut pending: Pending, events: u32) {
        if pending.events != events {
            let token = PLACES + place as u64;
            let (set, modify) = (self.set.as_raw_fd(), libc::EPOLL_CTL_MOD);
            let _ = sys::epoll_ctl(set, modify, pending.number(), events, token);
            pending.events = events;
        }
        self.pending.put_back(place, pending);
    }

    /// `pending`, taken from `place`, is over. The program may have the descriptor's description open, too:
    /// closing ours would not take it out of the set.
    fn end(&mut self, place: usize, pending: &Pending) {
        let (set, delete) = (self.set.as_raw_fd(), libc::EPOLL_CTL_DEL);
        let _ = sys::epoll_ctl(set, delete, pending.number(), 0, 0);
        self.pending.give_up(place);
    }

    /// The time until something may be over without an event; without an end if nothing may.
    fn time_to_next_look(&self) -> Option<Duration> {
        let now = time::monotonic();
        let each = self.pending.each().filter_map(|(_, pending)| {
            let late = pending.deadline.map(|deadline| deadline.saturating_sub(now));
            late.into_iter().chain(pending.call().map(|_| LOOK)).min()
        });
        each.min()
    }

    /// Ends what takes too long and what no caller waits for any more.
    fn look_after(&mut self) {
        let now = time::monotonic();
        let is_time = now.saturating_sub(self.looked) >= LOOK;
        if is_time {
            self.looked = now;
        }
        let is_left = |call: &Call| is_time && !self.listener.waits(call.id);
        let over: Vec<_> = self
            .pending
            .each()
            .filter(|(_, pending)| {
                let is_late = pending.deadline.is_some_and(|deadline| deadline <= now);
                is_late || pending.call().is_some_and(is_left)
            })
            .map(|(place, _)| place)
            .collect();
        over.into_iter().for_each(|place| self.give_up(place));
    }
}

/// An event that the supervisor's loop leaves to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// A signal waits.
    Signal,
    /// The launcher in front has sent a message, or has ended.
    Front,
}

/// The supervisor's loop goes on to watch the descriptor of an [`Other`], or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    GoesOn,
    Ends,
}
