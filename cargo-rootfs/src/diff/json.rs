//! A difference as one JSON object.

use serde_json::{Value, json as object};

use super::{Both, Diff, FileChange, Floor, Versioned};

/// The fields of a `rootfs-diff` message.
pub(crate) fn json(diff: &Diff) -> Value {
    let versioned = |changes: &[Versioned]| -> Vec<Value> {
        let one = |it: &Versioned| {
            object!({"name": it.name, "change": it.change.as_str(), "old": it.old, "new": it.new,
                "old_size": it.size.0, "new_size": it.size.1})
        };
        changes.iter().map(one).collect()
    };
    let file = |it: &FileChange| {
        object!({"path": it.path.to_string(), "old_size": it.old, "new_size": it.new, "notes": it.notes,
            "package": it.package, "because": it.reason, "gains_rights": it.gains_rights})
    };
    let floors = |(old, new): &Both<Option<Floor>>| {
        let floor = |floor: &Option<Floor>| {
            floor.as_ref().map(|floor| object!({"version": floor.version, "by": floor.by.to_string()}))
        };
        object!({"old": floor(old), "new": floor(new)})
    };
    let mut fields = object!({
        "old": diff.names.0, "new": diff.names.1, "platform": diff.platform,
        "old_digest": diff.digests.0, "new_digest": diff.digests.1,
        "packages": versioned(&diff.packages), "crates": versioned(&diff.crates),
        "files": diff.files.iter().map(file).collect::<Vec<_>>(),
    });
    if let [name] = &diff.list_no_crates[..] {
        fields["lists_no_crates"] = name.as_str().into();
    }
    if let Some(totals) = &diff.totals {
        let pair = |(old, new): Both<u64>| object!({"old": old, "new": new});
        fields["size"] = pair(totals.size);
        fields["stored"] = pair(totals.stored);
        fields["entries"] = object!({"old": totals.entries.0, "new": totals.entries.1});
        fields["glibc"] = floors(&totals.glibc);
        fields["kernel"] = floors(&totals.kernel);
    }
    fields
}
