//! Declares an option once: its flag and help, its key of configuration, and the rule by which layers merge.
//!
//! ```text
//! /// Help of the flag
//! #[arg(long, value_name = "NAME")]
//! field: Option<Type> = RULE("key", read);                  a flag and a key
//! field: bool = RULE("flag" is "it is for one run");         a flag that is no key, and the reason
//! ```
//!
//! `read` takes a [`Reader`](super::config::Reader), the key and its value. The rules are functions of this module.

use super::build::SelectionArgs;
use super::named::NamedOutputs;
use super::values::Pair;

/// The effect of a nearer layer's list on a farther one's.
#[derive(Clone, Copy)]
pub(super) enum Lists {
    /// The command line extends the configuration, and a target's table extends its parent.
    Extend,
    /// A package replaces the workspace's list.
    Replace,
}

/// Declares a struct of options that is also a layer of configuration.
macro_rules! layered {
    (
        $(#[$of_struct:meta])*
        struct $name:ident {
            $($(#[$of_field:meta])* $field:ident $([$condition:meta])? : $type:ty = $rule:ident $how:tt;)*
        }
    ) => {
        $(#[$of_struct])*
        pub(crate) struct $name {
            $($(#[$of_field])* $(#[cfg($condition)])? pub(crate) $field: $type,)*
        }

        impl $name {
            /// The keys of configuration, in order.
            pub(super) fn keys() -> Vec<&'static str> {
                let keys: &[&[_]] = &[$($(#[cfg($condition)])? layered!(@keys $how)),*];
                keys.concat()
            }

            /// The flags that are not keys, each with the reason.
            pub(super) fn flags() -> Vec<(&'static str, &'static str)> {
                let flags: &[&[_]] = &[$($(#[cfg($condition)])? layered!(@flags $how)),*];
                flags.concat()
            }

            /// Reads the value of a key into its field; `None` for any other key.
            pub(super) fn read(
                &mut self,
                reader: &$crate::options::config::Reader<'_>,
                key: &str,
                value: &serde_json::Value,
            ) -> Option<$crate::error::Result<()>> {
                $($(#[cfg($condition)])? layered!(@read self $field reader key value $how);)*
                None
            }

            /// Merges this layer with `far`.
            pub(super) fn merge(self, far: Self, lists: $crate::options::layered::Lists) -> Self {
                Self {
                    $($(#[cfg($condition)])?
                    $field: $crate::options::layered::$rule(self.$field, far.$field, lists),)*
                }
            }

            /// The keys with different values, except those that `typed` sets.
            pub(super) fn clashes(&self, other: &Self, typed: &Self) -> Vec<&'static str> {
                let mut keys = Vec::new();
                $($(#[cfg($condition)])?
                layered!(@clash $rule keys (&self.$field, &other.$field, &typed.$field) $how);)*
                keys
            }
        }
    };
    (@keys ($($key:literal)|+, $read:expr)) => { &[$($key),+] };
    (@keys ($($flag:literal is $why:literal)?)) => { &[] };
    (@flags ($($flag:literal is $why:literal)?)) => { &[$(($flag, $why))?] };
    (@flags ($($key:literal)|+, $read:expr)) => { &[] };
    (@read $self:ident $field:ident $reader:ident $key:ident $value:ident ($($name:literal)|+, $read:expr)) => {
        if matches!($key, $($name)|+) {
            return Some(($read)($reader, $key, $value).map(|value| {
                $crate::options::layered::Field::set(&mut $self.$field, value);
            }));
        }
    };
    (@read $self:ident $field:ident $reader:ident $key:ident $value:ident ($($flag:literal is $why:literal)?)) => {};
    (@clash value $keys:ident ($one:expr, $other:expr, $typed:expr) ($key:literal, $read:expr)) => {
        if $typed.is_none() && $one.is_some() && $other.is_some() && $one != $other {
            $keys.push($key);
        }
    };
    (@clash $rule:ident $keys:ident $fields:tt $how:tt) => {};
}

/// Declares a struct of options of which none is a key: `field: Type = "flag" is "it is for one run";`.
macro_rules! unconfigured {
    (
        $(#[$of_struct:meta])*
        struct $name:ident {
            $($(#[$of_field:meta])* $field:ident: $type:ty $(= $flag:literal is $why:literal)?;)*
        }
    ) => {
        $(#[$of_struct])*
        pub(crate) struct $name {
            $($(#[$of_field])* pub(crate) $field: $type,)*
        }

        impl $name {
            /// The flags that are no keys in any form, each with the reason.
            pub(super) fn flags() -> Vec<(&'static str, &'static str)> {
                vec![$($(($flag, $why),)?)*]
            }
        }
    };
}

pub(super) use {layered, unconfigured};

/// A field that a key sets.
pub(super) trait Field {
    type Value;

    fn set(&mut self, value: Self::Value);
}

impl<T> Field for Option<T> {
    type Value = T;

    fn set(&mut self, value: T) {
        *self = Some(value);
    }
}

impl Field for bool {
    type Value = Self;

    fn set(&mut self, value: Self) {
        *self = value;
    }
}

/// A field that several keys set.
impl<T> Field for Vec<T> {
    type Value = Vec<T>;

    fn set(&mut self, value: Vec<T>) {
        self.extend(value);
    }
}

impl Field for SelectionArgs {
    type Value = Self;

    fn set(&mut self, value: Self) {
        self.bin.extend(value.bin);
        self.bins |= value.bins;
        self.example.extend(value.example);
    }
}

/// One value. Packages that go into one rootfs must agree on it.
pub(super) fn value<T>(near: Option<T>, far: Option<T>, _: Lists) -> Option<T> {
    near.or(far)
}

/// One choice, which several packages need not agree on.
pub(super) fn choice<T>(near: Option<T>, far: Option<T>, _: Lists) -> Option<T> {
    near.or(far)
}

/// A list, which a nearer layer extends or replaces.
pub(super) fn list<T>(near: Option<Vec<T>>, far: Option<Vec<T>>, lists: Lists) -> Option<Vec<T>> {
    match (far, near, lists) {
        (Some(mut far), Some(near), Lists::Extend) => {
            far.extend(near);
            Some(far)
        }
        (far, near, _) => near.or(far),
    }
}

/// A list in which no name means that none is given.
pub(super) fn names(near: Vec<String>, far: Vec<String>, lists: Lists) -> Vec<String> {
    match lists {
        Lists::Replace if !near.is_empty() => near,
        _ => [far, near].concat(),
    }
}

/// Executables are one choice: a nearer one replaces all of it.
pub(super) fn executables(near: SelectionArgs, far: SelectionArgs, _: Lists) -> SelectionArgs {
    if near == SelectionArgs::default() { far } else { near }
}

/// A list of pairs. Keeps the last value of a duplicate name, at its first position.
pub(super) fn pairs(near: Option<Vec<Pair>>, far: Option<Vec<Pair>>, lists: Lists) -> Option<Vec<Pair>> {
    let mut kept: Vec<Pair> = Vec::new();
    for pair in list(near, far, lists)? {
        match kept.iter_mut().find(|known| known.name == pair.name) {
            Some(known) => *known = pair,
            None => kept.push(pair),
        }
    }
    Some(kept)
}

/// Rows with names: a nearer one replaces a farther one.
pub(super) fn rows<T: Clone>(near: Vec<T>, far: Vec<T>, _: Lists) -> Vec<T> {
    [far, near].concat()
}

/// A switch.
pub(super) fn switch(near: bool, far: bool, _: Lists) -> bool {
    near || far
}

/// Outputs are one choice: nearer ones replace all others.
pub(super) fn outputs(near: NamedOutputs, far: NamedOutputs, _: Lists) -> NamedOutputs {
    if near.any() { near } else { far }
}
