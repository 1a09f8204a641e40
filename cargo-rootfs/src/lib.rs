//! `cargo rootfs` as a library: from executables and tools to a root filesystem that is proved complete.
//!
//! # The map
//!
//! ```text
//! argv / build.rs / [package.metadata.rootfs]
//!    -> Options -> Plan -> artifacts (cargo)
//!                    sysroot -> resolve -> closures, one per executable
//!                                  -> layout -> Rootfs -> proof (resolve again, inside the Rootfs)
//!                                                  -> write: tar | dir | docker ...
//! ```
//!
//! Data flows one way: no room uses a room that uses it, and the proof resolves again on purpose. Inspected files are
//! never executed. The library never prints; only `cli` does.
//!
//! # Rooms
//!
//! Each room is a module with one job, and uses only the rooms in the last column of its row: a test compares every
//! `use crate::` with this table. Rooms from `options` on, except `write` and `pipeline`, need the feature
//! `cli`.
//!
//! | room | job | uses |
//! | --- | --- | --- |
//! | `error` | the one error type, exit codes, warnings | - |
//! | `path` | paths inside an image, a type of their own | - |
//! | `wording` | lists, quoting and guesses in messages | path |
//! | `byte_search` | searches in bytes | - |
//! | `glob` | patterns of paths, and their placeholders | path |
//! | `hex` | bytes as hexadecimal digits | - |
//! | `host_files` | files of this machine, by path; each error names the path | error |
//! | `distro` | the distribution of a directory, by its os-release(5) | host_files path |
//! | `threads` | threads, their file descriptors and signals | - |
//! | `programs` | programs of this machine, by PATH | host_files |
//! | `target` | machines and target triples, one row per machine | error wording |
//! | `shortage` | tools, libraries, packages and versions that a sysroot lacks | error |
//! | `elf` | bytes to the facts that a loader reads in them | byte_search target |
//! | `resolve` | the loaders' rules: closures | byte_search elf glob path shortage target |
//! | `rootfs` | the planned tree: entries with their origins | error hex host_files path resolve |
//! | `sysroot` | a directory of the host, without links out of it | byte_search elf error glob host_files path resolve rootfs threads |
//! | `script` | scripts: interpreters, and the commands that they call | path rows |
//! | `packages` | a distribution's database of packages | glob host_files path rows sysroot target wording |
//! | `runtime` | rules: files that tools and libraries need besides closures | glob path rows |
//! | `rows` | readers of rows: TOML and metadata | wording |
//! | `policy` | secrets, documentation, noise: rows of templates/policy | glob path rows |
//! | `template` | skeletons | error host_files path policy rootfs rows runtime wording |
//! | `report` | tree, why, sizes: data to text | distro elf error path proposal resolve rootfs target |
//! | `proposal` | names that an object may open | distro resolve |
//! | `proof` | proves that a rootfs resolves inside itself | distro elf error path report resolve rootfs script shortage sysroot target |
//! | `layers` | partition of a rootfs into the layers of an image | glob path rootfs rows wording |
//! | `layout` | seeds to gathered closures to entries | distro elf error glob host_files packages path policy proof report resolve rootfs rows runtime script shortage sysroot target template threads wording |
//! | `write` | encoders, layers, destinations; every file is read once | error hex path rootfs |
//! | `events` | the listener of a run | error write |
//! | `sbom` | bills of materials: data to SPDX and CycloneDX | hex |
//! | `image` | an image's configuration | error path target |
//! | `settings` | checks of an image's settings against its rootfs | error image path resolve rootfs wording |
//! | `registry` | the distribution specification's client: credentials, tokens, blobs, manifests | error host_files image |
//! | `join` | images of several platforms under one name | error host_files image registry target |
//! | `pipeline` | the stages in order, for every target of a run | cargo elf error events host_files image layers layout options output packages path plan provision resolve rootfs sbom settings shortage sysroot target template threads write |
//! | `inspect` | outputs read back: archives, directories, layouts, images in registries | elf error host_files image path registry resolve rootfs |
//! | `diff` | differences between two outputs, and limits on them | elf error inspect packages path resolve sbom wording |
//! | `verify` | proof of an existing image | distro error inspect path report resolve script target wording |
//! | `build_script` | the pipeline for build.rs | error host_files layout path pipeline resolve runtime target write |
//! | `options` | flags and configuration keys, and how they merge | diff enter error layers layout output path policy resolve rows runtime sbom target wording write |
//! | `plan` | options to the build, contents and outputs of each target | error image layers layout options output path provision settings target threads wording write |
//! | `output` | one file per kind of output, and the table of kinds | error hex host_files image layers path registry rootfs sbom target threads write |
//! | `cargo` | calls of cargo and rustc | distro error hex host_files layout options plan programs rows target threads wording write |
//! | `provision` | sysroots made of a distribution's packages | distro error glob hex host_files layout packages path programs resolve rootfs rows script shortage sysroot target wording |
//! | `enter` | a command in a rootfs, in namespaces of its own | elf error events image path programs rootfs settings target watch write |
//! | `watch` | system calls of a command, by ptrace(2) | error path |
//! | `findings` | the vocabulary of check and trace | host_files packages path policy resolve rootfs sysroot target watch |
//! | `check` | test runs of commands in a rootfs | enter error events findings layout packages path pipeline policy rootfs rows sysroot watch wording |
//! | `trace` | files that a command uses | enter error events findings host_files layout path pipeline runtime sysroot watch wording |
//! | `init` | starting files for a project: a table of Cargo.toml, a pipeline for a forge | cargo error events host_files options rows wording write |
//! | `rebuild` | two builds, compared | cargo error events host_files image options pipeline |
//! | `guide` | the guide: pages of text, for the documentation, a terminal and man(1) | - |
//! | `cli` | the terminal: arguments in, status lines and results out | check diff enter error events guide host_files init inspect join layers layout options output path pipeline plan provision rebuild report resolve rootfs target trace verify wording write |
//!
//! # Glossary
//!
//! | word | meaning |
//! | --- | --- |
//! | artifact | an executable or a library directory that cargo's messages name |
//! | assembly | a proved rootfs, its closures, and its warnings |
//! | candidate | a file that a loader tries for a needed name |
//! | claim | a closure that the proof must find inside the rootfs |
//! | closure | an executable and all objects that its loader maps, breadth first |
//! | content | the parts of a rootfs besides the project: tools, packages, libraries, includes, template |
//! | diff_id | the digest of a layer before compression |
//! | dlopen note | an ELF note that names libraries an object opens at run time |
//! | entry | a file, directory or link of a rootfs, with its origin |
//! | epoch | SOURCE_DATE_EPOCH: modification times outside of layers |
//! | host | the machine that runs the command, and paths on it |
//! | include | a file or directory of the project, by `--include` |
//! | interpreter | the dynamic loader that PT_INTERP names, or the program of a script's first line |
//! | kind of output | tar, directory, image: a row of the table of outputs |
//! | layer | one archive of an image: diff_id, digest, size, media type |
//! | needed | a name in DT_NEEDED |
//! | object | an ELF file in a closure |
//! | origin | the reason for an entry |
//! | owner | the package that an entry's file belongs to |
//! | plan | the build, contents and outputs of one target |
//! | policy | rows that list secrets, documentation and noise |
//! | proof | the rootfs resolved again, inside itself |
//! | provision | make a sysroot of a distribution's packages |
//! | repair | rows for the files that maintainer scripts would make |
//! | root | a file that a closure begins with |
//! | rootfs | the planned tree of entries, which writers write |
//! | rule | a row with the files that a tool or a library needs besides its closure |
//! | runpath, rpath | search paths of an object: not inherited, inherited |
//! | session | one run of the command, for all targets |
//! | shortage | a tool, library, package or version that a sysroot lacks |
//! | sink | the receiver of a rootfs while it is written; staged when complete, committed under its name |
//! | soname | the name that a library gives itself, in DT_SONAME |
//! | suite | a release of a distribution, such as debian:bookworm |
//! | sysroot | the host's directory with the tools and libraries to pack |
//! | template | the skeleton of a rootfs |
//!
//! # Stable parts
//!
//! The [`guide`] explains the command. The API is [`build_script`], [`struct@Error`] with its [`ErrorKind`],
//! [`RootfsPath`], and the public items of [`elf`], [`resolve`], [`sysroot`], [`target`], [`packages`], [`rootfs`] and
//! [`mod@write`]. Other public modules are hidden from the documentation: the command and the fuzzer use them, and they
//! change without notice.
//!
//! # Examples
//!
//! ```
//! use cargo_rootfs::RootfsPath;
//! use cargo_rootfs::resolve::Resolver;
//! use cargo_rootfs::sysroot::Sysroot;
//!
//! let mut sysroot = Sysroot::open("/".as_ref())?;
//! let closure = Resolver::new(Vec::new(), None)
//!     .closure(&mut sysroot, &RootfsPath::parse("/bin/sh")?)
//!     .expect("this machine has a shell");
//! for object in &closure.objects {
//!     println!("{} [{}]", object.path, object.found_by);
//! }
//! # Ok::<(), cargo_rootfs::Error>(())
//! ```

