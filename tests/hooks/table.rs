//! The hook table as data.

#[macro_use]
#[path = "../../src/preload/src/table.rs"]
mod rows;

/// One row.
pub struct Hook {
    pub symbol: &'static str,
    /// Types as Rust spells them.
    pub parameters: &'static [&'static str],
    pub result: &'static str,
    /// None if no header declares it.
    pub header: Option<&'static str>,
    /// The function that it is another name of.
    pub alias_of: Option<&'static str>,
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
}

macro_rules! option {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

macro_rules! hook {
    (
        fn $name:ident ($($argument:ident: $type:ty),* $(,)?) -> $result:ty;
        handler: $handler:path, symbol: $exported:ident, real: $real:tt, policy: [$policy:expr],
        async_signal_safe: $signal:ident, cancellation_point: $cancellation:ident,
        variadic: $variadic:ident, alias_of: [$($of:ident)?], header: [$($header:literal)?],
        why: [$why:expr], test: [$test:literal],
    ) => {
        Hook {
            symbol: stringify!($name),
            parameters: &[$(stringify!($type)),*],
            result: stringify!($result),
            header: option!($($header)?),
            alias_of: option!($(stringify!($of))?),
            variadic: truth!($variadic),
            cancellation_point: truth!($cancellation),
            async_signal_safe: truth!($signal),
            why: $why,
            policy: $policy,
            test: $test,
        }
    };
}

macro_rules! hooks {
    ($($name:ident $row:tt)*) => {
        pub const HOOKS: &[Hook] = &[$(hook_row! { hook $row }),*];
    };
}
for_each_hook!(hooks);
