//! Runs a program in a root with a fresh /proc and /dev, and only the loopback network of the host. Mounts and
//! processes end with the program.

use std::process::Output;

use anyhow::{Context, Result};
use camino::Utf8Path;
use fs_err as fs;

use super::row::Step;
use crate::process::{SET_BY_CARGO, quoted};

/// Enters new namespaces, makes the usual nodes of a container's /dev (runtime-spec, config-linux.md), and starts the
/// program.
const ENTER: &str = r#"
set -e
root=$1; shift
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
    : > "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
chmod 1777 "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
# Beside it, not in its place: the first process of a namespace is deaf to some signals.
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=xterm "$@"
"#;

/// The time limit of a program, generous for a busy machine.
const SECONDS: &str = "60";

/// Types `$1` for the command `$2` on a terminal that script(1) makes. A program that has not set it up yet would lose the
/// text, so it is typed when the program has drawn something, and then nothing more for half a second.
const TYPED: &str = r#"
dir=$(mktemp -d)
drawn() { sed 1d "$dir/log" 2>/dev/null | wc -c; }
{
    last=0
    until now=$(drawn); [ "$now" -gt 0 ] && [ "$now" = "$last" ] || [ -e "$dir/end" ]; do last=$now; sleep 0.5; done
    printf %s "$1"
    until [ -e "$dir/end" ]; do sleep 0.1; done
} | {
    timeout --signal=KILL "$0" script --quiet --return --flush --echo never --command "$2" "$dir/log"
    status=$?
    : > "$dir/end"
    exit "$status"
}
status=$?
rm -r "$dir"
exit "$status"
"#;

/// The words that start `argv` in `root`, with the variables `env`.
pub(super) fn words<'e>(
    root: &Utf8Path,
    env: impl IntoIterator<Item = (&'e String, &'e String)>,
    argv: &[String],
) -> Vec<String> {
    let unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", ENTER, "sh"];
    let mut words: Vec<String> = unshare.map(str::to_owned).into();
    words.push(root.to_string());
    words.extend(env.into_iter().map(|(name, value)| format!("{name}={value}")));
    words.extend(["/usr/sbin/chroot".to_owned(), root.to_string()]);
    words.extend(argv.iter().cloned());
    words
}

/// Makes the directories of mounts, and the working directory of jobs.
pub(super) fn prepare(root: &Utf8Path) -> Result<()> {
    ["proc", "dev", "work"].iter().try_for_each(|name| Ok(fs::create_dir_all(root.join(name))?))
}

/// Runs one step of a job to its end.
pub(super) fn run(root: &Utf8Path, step: &Step) -> Result<Output> {
    let inside = words(root, &step.env, &step.run);
    let killed = ["--signal=KILL", SECONDS].map(str::to_owned);
    let expression = match &step.keys {
        None => duct::cmd("timeout", killed.into_iter().chain(inside)).stdin_bytes(step.stdin.clone()),
        Some(keys) => {
            let command = inside.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
            duct::cmd("sh", ["-c", TYPED, SECONDS, keys, &command])
        }
    };
    let cleaned = SET_BY_CARGO.iter().fold(expression, |it, name| it.env_remove(name));
    cleaned.stdout_capture().stderr_capture().unchecked().run().with_context(|| format!("start {}", step.run[0]))
}
