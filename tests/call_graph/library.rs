//! One library as binutils print it: `readelf` its symbols, relocations and functions' extents,
//! `objdump` its instructions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// A library's functions and what they call.
pub struct Library {
    /// Each exported function's names, by its address.
    pub exports: BTreeMap<u64, BTreeSet<String>>,
    /// The functions by their first address.
    pub functions: BTreeMap<u64, Function>,
}

/// One function, or a part of one that the compiler has put elsewhere.
#[derive(Default)]
pub struct Function {
    end: u64,
    /// Functions of the same library that it calls or jumps to, by their addresses.
    pub inner: BTreeSet<u64>,
    /// Those whose addresses it takes.
    pub taken: BTreeSet<u64>,
    /// Names that the dynamic linker is to find for it.
    pub imports: BTreeSet<String>,
    /// The system calls that it makes itself.
    pub system_calls: BTreeSet<u64>,
    /// Functions that it calls, with the first argument where that is a constant.
    pub calls: Vec<(u64, Option<u64>)>,
}

impl Library {
    /// Reads the library at `path`.
    pub fn read(path: &Path) -> Library {
        let mut library = Library { exports: exports(path), functions: functions(path) };
        let slots = relocations(path);
        let mut stubs = BTreeMap::new();
        let mut reader = Reader::default();
        for line in run("objdump", &["--disassemble", "--no-show-raw-insn", "--wide"], path).lines()
        {
            if let Some((address, name)) = stub(line) {
                stubs.insert(address, name);
            } else if let Some((address, instruction)) = instruction(line) {
                reader.read(&mut library, &slots, address, instruction);
            }
        }
        library.resolve(&stubs);
        library
    }

    /// The first address of the function that `address` lies in.
    pub fn start_of(&self, address: u64) -> Option<u64> {
        let (start, function) = self.functions.range(..=address).next_back()?;
        (address < function.end).then_some(*start)
    }

    /// Makes of every address the function or the stub of the procedure linkage table that it lies in.
    fn resolve(&mut self, stubs: &BTreeMap<u64, String>) {
        let starts: Vec<u64> = self.functions.keys().copied().collect();
        for start in &starts {
            let mut function = self.functions.remove(start).expect("one of the keys");
            for address in std::mem::take(&mut function.inner) {
                if let Some(name) = stubs.get(&address) {
                    function.imports.insert(name.clone());
                } else if let Some(inner) = self.start_of(address) {
                    function.inner.insert(inner);
                }
            }
            let taken = std::mem::take(&mut function.taken);
            function.taken.extend(taken.into_iter().filter(|it| starts.binary_search(it).is_ok()));
            self.functions.insert(*start, function);
        }
    }
}

/// Known values of the registers on the way through a function.
#[derive(Default)]
struct Reader {
    function: u64,
    number: Option<u64>,
    argument: Option<u64>,
}

impl Reader {
    fn read(
        &mut self,
        library: &mut Library,
        slots: &BTreeMap<u64, String>,
        address: u64,
        instruction: &str,
    ) {
        let Some(start) = library.start_of(address) else { return };
        if start != self.function {
            *self = Reader { function: start, ..Reader::default() };
        }
        let function = library.functions.get_mut(&start).expect("just found");
        let (operation, operands) = instruction.split_once(' ').unwrap_or((instruction, ""));
        let operands = operands.trim();
        match operation {
            "mov" | "movl" | "movq" | "xor" => self.set(operation, operands),
            "syscall" => function.system_calls.extend(self.number),
            _ => {}
        }
        let is_call = operation == "call" || operation.starts_with('j');
        let target = if is_call { hexadecimal(operands) } else { None };
        // The address that objdump has worked out of one relative to the instruction.
        let relative = instruction.split_once("# ").and_then(|(_, rest)| hexadecimal(rest));
        if let Some(target) = target {
            function.inner.insert(target);
            function.calls.push((target, self.argument));
        } else if let Some(name) = relative.and_then(|slot| slots.get(&slot)) {
            function.imports.insert(name.clone());
        } else if let Some(taken) = relative.filter(|_| operation == "lea") {
            function.taken.insert(taken);
        }
        if operation == "call" {
            self.number = None;
            self.argument = None;
        }
    }

    /// Follows what a `mov` or `xor` makes of the two registers.
    fn set(&mut self, operation: &str, operands: &str) {
        let Some((source, target)) = operands.rsplit_once(',') else { return };
        let value = match operation {
            "xor" => (source == target).then_some(0),
            _ => source.strip_prefix('$').and_then(hexadecimal),
        };
        match target {
            "%eax" | "%rax" => self.number = value,
            "%edi" | "%rdi" => self.argument = value,
            _ => {}
        }
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(path).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    // readelf fails over a file of debug information that is not there, too.
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.stdout.is_empty(), "{program} {arguments:?} {}: {errors}", path.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The number that stands at the start of `text`.
fn hexadecimal(text: &str) -> Option<u64> {
    let word = text.split_whitespace().next()?;
    u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
}

/// `000000000002a010 <connect@plt>:`
fn stub(line: &str) -> Option<(u64, String)> {
    let (address, label) = line.split_once(" <")?;
    let name = label.strip_suffix("@plt>:")?;
    Some((hexadecimal(address)?, name.split('@').next()?.to_owned()))
}

/// `   2a010:` and, behind a tab, `mov    $0x29,%eax`
fn instruction(line: &str) -> Option<(u64, &str)> {
    let (address, instruction) = line.split_once(":\t")?;
    Some((hexadecimal(address)?, instruction.trim()))
}

/// `   123: 0000000000112340    33 FUNC    GLOBAL DEFAULT   16 connect@@GLIBC_2.2.5`
fn exports(path: &Path) -> BTreeMap<u64, BTreeSet<String>> {
    let mut exports = BTreeMap::<_, BTreeSet<_>>::new();
    for line in run("readelf", &["--wide", "--dyn-syms"], path).lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let [_, address, _, "FUNC" | "IFUNC", _, _, section, name, ..] = words[..]
            && section != "UND"
            && let Some(address) = hexadecimal(address)
        {
            let name = name.split('@').next().unwrap_or(name);
            exports.entry(address).or_default().insert(name.to_owned());
        }
    }
    exports
}

/// `00001234 0000000000000014 00001238 FDE cie=00000000 pc=0000000000026120..0000000000026140`
fn functions(path: &Path) -> BTreeMap<u64, Function> {
    let text = run("readelf", &["--wide", "--debug-dump=frames"], path);
    let ranges = text.lines().filter_map(|line| line.split_once(" pc=")?.1.split_once(".."));
    ranges
        .filter_map(|(start, end)| Some((hexadecimal(start)?, hexadecimal(end)?)))
        .map(|(start, end)| (start, Function { end, ..Function::default() }))
        .collect()
}

/// `00000000001d2fe0  0000012300000006 R_X86_64_GLOB_DAT      0000000000000000 socket@GLIBC_2.2.5 + 0`
fn relocations(path: &Path) -> BTreeMap<u64, String> {
    let text = run("readelf", &["--wide", "--relocs"], path);
    let lines = text.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            [slot, _, kind, _, name, ..] if kind.starts_with("R_X86_64_") => {
                Some((hexadecimal(slot)?, name.split('@').next()?.to_owned()))
            }
            _ => None,
        }
    });
    lines.collect()
}
