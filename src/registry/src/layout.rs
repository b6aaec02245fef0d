//! Places of a registry's entries in its memory, for the live view.

/// A table of words, one a descriptor, each the address of a node with marks in its low bits. Offsets
/// are in bytes from the start of the registry; the layout is C's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Layout {
    /// Address of the word that holds the address of the first page of words.
    pub near: u32,
    /// Address of the word that holds the address of the array of the other pages' addresses.
    pub far: u32,
    /// The words of a page.
    pub page: u32,
    /// The bit of a word that is set if the descriptor names the node.
    pub names: u32,
    /// The bits of a word that are not of the address.
    pub marks: u32,
    /// Offset of the record in a node.
    pub record: u32,
}

impl Layout {
    /// No table.
    pub const NONE: Layout = Layout { near: 0, far: 0, page: 0, names: 0, marks: 0, record: 0 };

    /// The same in a registry that lies `offset` bytes from the start of a larger structure.
    pub const fn at(self, offset: usize) -> Layout {
        let offset = offset as u32;
        Layout { near: self.near + offset, far: self.far + offset, ..self }
    }
}
