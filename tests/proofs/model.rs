//! The sequential model of the registry: what each operation does, one atomic step at a time.
//!
//! An operation that the trait does not promise to be one step (a duplicate reads one descriptor
//! and then changes another) is several; whatever runs beside it may come between any two.

/// Descriptors that the model knows; they are 0, 1, 2...
pub const FDS: usize = 6;

/// Operations on a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `borrow`.
    Borrow(usize),
    /// `lookup`, and the handle given up.
    Lookup(usize),
    Insert(usize, u64),
    Remove(usize),
    /// `duplicate` of the first to the second.
    Duplicate(usize, usize),
    /// `detach` and `restore`: a call that failed to close.
    Reopen(usize),
    /// `detach` and `discard`: a call that closed.
    Close(usize),
    Supersede(usize),
    /// `lookup`, `begin_connect` and `publish`.
    Connect(usize, u16),
    /// The end of the handle that the subject holds.
    Put,
}

/// Answers of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Yes,
    No,
    /// A record; port 0 if it is not connected.
    Record {
        cookie: u64,
        port: u16,
    },
    /// A record that changed while it was read: no model answers so.
    Torn,
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Answer::Yes } else { Answer::No }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Socket {
    cookie: u64,
    connecting: bool,
    port: u16,
    successor: Option<usize>,
}

/// Every descriptor and every record that there ever was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Model {
    slots: [Option<usize>; FDS],
    sockets: Vec<Socket>,
}

/// Visible state of one descriptor: cookie, port, and the lowest one that names the same record.
pub type Seen = Option<(u64, u16, usize)>;

impl Model {
    /// Visible state of all descriptors.
    pub fn seen(&self) -> [Seen; FDS] {
        self.slots.map(|slot| {
            let first = self.slots.iter().position(|other| *other == slot);
            let socket = &self.sockets[slot?];
            Some((socket.cookie, socket.port, first?))
        })
    }

    /// Does a whole operation at once.
    pub fn perform(&mut self, operation: Operation) -> Answer {
        Run::new(operation).finish(self)
    }

    fn add(&mut self, cookie: u64) -> usize {
        self.sockets.push(Socket { cookie, connecting: false, port: 0, successor: None });
        self.sockets.len() - 1
    }
}

/// An operation under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    operation: Operation,
    step: usize,
    held: usize,
    next: usize,
}

/// The step at which an operation brings the descriptor that it has changed up to date.
const SETTLE: usize = 8;

impl Run {
    /// Nothing was done yet.
    pub fn new(operation: Operation) -> Run {
        Run { operation, step: 0, held: 0, next: 0 }
    }

    /// Does the rest.
    pub fn finish(mut self, model: &mut Model) -> Answer {
        loop {
            if let Some(answer) = self.step(model) {
                return answer;
            }
        }
    }

    /// Does one step; the last one answers.
    pub fn step(&mut self, model: &mut Model) -> Option<Answer> {
        let step = self.step;
        self.step += 1;
        match self.operation {
            Operation::Put => Some(Answer::Yes),
            Operation::Insert(fd, cookie) => {
                let vacant = model.slots[fd].is_none();
                if vacant {
                    model.slots[fd] = Some(model.add(cookie));
                }
                Some(vacant.into())
            }
            Operation::Remove(fd) | Operation::Close(fd) => {
                Some(model.slots[fd].take().is_some().into())
            }
            Operation::Borrow(fd) | Operation::Lookup(fd) => self.read(step, fd, model),
            Operation::Connect(fd, port) => self.connect(step, fd, port, model),
            Operation::Reopen(fd) => self.reopen(step, fd, model),
            Operation::Duplicate(source, target) => self.duplicate(step, source, target, model),
            Operation::Supersede(fd) => self.supersede(step, fd, model),
        }
    }

    /// Remembers what `fd` names; answers if it names nothing.
    fn find(&mut self, fd: usize, model: &Model) -> Option<Answer> {
        match model.slots[fd] {
            Some(held) => {
                self.held = held;
                None
            }
            None => Some(Answer::No),
        }
    }

    fn read(&mut self, step: usize, fd: usize, model: &Model) -> Option<Answer> {
        if step == 0 {
            return self.find(fd, model);
        }
        let Socket { cookie, port, .. } = model.sockets[self.held];
        Some(Answer::Record { cookie, port })
    }

    fn connect(&mut self, step: usize, fd: usize, port: u16, model: &mut Model) -> Option<Answer> {
        if step == 0 {
            return self.find(fd, model);
        }
        let socket = &mut model.sockets[self.held];
        if step == 1 {
            return core::mem::replace(&mut socket.connecting, true).then_some(Answer::No);
        }
        socket.port = port;
        Some(Answer::Yes)
    }

    fn reopen(&mut self, step: usize, fd: usize, model: &mut Model) -> Option<Answer> {
        match step {
            0 => {
                let answer = self.find(fd, model);
                model.slots[fd] = None;
                answer
            }
            1 if model.slots[fd].is_some() => Some(Answer::Yes),
            1 => {
                model.slots[fd] = Some(self.held);
                None
            }
            _ => self.settle(fd, model),
        }
    }

    fn duplicate(
        &mut self,
        step: usize,
        source: usize,
        target: usize,
        model: &mut Model,
    ) -> Option<Answer> {
        if source == target {
            return Some(model.slots[source].is_some().into());
        }
        match step {
            0 => {
                if self.find(source, model).is_some() {
                    self.step = 2;
                }
                None
            }
            1 => {
                model.slots[target] = Some(self.held);
                self.step = SETTLE;
                None
            }
            2 => {
                model.slots[target] = None;
                Some(Answer::No)
            }
            _ => self.settle(target, model),
        }
    }

    fn supersede(&mut self, step: usize, fd: usize, model: &mut Model) -> Option<Answer> {
        match step {
            0 => self.find(fd, model),
            1 => {
                let Socket { cookie, successor, .. } = model.sockets[self.held];
                self.next = successor.unwrap_or_else(|| model.add(cookie));
                model.sockets[self.held].successor = Some(self.next);
                None
            }
            _ => {
                let slot = &mut model.slots[step - 2];
                if *slot == Some(self.held) {
                    *slot = Some(self.next);
                }
                (step - 2 == FDS - 1).then_some(Answer::Yes)
            }
        }
    }

    /// Lets `fd` name the latest successor of what it was given.
    fn settle(&mut self, fd: usize, model: &mut Model) -> Option<Answer> {
        let Some(next) = model.sockets[self.held].successor else { return Some(Answer::Yes) };
        if model.slots[fd] == Some(self.held) {
            model.slots[fd] = Some(next);
        }
        self.held = next;
        None
    }
}
