//! A count of every record's memory, for tests that look for lost and doubled frees.

/// Use of a piece of a registry's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A descriptor names it.
    Named,
    /// No descriptor names it; it waits until no thread sees it. The value is the number of references counted: in a
    /// registry at rest 1, its own.
    Retired(u64),
    /// A retired record keeps it, as its successor or a successor of that.
    Kept,
    /// The next insert may take it.
    Free,
}

/// A registry that can say where each of its nodes is. A node that is `Free` or
/// `Retired` twice was freed twice; one that is never visited is lost.
pub trait Audit {
    /// Nodes that were handed out at least once; they are numbered from 0.
    fn handed_out(&self) -> u32;

    /// Claims that readers and writers have not released.
    fn claims(&self) -> usize;

    /// Visits the number and the use of every node, once for each slot or list that holds it.
    ///
    /// # Safety
    /// No operation is under way, in whatever thread or handler, and none begins meanwhile.
    unsafe fn each_node(&self, visit: &mut dyn FnMut(u32, Use));
}

/// Nodes of a registry at rest, without entries, that are lost, and that are in two places.
#[cfg(all(test, not(crossbeam_loom)))]
pub fn misplaced(registry: &impl Audit) -> (usize, usize) {
    let mut places = std::vec![(0, false); registry.handed_out() as usize];
    let mut lost = 0;
    let mut visit = |number: u32, usage: Use| {
        let (lists, is_kept) = &mut places[number as usize];
        match usage {
            Use::Kept => *is_kept = true,
            Use::Free => *lists += 1,
            Use::Retired(references) => {
                *lists += 1;
                lost += usize::from(references != 1);
            }
            Use::Named => lost += 1,
        }
    };
    // SAFETY: at rest, as the caller says.
    unsafe { registry.each_node(&mut visit) };
    let count = |is_so: fn(usize) -> bool| {
        places.iter().filter(|(lists, is_kept)| is_so(lists + usize::from(*is_kept))).count()
    };
    (lost + count(|places| places == 0), count(|places| places > 1))
}
