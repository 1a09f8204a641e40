//! Makes the kernel run aarch64 programs through qemu-user, also in a chroot and in containers. It never changes an
//! existing registration.

use anyhow::{Result, ensure};
use camino::Utf8Path;

use super::packages::as_root;

const MOUNT: &str = "/proc/sys/fs/binfmt_misc";
const DEBIANS_LINE: &str = "/usr/lib/binfmt.d/qemu-aarch64.conf";

pub(super) fn register() -> Result<()> {
    if cfg!(target_arch = "aarch64") || registered() {
        return Ok(());
    }
    if !Utf8Path::new(MOUNT).join("register").exists() {
        println!("  mounting {MOUNT}");
        as_root(["mount", "-t", "binfmt_misc", "binfmt_misc", MOUNT])?.run()?;
    }
    if registered() {
        return Ok(());
    }
    println!("  registering qemu-aarch64 for aarch64 programs");
    let line = fs_err::read_to_string(DEBIANS_LINE)?;
    let line = with_fixed_interpreter(line.trim());
    as_root(["tee", &format!("{MOUNT}/register")])?.stdin(line).run()?;
    ensure!(registered(), "the kernel did not take the registration of qemu-aarch64");
    Ok(())
}

/// Flag F: the kernel opens the interpreter at registration, so it is available in a chroot too
/// (Documentation/admin-guide/binfmt-misc.rst).
fn with_fixed_interpreter(line: &str) -> String {
    let flags = line.rsplit(':').next().unwrap_or_default();
    if flags.contains('F') { line.to_owned() } else { format!("{line}F") }
}

fn registered() -> bool {
    let Ok(text) = fs_err::read_to_string(format!("{MOUNT}/qemu-aarch64")) else { return false };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags: "));
    text.starts_with("enabled") && flags.is_some_and(|flags| flags.contains('F'))
}

#[cfg(test)]
mod tests {
    use super::with_fixed_interpreter;

    #[test]
    fn the_interpreter_is_opened_at_registration() {
        assert_eq!(with_fixed_interpreter(":q:M::m:k:/q:OP"), ":q:M::m:k:/q:OPF");
        assert_eq!(with_fixed_interpreter(":q:M::m:k:/q:OPF"), ":q:M::m:k:/q:OPF");
        assert_eq!(with_fixed_interpreter(":q:M::m:k:/Fq:"), ":q:M::m:k:/Fq:F");
    }
}
