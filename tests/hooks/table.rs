//! The hook table as data.

/// One row.
pub struct Hook {
    pub symbol: &'static str,
    /// Types as Rust spells them.
    pub parameters: &'static [&'static str],
    pub result: &'static str,
    /// Empty for an alias that no header declares.
    pub header: &'static str,
    /// The C function takes more arguments than its declaration names.
    pub variadic: bool,
    pub cancellation_point: bool,
    pub async_signal_safe: bool,
    pub why: &'static str,
    pub policy: &'static str,
    /// `binary::function` of the test that shows it.
    pub test: &'static str,
}

macro_rules! truth {
    (yes) => {
        true
    };
    (no) => {
        false
    };
    // As `yes`, with a trampoline for a symbol.
    (list) => {
        true
    };
    // As `no`, with a trampoline for a symbol.
    (naked) => {
        false
    };
}

macro_rules! hooks {
    ($($name:ident {
        signature: ($($argument:ident: $type:ty),* $(,)?) -> $result:ty,
        header: $header:literal,
        variadic: $variadic:ident,
        cancellation_point: $cancellation:ident,
        async_signal_safe: $signal:ident,
        before_resolution: $before:ident $(($number:ident))?,
        handler: $handler:path,
        why: $why:literal,
        policy: $policy:literal,
        test: $test:literal,
    })*) => {
        pub const HOOKS: &[Hook] = &[$(Hook {
            symbol: stringify!($name),
            parameters: &[$(stringify!($type)),*],
            result: stringify!($result),
            header: $header,
            variadic: truth!($variadic),
            cancellation_point: truth!($cancellation),
            async_signal_safe: truth!($signal),
            why: $why,
            policy: $policy,
            test: $test,
        }),*];
    };
}

include!("../../src/preload/src/table.rs");
