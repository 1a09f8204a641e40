//! The projects, and each one's job in its root.
//!
//! Versions are exact. They are as old as the declared minimum Rust, so that it compiles the dependencies of their lock
//! files.

/// A published crate, or several as a workspace.
#[derive(Debug)]
pub(super) struct Project {
    /// The kind of project that it represents.
    pub(super) name: &'static str,
    /// Name and version of each crate.
    pub(super) crates: &'static [(&'static str, &'static str)],
    /// Arguments of `cargo rootfs`.
    pub(super) arguments: &'static [&'static str],
    /// Lines that `init` writes.
    pub(super) table: &'static [&'static str],
    pub(super) environment: &'static [(&'static str, &'static str)],
    /// Status lines that `cargo rootfs` must print.
    pub(super) says: &'static [&'static str],
    /// The script that bash runs in the root, and its output.
    pub(super) job: &'static str,
    pub(super) prints: &'static str,
    /// Files that the root must have for it; other architectures have other paths.
    pub(super) holds: &'static [&'static str],
}

/// The status line about a dependency that calls pkg-config.
const ASKS: &str = "a dependency asks pkg-config";

pub(super) const PROJECTS: &[Project] = &[
    Project {
        name: "ripgrep",
        crates: &[("ripgrep", "14.1.1")],
        arguments: &[],
        table: &[],
        environment: &[],
        says: &["Using aarch64-linux-gnu-gcc to link for aarch64-unknown-linux-gnu"],
        job: "printf 'first\\nneedle here\\n' >/tmp/hay; rg --line-number 'n\\w+le' /tmp/hay; rg --files-with-matches needle /tmp",
        prints: "2:needle here\n/tmp/hay\n",
        holds: &[],
    },
    Project {
        name: "hyperfine: starts a shell",
        crates: &[("hyperfine", "1.18.0")],
        arguments: &[],
        table: &[],
        environment: &[],
        says: &[],
        job: "hyperfine --shell bash --runs 2 --style none --export-json /tmp/runs 'exit 0' >/dev/null; read -r x </tmp/runs; echo \"$x\"",
        prints: "{\n",
        holds: &[],
    },
    Project {
        name: "hexyl",
        crates: &[("hexyl", "0.15.0")],
        arguments: &[],
        table: &[],
        environment: &[],
        says: &[],
        job: "printf abc >/tmp/abc; hexyl --plain /tmp/abc",
        prints: "  61 62 63                                           \n",
        holds: &[],
    },
    Project {
        name: "b3sum: C and assembly compiled in",
        crates: &[("b3sum", "1.5.5")],
        arguments: &[],
        table: &[],
        environment: &[],
        says: &[],
        job: "printf abc | b3sum; printf abc >/tmp/abc; b3sum /tmp/abc >/tmp/sums; b3sum --check /tmp/sums",
        // BLAKE3's own test vectors have the hash of `abc`.
        prints: "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85  -\n/tmp/abc: OK\n",
        holds: &[],
    },
    Project {
        name: "zstd: C compiled in",
        crates: &[("zstd", "0.13.2")],
        arguments: &["--example", "zstd", "--example", "zstdcat"],
        table: &[],
        environment: &[],
        says: &[],
        job: "cd /tmp; printf 'packed and unpacked\\n' >text; zstd text; zstdcat text.zst",
        prints: "Compressed text\npacked and unpacked\n",
        holds: &[],
    },
    Project {
        name: "openssl: the system's library",
        crates: &[("openssl", "0.10.66")],
        arguments: &["--example", "mk_certs"],
        table: &[],
        environment: &[],
        says: &[ASKS],
        job: "mk_certs",
        prints: "Certificate verified!\nFinished.\n",
        holds: &[],
    },
    Project {
        name: "git2: the system's libgit2",
        crates: &[("git2", "0.16.1")],
        arguments: &["--no-default-features", "--example", "init", "--example", "add", "--example", "status"],
        table: &[],
        environment: &[("LIBGIT2_NO_VENDOR", "1")],
        says: &[ASKS],
        job: "cd /tmp; init repository; cd repository; echo text >new; status --short; add new; status --short",
        prints: "Initialized empty Git repository in /tmp/repository/\n?? new\nA  new\n",
        holds: &[],
    },
    Project {
        name: "rusqlite: the system's SQLite",
        crates: &[("rusqlite", "0.32.1")],
        arguments: &["--example", "persons"],
        table: &[],
        environment: &[],
        says: &[ASKS],
        job: "persons",
        prints: "Found persons:\nID: 1, Name: Steven\nID: 2, Name: John\nID: 3, Name: Alex\n",
        holds: &[],
    },
    Project {
        name: "flate2: the system's zlib",
        crates: &[("flate2", "1.0.35")],
        arguments: &[
            "--no-default-features",
            "--features",
            "zlib",
            "--example",
            "compress_file",
            "--example",
            "decompress_file",
        ],
        table: &[],
        environment: &[],
        says: &[ASKS],
        job: "cd /tmp; echo text >a; compress_file a a.gz >/dev/null; decompress_file a.gz b >/dev/null; cat b",
        prints: "text\n",
        holds: &[],
    },
    Project {
        name: "uutils",
        crates: &[
            ("uu_head", "0.0.29"),
            ("uu_seq", "0.0.29"),
            ("uu_tac", "0.0.29"),
            ("uu_tr", "0.0.29"),
            ("uu_wc", "0.0.29"),
        ],
        arguments: &["--workspace"],
        table: &[],
        environment: &[],
        says: &[],
        job: "seq 5 | tac | head -n 3 | tr '\\n' ' '; echo; seq 10 | wc -l",
        prints: "5 4 3 \n10\n",
        holds: &[
            "/usr/local/bin/head",
            "/usr/local/bin/seq",
            "/usr/local/bin/tac",
            "/usr/local/bin/tr",
            "/usr/local/bin/wc",
        ],
    },
    Project {
        name: "aws-lc: a shared library of a build script",
        crates: &[("aws-lc-rs", "1.12.6")],
        arguments: &["--example", "digest"],
        table: &[],
        environment: &[("AWS_LC_SYS_STATIC", "0")],
        says: &[],
        job: "printf abc >/tmp/abc; digest -d sha256 /tmp/abc",
        prints: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad /tmp/abc\n",
        holds: &["/usr/local/lib/libaws_lc_0_27_0_crypto.so"],
    },
];
