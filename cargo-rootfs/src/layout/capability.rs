//! File capabilities: the value of `security.capability`, and the names in it.
//!
//! The value is kept verbatim; it is parsed only for messages.

use std::path::Path;
use std::sync::Arc;

use scroll::{LE, Pread};

/// Names by number, from linux/capability.h.
#[rustfmt::skip]
const NAMES: [&str; 41] = [
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
];

/// The value, if the file has one.
pub(super) fn of_file(path: &Path) -> Option<Arc<[u8]>> {
    // VFS_CAP_REVISION_3 has 24 bytes, the older ones fewer (capabilities(7)).
    let mut value = [0u8; 64];
    let length = rustix::fs::lgetxattr(path, c"security.capability", &mut value).ok()?;
    Some(Arc::from(&value[..length]))
}

/// The capabilities in the value's permitted and inheritable sets: `cap_net_raw,cap_net_admin`. Empty for a value that
/// is too short (`struct vfs_cap_data`: flags, then permitted and inheritable, low halves first).
pub(super) fn names(value: &[u8]) -> String {
    let word = |index: usize| value.pread_with::<u32>(4 * index, LE).unwrap_or_default();
    let low = u64::from(word(1) | word(2));
    let high = u64::from(word(3) | word(4));
    // The first revision has one half only; the second half is then past its end.
    let granted = low | high << 32;
    let names = (0..64).filter(|bit| granted >> bit & 1 == 1).map(|bit| match NAMES.get(bit) {
        Some(name) => format!("cap_{name}"),
        None => format!("cap_{bit}"),
    });
    names.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn granted_capabilities_by_name() {
        // The kernel's values for `setcap cap_net_bind_service=ep` and `cap_net_raw,cap_bpf=p`.
        let bind = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(names(&bind), "cap_net_bind_service");
        let two = [0, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(names(&two), "cap_net_raw,cap_bpf");
        assert_eq!(names(&[]), "");
    }
}