// Rooms that only read files use `host_files`, so that their errors name the path. Tests, and the rooms below that have
// effects and more specific errors, call the functions that .clippy.toml lists.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

pub mod build_script;
mod byte_search;
#[cfg(feature = "cli")]
mod cargo;
#[cfg(feature = "cli")]
mod check;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "cli")]
mod diff;
mod distro;
pub mod elf;
#[cfg(feature = "cli")]
#[allow(clippy::disallowed_methods)]
mod enter;
mod error;
mod events;
#[cfg(feature = "cli")]
mod findings;
mod glob;
pub mod guide;
#[cfg(feature = "cli")]
mod hex;
mod host_files;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod image;
#[cfg(feature = "cli")]
mod init;
#[cfg(feature = "cli")]
mod inspect;
#[cfg(feature = "push")]
mod join;
#[cfg(feature = "cli")]
mod layers;
#[doc(hidden)]
pub mod layout;
#[cfg(feature = "cli")]
mod options;
#[cfg(feature = "cli")]
mod output;
pub mod packages;
mod path;
mod pipeline;
#[cfg(feature = "cli")]
mod plan;
#[doc(hidden)]
pub mod policy;
#[cfg(feature = "cli")]
mod programs;
#[doc(hidden)]
pub mod proof;
mod proposal;
#[cfg(feature = "cli")]
#[allow(clippy::disallowed_methods)]
mod provision;
#[cfg(feature = "cli")]
mod rebuild;
#[cfg(feature = "push")]
mod registry;
#[doc(hidden)]
pub mod report;
pub mod resolve;
pub mod rootfs;
mod rows;
#[doc(hidden)]
pub mod runtime;
#[cfg(feature = "cli")]
mod sbom;
mod script;
#[cfg(feature = "cli")]
mod settings;
mod shortage;
pub mod sysroot;
pub mod target;
#[doc(hidden)]
pub mod template;
mod threads;
#[cfg(feature = "cli")]
mod trace;
#[cfg(feature = "cli")]
mod verify;
#[cfg(feature = "cli")]
#[allow(clippy::disallowed_methods)]
mod watch;
mod wording;
#[allow(clippy::disallowed_methods)]
pub mod write;

pub use error::{Error, ErrorKind, Result, Warning, exit_code};
pub use path::RootfsPath;
